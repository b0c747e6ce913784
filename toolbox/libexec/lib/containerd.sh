# dockerd would start a containerd of its own, find that it doesn't listen yet, and look again a second later. Started here, at the
# same time as dockerd, it listens before dockerd asks: that is half of the time from dockerd's start until it is ready.

CONTAINERD_SOCKET=$STATE/containerd.sock

# The directories are those of dockerd's own containerd, so that either finds what the other has left.
configure_containerd() {
	printf '%s\n' 'version = 2' 'root = "/var/lib/docker/containerd/daemon"' 'state = "/run/docker/containerd/daemon"' \
		'disabled_plugins = ["io.containerd.grpc.v1.cri"]' '[grpc]' "address = \"$CONTAINERD_SOCKET\"" >"$STATE/containerd.toml"
}

# Runs until it is told to end; the containerd that it keeps then ends as well. What containerd says belongs to dockerd's stderr,
# where it would be if dockerd had started it; less its
# account of every plugin, which would leave no room for the error in what the operator is shown.
keep_containerd() { # ATTEMPT
	local keeper
	exec 9>&- # the lock is for launching only
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

# Also where its keeper is dead: two containerds wait for each other's database.
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
