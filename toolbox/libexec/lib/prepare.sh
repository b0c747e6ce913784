# Prepares what dockerd needs and gVisor does not provide. All steps can be repeated.

# An image without an operating system does not contain these directories.
make_directories() {
	local directory
	for directory in /run /var /var/lib /tmp; do
		[ -d "$directory" ] || mkdir -p "$directory" || return
	done
	[ -e /var/run ] || ln -s /run /var/run
	[ "$(stat -c %a /tmp)" = 1777 ] || chmod 1777 /tmp
}

# Records the mount in a file, because reading /proc/mounts byte by byte in a shell takes longer than the mount.
mount_storage() { # SIZE_IN_BYTES
	[ ! -e "$STATE/mounted" ] || return 0
	[ -d /var/lib/docker ] || mkdir -p /var/lib/docker || return
	mount -t tmpfs -o "size=$1,mode=0711" caisson-docker /var/lib/docker && echo "$1" >"$STATE/mounted"
}

# dockerd can't add these rules in gVisor (--iptables=false). They are added once per pod, with a single command, because each command
# delays dockerd by 30 ms.
#
# gVisor supports SNAT but not MASQUERADE, and requires a separate rule for each protocol.
#
# gVisor's bridge also delivers each packet between two containers to the pod's own network stack. If the pod forwarded it, the packet would
# arrive twice, and connections between containers would be slow or reset. So the pod forwards only to and from its uplink, which isolates
# bridges like Docker's own rules. Other bridges may send to docker0, because host.docker.internal is an address there, but responses of
# containers on docker0 are dropped.
forward_packets() {
	echo 1 >/proc/sys/net/ipv4/ip_forward || return
	[ -n "$uplink_device" ] && [ ! -e "$STATE/forwards" ] || return 0
	iptables-legacy-restore -w 5 --noflush <<-END && echo >"$STATE/forwards"
		*nat
		-A POSTROUTING -o $uplink_device -p tcp -j SNAT --to-source $uplink_address
		-A POSTROUTING -o $uplink_device -p udp -j SNAT --to-source $uplink_address
		COMMIT
		*filter
		-A FORWARD -o $uplink_device -j ACCEPT
		-A FORWARD -i $uplink_device -j ACCEPT
		-A FORWARD -i docker0 -o docker0 -j DROP
		-A FORWARD -o docker0 -j ACCEPT
		-A FORWARD -j DROP
		COMMIT
	END
}

# CAP_NET_RAW is bit 13. The runtime removes it from all containers if the node has net-raw = false.
has_net_raw() {
	read_capabilities
	[ $((0x$cap_eff >> 13 & 1)) = 1 ]
}
