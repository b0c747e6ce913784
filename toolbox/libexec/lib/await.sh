# Waiting for a dockerd until it is of use, or isn't any more. A fork costs 5 to 10 ms in gVisor and an exec twice that, so the loop has
# none: it sleeps in `read -t` on a FIFO, which also wakes it at once when `docker info` has an answer.

DOCKER_SOCKET=/var/run/docker.sock
TICK_SECONDS=0.02

# A look at /proc/PID/stat is the dearest of all, and only says something new when dockerd's supervisor was killed as well.
LIFE_CHECK_CENTISECONDS=50

# The version stands first, for docker_major.
INFO_FORMAT='{"serverVersion":{{json .ServerVersion}},"driver":{{json .Driver}},"operatingSystem":{{json .OperatingSystem}},"kernelVersion":{{json .KernelVersion}},"cgroupVersion":{{json .CgroupVersion}},"containers":{{.Containers}},"images":{{.Images}}}'

# Reports how the attempt goes; returns 0 when it is ready, 1 when it failed. Waits TIMEOUT_SECONDS, counted from dockerd's launch
# whoever waited before; for one that was ready before, or whose time is up, from now.
await_docker() { # ATTEMPT TIMEOUT_SECONDS
	local started='' asking='' answered='' retries=0 answer deadline next_look
	open_session
	uptime_now
	deadline=$((uptime + $2 * 100))
	next_look=$((uptime + LIFE_CHECK_CENTISECONDS))
	while :; do
		if read_failed "$1"; then
			report_failed "$1" "$failed_cause"
			return 1
		fi
		if [ -n "$started" ] && read_exit "$1"; then
			report_failed "$1" Exited
			return 1
		fi
		if [ -z "$started" ] && read_daemon "$1"; then
			started=1
			report_started "$1"
			if ! read_ready "$1"; then
				deadline=$((daemon_launched + $2 * 100))
				[ "$deadline" -ge $((uptime + 500)) ] || deadline=$((uptime + 500))
			fi
		fi
		if [ -n "$answered" ]; then
			conclude "$1" "$retries" && return
		elif [ -n "$started" ] && [ -z "$asking" ] && [ -S "$DOCKER_SOCKET" ]; then
			asking=1
			ask_docker &
		fi
		if read -r -t "$TICK_SECONDS" answer <&3; then
			asking=
			if [ "$answer" = good ]; then
				uptime_now
				answered=$uptime
			else
				retries=$((retries + 1))
			fi
		fi
		uptime_now
		if [ "$uptime" -ge "$deadline" ]; then
			give_up "$1" TimedOut "$(tail -c 1024 "$session/complaint" 2>/dev/null)"
			return 1
		fi
		if [ -n "$started" ] && [ "$uptime" -ge "$next_look" ]; then
			next_look=$((uptime + LIFE_CHECK_CENTISECONDS))
			if ! is_alive "$daemon_pid" "$daemon_start"; then
				# Its supervisor needs a moment to write down the exit code, unless it is dead too.
				usleep 300000
				report_failed "$1" Exited
				return 1
			fi
		fi
	done
}

# A place for this session's own files, and the FIFO on descriptor 3.
open_session() {
	session=$STATE/session-$$
	trap 'rm -rf "$session"' EXIT
	mkdir -p "$session"
	[ -p "$session/answers" ] || mkfifo "$session/answers"
	exec 3<>"$session/answers"
}

# Nothing that the user or the image says to docker counts here. No output of it may be this session's stdout: that would hold the
# exec session open for as long as docker runs.
ask_docker() {
	shed_client_settings
	export DOCKER_CONFIG="$session/no-config"
	if timeout -s KILL 10 docker -H "unix://$DOCKER_SOCKET" info --format "$INFO_FORMAT" >"$session/info" 2>"$session/complaint"; then
		echo good
	else
		usleep 50000
		echo bad
	fi >&3
} >/dev/null 2>&1

# After a good `docker info`: is what surrounds dockerd there too? Fails while the supervisor is still at it.
conclude() { # ATTEMPT RETRIES; uses answered
	if ! read_ready "$1"; then
		read_prepared "$1" || return
		if [ "$(docker_major)" -ge 28 ] && ! complaint=$(write_packet); then
			give_up "$1" PacketSocketWriteMissing "$complaint"
			return 0
		fi
		echo "$(((answered - daemon_launched) * 10)) $2 $prepared_mtu $(head -c 2048 "$session/info" | to_base64)" >"$STATE/start-$1/ready"
		offer_plugins
		read_ready "$1"
	fi
	report_ready "$1"
}

docker_major() {
	local version
	read -r version <"$session/info"
	version=${version#'{"serverVersion":"'}
	version=${version%%.*}
	is_number "$version" || version=0
	echo "$version"
}

# Docker 28 and later announces every container's address by a packet socket, and fails where the node doesn't allow it. Nobody has to
# answer: sending is what counts.
write_packet() {
	:
}

# An attempt that failed leaves no daemon behind.
give_up() { # ATTEMPT CAUSE DETAIL
	record_failed "$1" "$2" "$3"
	if read_daemon "$1"; then
		end_process "$daemon_pid" "$daemon_start" 5
		usleep 100000 # for its supervisor to write down the exit code
	fi
	report_failed "$1" "$failed_cause"
}
