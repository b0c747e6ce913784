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

# Remembers what it did: reading /proc/mounts byte by byte, as a shell does, takes longer than the mount.
mount_storage() { # SIZE_IN_BYTES
	[ ! -e "$STATE/mounted" ] || return 0
	[ -d /var/lib/docker ] || mkdir -p /var/lib/docker || return
	mount -t tmpfs -o "size=$1,mode=0711" caisson-docker /var/lib/docker && echo "$1" >"$STATE/mounted"
}

# dockerd can't do this here (--iptables=false). Once for each pod, all by one command: every further one would take its 30 ms from
# dockerd, which is starting.
#
# gVisor knows SNAT, not MASQUERADE, and wants one rule of it for each protocol.
#
# A bridge of gVisor gives the pod's own stack a copy of every packet that passes between two containers. Forwarded, it arrives twice:
# connections between containers crawl, or are reset. So the pod forwards to and from its uplink only, which keeps bridges apart as
# Docker's own rules would. Other bridges may still get to docker0, because host.docker.internal is an address there; what answers from
# a container on it does not get back.
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

# Bit 13. The runtime takes it away from everybody where the node says net-raw = false, whatever the pod asks for.
has_net_raw() {
	read_capabilities
	[ $((0x$cap_eff >> 13 & 1)) = 1 ]
}
