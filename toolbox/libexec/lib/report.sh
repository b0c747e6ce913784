# The reports that the operator reads: one JSON object per line. Every text of unknown content is base64 in a field whose name ends in 64.
# All other values are words or numbers that were checked when they were read, so no value needs to be escaped.

REPORT_TAIL_BYTES=4096
REDACTED_BYTES=65536

emit() {
	printf '%s\n' "$1"
}

# Encodes standard input as base64 on one line.
to_base64() {
	base64 -w 0
}

# Prints the end of a log, including the part before it was truncated, as base64.
tail64() { # FILE
	if [ -e "$CREDENTIALS" ]; then
		# Redacts more than the reported tail, so that the tail starts after a credential that the limit may have cut in half.
		log_end "$1" "$REDACTED_BYTES" | redact "$REDACTED_BYTES" | tail -c "$REPORT_TAIL_BYTES" | to_base64
	else
		log_end "$1" "$REPORT_TAIL_BYTES" | to_base64
	fi
}

log_end() { # FILE BYTES
	if [ -e "$1.earlier" ]; then
		cat "$1.earlier" "$1" | tail -c "$2"
	else
		tail -c "$2" "$1"
	fi 2>/dev/null
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

# Reports a failure before there is an attempt.
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

# Reports that the session ends before the start or the preload does. The next session continues it.
report_continuation() {
	emit '{"event":"continues"}'
}

report_started() { # ATTEMPT, after read_daemon
	emit "{\"event\":\"started\",\"attempt\":$1,\"pid\":$daemon_pid,\"startTime\":$daemon_start}"
}

report_ready() { # ATTEMPT, after read_daemon, read_ready and read_facts
	local more=
	[ "$ready_mtu" = - ] || more=",\"uplinkMtu\":$ready_mtu"
	[ "$ready_bridge_mtu" = - ] || more="$more,\"bridgeMtu\":$ready_bridge_mtu"
	[ "$ready_origin" = - ] || more="$more,\"origin64\":\"$ready_origin\""
	emit "{\"event\":\"ready\",\"attempt\":$1,\"pid\":$daemon_pid,\"startTime\":$daemon_start,\"retryCount\":$ready_retries,\"readyAfterMilliseconds\":$ready_after,\"startedAt\":$daemon_started_at,\"info64\":\"$ready_info\"$more}"
}
