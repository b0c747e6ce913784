# Processes are identified by pid and start time, because a pid can be reused.

is_number() {
	case $1 in
	'' | *[!0-9]* | ???????????????????*) return 1 ;;
	esac
}

# Sets process_pid, process_state and process_start (field 22: clock ticks since boot) from /proc/PID/stat, or fails.
# A process can choose its name, including spaces, parentheses and newlines, so the fields are those after the last parenthesis.
read_process() { # PID or "self"
	local line text=
	{
		while read -r line || [ -n "$line" ]; do
			text="$text $line"
		done <"/proc/$1/stat"
	} 2>/dev/null
	[ -n "$text" ] || return 1
	process_pid=${text# }
	process_pid=${process_pid%% *}
	# Word splitting separates the fields. None of them can contain glob characters.
	# shellcheck disable=SC2086
	set -- ${text##*) }
	process_state=${1-}
	process_start=${20-}
	is_number "$process_pid" && is_number "$process_start"
}

is_alive() { # PID START_TIME; a zombie is not alive
	read_process "$1" && [ "$process_start" = "$2" ] || return 1
	case $process_state in
	Z | X) return 1 ;;
	esac
}

# Sets uptime to hundredths of a second since boot: a monotonic clock that can be read without a fork.
uptime_now() {
	local seconds fraction
	IFS='. ' read -r seconds fraction _ </proc/uptime
	uptime=$((seconds * 100 + ${fraction#0}))
}

# Sends SIGTERM, then SIGKILL. Checks the identity before each signal, so that it never affects another process.
end_process() { # PID START_TIME GRACE_SECONDS
	is_alive "$1" "$2" || return 0
	kill -TERM "$1" 2>/dev/null
	uptime_now
	local until=$((uptime + $3 * 100))
	while is_alive "$1" "$2"; do
		uptime_now
		[ "$uptime" -lt "$until" ] || break
		usleep 50000
	done
	is_alive "$1" "$2" || return 0
	kill -KILL "$1" 2>/dev/null
	usleep 100000
}
