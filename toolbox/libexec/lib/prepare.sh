# What dockerd needs around it and doesn't get from gVisor by itself. Everything may be done again: what is there stays.

# In an image with nothing in it, not even these are there.
make_directories() {
	local directory
	for directory in /run /var /var/lib /tmp; do
		[ -d "$directory" ] || mkdir -p "$directory" || return
	done
	[ -e /var/run ] || ln -s /run /var/run
	[ "$(stat -c %a /tmp)" = 1777 ] || chmod 1777 /tmp
}

mount_storage() { # SIZE_IN_BYTES
	[ -d /var/lib/docker ] || mkdir -p /var/lib/docker || return
	is_mounted /var/lib/docker || mount -t tmpfs -o "size=$1,mode=0711" caisson-docker /var/lib/docker
}

is_mounted() {
	local target
	while read -r _ target _; do
		[ "$target" = "$1" ] && return
	done </proc/mounts
	return 1
}

# Sets uplink_device, uplink_address and uplink_mtu to those of the default route; all empty in a pod without one.
find_uplink() {
	uplink_device='' uplink_address='' uplink_mtu=''
	# gVisor lists more than was asked for.
	# shellcheck disable=SC2046
	set -- $(ip -4 route show default | grep '^default ')
	while [ $# -gt 1 ]; do
		[ "$1" = dev ] && uplink_device=$2 && break
		shift
	done
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

# dockerd can't do this here (--iptables=false), and gVisor knows SNAT, not MASQUERADE. One rule for each protocol: SNAT of gVisor
# wants one.
forward_packets() {
	echo 1 >/proc/sys/net/ipv4/ip_forward || return
	[ -n "$uplink_device" ] || return 0
	local protocol
	for protocol in tcp udp; do
		set -- POSTROUTING -o "$uplink_device" -p "$protocol" -j SNAT --to-source "$uplink_address"
		iptables-legacy -w 5 -t nat -C "$@" 2>/dev/null || iptables-legacy -w 5 -t nat -A "$@" || return
	done
}

# Bit 13. The runtime takes it away from everybody where the node says net-raw = false, whatever the pod asks for.
has_net_raw() {
	[ $((0x$(cap_eff) >> 13 & 1)) = 1 ]
}
