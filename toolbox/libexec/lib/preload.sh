# Pulls images before they are needed. The pull runs in a process of its own (libexec/pull), so that it survives the session.
#
#   /run/caisson/pull/process   pid and start time of libexec/pull
#   /run/caisson/pull/image     the image that it pulls
#   /run/caisson/pull/outcome   its report, one line
#   /run/caisson/pull/reported  exists if a session has reported the outcome, so that the next session pulls again
#   /run/caisson/pull/lock      held while a pull is started

PULL=$STATE/pull

# Starts the pull, or continues to wait for it. Returns 1 if it failed.
preload() { # WAIT_SECONDS IMAGE...
	local end image
	open_session
	uptime_now
	end=$((uptime + $1 * 100))
	shift
	[ -d "$PULL" ] || mkdir -p "$PULL"
	ensure_pull "$@"
	until read_outcome; do
		if ! is_pulling && was_killed; then
			image=$1
			{ read -r image <"$PULL/image"; } 2>/dev/null
			report_failed_pull "$image" "$(printf 'the pull was killed' | to_base64)"
			return 1
		fi
		uptime_now
		if [ "$uptime" -ge "$end" ]; then
			report_continuation
			return 0
		fi
		read -r -t 0.25 _ <&3
	done
	: >"$PULL/reported"
	emit "$outcome"
	case $outcome in *'"preloaded"'*) ;; *) return 1 ;; esac
}

report_failed_pull() { # IMAGE STDERR_IN_BASE64
	emit "{\"event\":\"preloadFailed\",\"image64\":\"$(printf '%s' "$1" | to_base64)\",\"stderr64\":\"$2\"}"
}

# Starts the pull, unless it is running or its outcome was not reported.
ensure_pull() { # IMAGE...
	lock_pull
	is_pulling || { read_outcome && [ ! -e "$PULL/reported" ]; } || start_pull "$@"
	exec 8>&-
}

# Returns whether there is neither a pull nor an outcome. Another session may be about to start a pull, and has removed the outcome.
was_killed() {
	lock_pull
	! is_pulling && ! read_outcome
	set -- $?
	exec 8>&-
	return "$1"
}

lock_pull() {
	exec 8<>"$PULL/lock" && flock -w 5 8
}

start_pull() { # IMAGE...
	rm -f "$PULL/outcome" "$PULL/reported"
	setsid busybox sh "$TOOLBOX/libexec/pull" "$@" </dev/null >/dev/null 2>&1 3>&- 8>&- &
	read_process "$!" && echo "$process_pid $process_start" >"$PULL/process"
}

is_pulling() {
	local pid start
	{ read -r pid start <"$PULL/process"; } 2>/dev/null && is_number "$pid" && is_number "$start" && is_alive "$pid" "$start"
}

# A line without a newline is incomplete.
read_outcome() {
	{ read -r outcome <"$PULL/outcome"; } 2>/dev/null
}
