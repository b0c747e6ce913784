# The uplink of the pod, and the bridge of nested containers.

# Sets uplink_device, uplink_address and uplink_mtu from the default route. They are empty in a pod without a default route.
find_uplink() {
	uplink_device='' uplink_address='' uplink_mtu=''
	# gVisor lists all routes.
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

# Sets bridge_mtu to the MTU of docker0, or to - if it does not exist.
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

# Docker 28 and later announces the address of every container with a packet socket, and fails if the node does not allow writes to it.
# This check announces the pod's own address, which has no effect. arping reports the number of sent packets, but no error. Fails with the
# output of arping.
write_packet() { # after find_uplink
	[ -n "$uplink_device" ] || return 0
	local output
	output=$(arping -U -c 1 -w 1 -I "$uplink_device" "$uplink_address" 2>&1)
	case $output in
	*'Sent 1 probe'*) ;;
	*)
		printf '%s' "$output"
		return 1
		;;
	esac
}
