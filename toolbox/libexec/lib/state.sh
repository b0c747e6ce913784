# The state of the attempts to start dockerd, in files, so that any later exec session of any operator can continue.
#
#   /run/caisson/lock            held from the decision to start until dockerd's pid is recorded
#   /run/caisson/start-N/        attempt N, counted by the operator
#     daemon                     pid, start time, uptime in 1/100 s, Unix time; written by the process that executes dockerd
#     copier                     pid and start time of the process that copies stderr to the pod's log, if enabled
#     containerd                 pid and start time of the keeper of containerd, then those of containerd, if it is started here
#     stdout stderr              dockerd's output; stdout.earlier and stderr.earlier contain the end of the part before a truncation
#     prepared                   exists if the preparation is complete; contains the uplink's MTU, or -
#     facts                      the origin of this dockerd and the first output of `docker info`, both as base64
#     ready                      milliseconds until the first successful `docker info`, the number of failures before it, and the MTUs
#                                of uplink and bridge; written last
#     exit                       dockerd's exit code; 128+n for signal n
#     failed detail              the cause of the failure of this attempt, and its message
#
# Most files are one line, written with one call. A reader ignores a line without a newline, so it never uses an incomplete line, and no
# rename is needed, which would cost a fork. A shell reads byte by byte, with some microseconds per byte, so files that are read often are
# short. A missing value is -.

STATE=/run/caisson

# An image may not have /run. Another session may create the same directories at the same time.
make_state() {
	[ -d "$STATE" ] && return
	[ -d /run ] || mkdir -p /run || return
	mkdir -m 0700 "$STATE" || [ -d "$STATE" ]
}

# Sets attempt to the highest number, or fails if there is none.
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

# Sets attempt to an attempt whose dockerd is alive, or fails.
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

# Keeps the first cause, because later failures, such as the end of dockerd, are its consequences.
record_failed() { # ATTEMPT CAUSE DETAIL
	read_failed "$1" && return
	printf '%s' "${3:+$3
}" >"$STATE/start-$1/detail"
	echo "$2" >"$STATE/start-$1/failed"
}

# Takes the lock on descriptor 9. It is released when the last process that inherited the descriptor has closed it or ended.
take_lock() { # SECONDS
	exec 9<>"$STATE/lock" && flock -w "$1" 9
}
