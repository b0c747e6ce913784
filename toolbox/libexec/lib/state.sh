# What is known about the attempts to start dockerd, in files: any later exec session, of any operator, goes on from here.
#
#   /run/caisson/lock            held from the decision to start until dockerd's pid is on record
#   /run/caisson/start-N/        attempt N, counted by the operator
#     daemon                     pid, start time, uptime in 1/100 s, Unix time; written by the process that becomes dockerd
#     copier                     pid and start time of what copies stderr to the pod's log; where that is wanted
#     containerd                 pid and start time of the keeper of dockerd's containerd, then containerd's own; where there is one
#     stdout stderr              dockerd's, appended to; what was before a cut is in stdout.earlier and stderr.earlier
#     prepared                   everything around dockerd is in place; holds the uplink's MTU, or -
#     facts                      where this dockerd came from and what `docker info` said first, both as base64
#     ready                      milliseconds until the first good `docker info`, how many failed before, the MTUs of uplink and
#                                bridge; the last to be written
#     exit                       dockerd's exit code; 128+n for signal n
#     failed detail              why this attempt is over, and in whose words
#
# Most are one line, written at once. A reader takes only a line that has its newline, so nobody sees half of one and no rename,
# which would cost a fork, is needed. A shell reads byte by byte, at some microseconds each: what is read often is short. Where there
# is nothing to tell, a word is -.

STATE=/run/caisson

# An image may have no /run. Another session may be making the same, just now.
make_state() {
	[ -d "$STATE" ] && return
	[ -d /run ] || mkdir -p /run || return
	mkdir -m 0700 "$STATE" || [ -d "$STATE" ]
}

# Sets attempt to the highest number there is, or fails.
latest_attempt() {
	local directory number
	attempt=
	for directory in "$STATE"/start-*; do
		number=${directory##*/start-}
		is_number "$number" || continue
		if [ -z "$attempt" ] || [ "$number" -gt "$attempt" ]; then
			attempt=$number
		fi
	done
	[ -n "$attempt" ]
}

# Sets attempt to one whose dockerd is alive, or fails.
living_attempt() {
	local directory
	for directory in "$STATE"/start-*; do
		attempt=${directory##*/start-}
		is_number "$attempt" && read_daemon "$attempt" && is_alive "$daemon_pid" "$daemon_start" && return
	done
	return 1
}

read_daemon() { # ATTEMPT
	{ read -r daemon_pid daemon_start daemon_launched daemon_started_at <"$STATE/start-$1/daemon"; } 2>/dev/null &&
		is_number "$daemon_pid" && is_number "$daemon_start" && is_number "$daemon_launched" && is_number "$daemon_started_at"
}

read_exit() { # ATTEMPT
	{ read -r daemon_exit <"$STATE/start-$1/exit"; } 2>/dev/null && is_number "$daemon_exit"
}

read_prepared() { # ATTEMPT
	{ read -r prepared_mtu <"$STATE/start-$1/prepared"; } 2>/dev/null && is_mtu "$prepared_mtu"
}

is_mtu() {
	[ "$1" = - ] || is_number "$1"
}

read_ready() { # ATTEMPT
	{ read -r ready_after ready_retries ready_mtu ready_bridge_mtu <"$STATE/start-$1/ready"; } 2>/dev/null &&
		is_number "$ready_after" && is_number "$ready_retries" && is_mtu "$ready_mtu" && is_mtu "$ready_bridge_mtu"
}

read_facts() { # ATTEMPT
	{ read -r ready_origin ready_info <"$STATE/start-$1/facts"; } 2>/dev/null || return 1
	case ${ready_origin#-}$ready_info in
	'' | *[!A-Za-z0-9+/=]*) return 1 ;;
	esac
}

read_failed() { # ATTEMPT
	{ read -r failed_cause <"$STATE/start-$1/failed"; } 2>/dev/null || return 1
	case $failed_cause in
	'' | *[!A-Za-z]*) return 1 ;;
	esac
}

# The first cause stays: what follows (our own kill, say) is its consequence.
record_failed() { # ATTEMPT CAUSE DETAIL
	read_failed "$1" && return
	printf '%s' "${3:+$3
}" >"$STATE/start-$1/detail"
	echo "$2" >"$STATE/start-$1/failed"
}

# Takes the lock on descriptor 9. It is free again when the last process that inherited the descriptor has closed it, or died.
take_lock() { # SECONDS
	exec 9<>"$STATE/lock" && flock -w "$1" 9
}
