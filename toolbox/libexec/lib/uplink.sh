# The pod's way out, and the bridge that nested containers reach it by.

# Sets uplink_device, uplink_address and uplink_mtu to those of the default route; all empty in a pod without one.
find_uplink() {
	uplink_device='' uplink_address='' uplink_mtu=''
	# gVisor lists more routes than it was asked for.
	# shellcheck disable=SC2046
	set -- $(ip -4 route show default)
	while [ $# -gt 1 ] && [ "$1" != default ]; do
		shift
	done
	while [ $# -gt 1 ] && [ "$1" != dev ]; do
		shift
	done
	uplink_device=${2-}
	[ -n "$uplink_device" ] || return 0
	# shellcheck disable=SC2046
	set -- $(ip -4 addr show dev "$uplink_device")
	while [ $# -gt 1 ]; do
		case $1 in
		mtu) uplink_mtu=$2 ;;
		inet) [ -n "$uplink_address" ] || uplink_address=${2%/*} ;;
		esac
		shift
	done
	is_number "$uplink_mtu"
}

# Sets bridge_mtu to that of docker0, or to - where there is none.
find_bridge() {
	bridge_mtu=-
	# shellcheck disable=SC2046
	set -- $(ip link show dev docker0 2>/dev/null)
	while [ $# -gt 1 ]; do
		if [ "$1" = mtu ]; then
			bridge_mtu=$2
			break
		fi
		shift
	done
	is_number "$bridge_mtu" || bridge_mtu=-
}

# Docker 28 and later announces the address of every container by a packet socket, and fails where the node allows no writes to one.
# This announces the pod's own address, which is no news to anybody. arping says how many packets it could send, not that it couldn't.
# Fails with what arping said on standard output.
write_packet() { # after find_uplink
	[ -n "$uplink_device" ] || return 0
	local said
	said=$(arping -U -c 1 -w 1 -I "$uplink_device" "$uplink_address" 2>&1)
	case $said in
	*'Sent 1 probe'*) ;;
	*)
		printf '%s' "$said"
		return 1
		;;
	esac
}
