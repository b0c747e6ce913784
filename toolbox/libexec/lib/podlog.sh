# Copies the output of dockerd and its containerd to the pod's log, for `kubectl logs`. They write to files, so a blocked log delays only
# the copy.

# Starts the copy of an attempt's stderr from its beginning, to the output of PID 1. The image's entrypoint may have redirected its output
# to a file, so only a pipe is used.
copy_to_pod_log() { # ATTEMPT
	local log
	for log in /proc/1/fd/2 /proc/1/fd/1; do
		if [ -p "$log" ]; then
			# Create the file, because tail does not wait for it.
			: >>"$STATE/start-$1/stderr"
			tail -c +1 -f "$STATE/start-$1/stderr" >"$log" 2>/dev/null &
			read_process "$!" && echo "$process_pid $process_start" >"$STATE/start-$1/copier"
			return
		fi
	done
}

# tail checks the file once per second.
end_copy() { # ATTEMPT
	local pid start
	{ read -r pid start <"$STATE/start-$1/copier"; } 2>/dev/null || return 0
	is_number "$pid" && is_number "$start" && is_alive "$pid" "$start" && kill "$pid"
}
