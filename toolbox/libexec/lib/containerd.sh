# dockerd would start its own containerd, find that it does not listen yet, and retry after a second. A containerd that is started here, at
# the same time as dockerd, listens before dockerd connects, which halves the time until dockerd is ready.

CONTAINERD_SOCKET=$STATE/containerd.sock

# The directories are those of dockerd's own containerd, so that both find each other's data.
configure_containerd() {
	printf '%s\n' 'version = 2' 'root = "/var/lib/docker/containerd/daemon"' 'state = "/run/docker/containerd/daemon"' \
		'disabled_plugins = ["io.containerd.grpc.v1.cri"]' '[grpc]' "address = \"$CONTAINERD_SOCKET\"" >"$STATE/containerd.toml"
}

# Restarts containerd until SIGTERM, then ends it. containerd's output is appended to dockerd's stderr, as if dockerd had started it. The log
# level omits its messages about every plugin, which would displace the error in the report.
keep_containerd() { # ATTEMPT
	local keeper
	exec 9>&- # the lock is only for launching dockerd
	trap '[ -z "${!-}" ] || kill "$!"; exit' TERM
	read_process self
	keeper="$process_pid $process_start"
	while :; do
		(
			trap - HUP
			exec containerd --config "$STATE/containerd.toml" --log-level warn </dev/null >>"$STATE/start-$1/stderr" 2>&1
		) &
		read_process "$!" && echo "$keeper $process_pid $process_start" >"$STATE/start-$1/containerd"
		wait "$!"
		sleep 1
	done
}

# Also ends a containerd without a keeper, because a second containerd would wait for its database.
end_containerd() { # ATTEMPT
	local keeper keeper_start containerd containerd_start
	read_containerd "$1" || return 0
	end_process "$keeper" "$keeper_start" 5
	end_process "$containerd" "$containerd_start" 5
}

# Sets keeper, keeper_start, containerd and containerd_start, or fails.
read_containerd() { # ATTEMPT
	{ read -r keeper keeper_start containerd containerd_start <"$STATE/start-$1/containerd"; } 2>/dev/null &&
		is_number "$keeper" && is_number "$keeper_start" && is_number "$containerd" && is_number "$containerd_start"
}
