# The pod's own log, where `kubectl logs` looks: a copy of what dockerd and its containerd say. They write to their files whatever
# becomes of it; a log that nobody takes any more holds up this copy only.

# Starts the copy of an attempt's stderr, from its beginning. It goes where PID 1's output goes, unless that is no pipe: the image's
# entrypoint may have sent it to a file.
copy_to_pod_log() { # ATTEMPT
	local log
	for log in /proc/1/fd/2 /proc/1/fd/1; do
		if [ -p "$log" ]; then
			# There from the first moment on: tail would not wait for it.
			: >>"$STATE/start-$1/stderr"
			tail -c +1 -f "$STATE/start-$1/stderr" >"$log" 2>/dev/null &
			read_process "$!" && echo "$process_pid $process_start" >"$STATE/start-$1/copier"
			return
		fi
	done
}

# It looks once a second.
end_copy() { # ATTEMPT
	local pid start
	{ read -r pid start <"$STATE/start-$1/copier"; } 2>/dev/null || return 0
	is_number "$pid" && is_number "$start" && is_alive "$pid" "$start" && kill "$pid"
}
