# What the operator reads: one JSON object a line. Every text of unknown content travels as base64 in a field that ends in 64, and
# everything else is a word or a number that was checked where it was read: nothing here needs to be escaped.

REPORT_TAIL_BYTES=4096

emit() {
	printf '%s\n' "$1"
}

# The text on standard input as base64, on one line.
to_base64() {
	base64 -w 0
}

tail64() { # FILE
	tail -c "$REPORT_TAIL_BYTES" "$1" 2>/dev/null | to_base64
}

# Sets cap_eff to the effective capabilities of this process, which are those of dockerd.
read_capabilities() {
	local name value
	cap_eff=0
	while read -r name value; do
		if [ "$name" = CapEff: ]; then
			cap_eff=$value
			return
		fi
	done </proc/self/status
}

# A failure before there is any attempt to speak of.
report_refusal() { # CAUSE DETAIL
	read_capabilities
	emit "{\"event\":\"failed\",\"cause\":\"$1\",\"capEff\":\"$cap_eff\",\"detail64\":\"$(printf '%s' "$2" | to_base64)\"}"
}

report_failed() { # ATTEMPT CAUSE
	local fields="\"event\":\"failed\",\"cause\":\"$2\",\"attempt\":$1"
	if read_daemon "$1"; then
		fields="$fields,\"pid\":$daemon_pid,\"startTime\":$daemon_start"
	fi
	if read_exit "$1"; then
		fields="$fields,\"exitCode\":$daemon_exit"
	fi
	local directory=$STATE/start-$1
	read_capabilities
	emit "{$fields,\"capEff\":\"$cap_eff\",\"stdout64\":\"$(tail64 "$directory/stdout")\",\"stderr64\":\"$(tail64 "$directory/stderr")\",\"detail64\":\"$(tail64 "$directory/detail")\"}"
}

report_started() { # ATTEMPT, after read_daemon
	emit "{\"event\":\"started\",\"attempt\":$1,\"pid\":$daemon_pid,\"startTime\":$daemon_start}"
}

report_ready() { # ATTEMPT, after read_daemon and read_ready
	local mtu=
	[ "$ready_mtu" = - ] || mtu=",\"uplinkMtu\":$ready_mtu"
	emit "{\"event\":\"ready\",\"attempt\":$1,\"pid\":$daemon_pid,\"startTime\":$daemon_start,\"retryCount\":$ready_retries,\"readyAfterMilliseconds\":$ready_after,\"startedAt\":$daemon_started_at,\"info64\":\"$ready_info\"$mtu}"
}
