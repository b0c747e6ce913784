# Waiting for a dockerd until it is of use, or isn't any more. A fork costs 5 to 10 ms in gVisor and an exec twice that, so the loop has
# none: it sleeps in `read -t` on a FIFO, which also wakes it at once when `docker info` has an answer.

DOCKER_SOCKET=/var/run/docker.sock

# A tick costs 2 ms of CPU, which on a busy node dockerd waits for. So it is a twentieth of the wait so far, within these bounds.
SHORTEST_TICK_CENTISECONDS=2
LONGEST_TICK_CENTISECONDS=25

# A look at /proc/PID/stat is the dearest of all, and only says something new when dockerd's supervisor was killed as well.
LIFE_CHECK_CENTISECONDS=50

# What a session that comes late, after an operator was away, waits at least: dockerd may be there by now.
LATE_SECONDS=5

# The version stands first, for docker_major.
INFO_FORMAT='{"serverVersion":{{json .ServerVersion}},"driver":{{json .Driver}},"operatingSystem":{{json (truncate .OperatingSystem 200)}},"kernelVersion":{{json .KernelVersion}},"cgroupVersion":{{json .CgroupVersion}},"containers":{{.Containers}},"images":{{.Images}}}'

# Reports how the attempt goes; returns 0 when it is ready, 1 when it failed. Waits TIMEOUT_SECONDS, counted from dockerd's launch
# whoever waited before. One that was ready before is not waited for.
await_docker() { # ATTEMPT TIMEOUT_SECONDS
	local started='' asking='' answered='' retries=0 answer began deadline grace next_look outcome tick
	open_session
	uptime_now
	began=$uptime
	deadline=$((uptime + $2 * 100))
	grace=$((uptime + ($2 < LATE_SECONDS ? $2 : LATE_SECONDS) * 100))
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
			if read_ready "$1" && read_facts "$1"; then
				attend "$1"
				return
			fi
			read_origin # now, that there is nothing to do but wait
			deadline=$((daemon_launched + $2 * 100))
			[ "$deadline" -ge "$grace" ] || deadline=$grace
		fi
		if [ -n "$answered" ]; then
			conclude "$1" "$retries" && return "$outcome"
		elif [ -n "$started" ] && [ -z "$asking" ] && [ -S "$DOCKER_SOCKET" ]; then
			asking=1
			ask_docker &
		fi
		set_tick $(((uptime - began) / 20))
		# One byte: of a longer word the tick may end in the middle.
		if read -r -n 1 -t "$tick" answer <&3; then
			asking=
			if [ "$answer" = y ]; then
				uptime_now
				answered=$uptime
			else
				retries=$((retries + 1))
			fi
		fi
		uptime_now
		if [ "$uptime" -ge "$deadline" ]; then
			give_up "$1" TimedOut "$(last_answer)"
			return 1
		fi
		if [ -n "$started" ] && [ "$uptime" -ge "$next_look" ]; then
			next_look=$((uptime + LIFE_CHECK_CENTISECONDS))
			if ! is_alive "$daemon_pid" "$daemon_start"; then
				report_death "$1"
				return 1
			fi
		fi
	done
}

# Sets tick to a number of seconds.
set_tick() { # CENTISECONDS
	local centiseconds=$1
	[ "$centiseconds" -ge "$SHORTEST_TICK_CENTISECONDS" ] || centiseconds=$SHORTEST_TICK_CENTISECONDS
	[ "$centiseconds" -le "$LONGEST_TICK_CENTISECONDS" ] || centiseconds=$LONGEST_TICK_CENTISECONDS
	case $centiseconds in
	?) tick=0.0$centiseconds ;;
	*) tick=0.$centiseconds ;;
	esac
}

last_answer() {
	if [ -S "$DOCKER_SOCKET" ]; then
		tail -c 1024 "$session/complaint"
	else
		echo "there is no socket $DOCKER_SOCKET"
	fi 2>/dev/null
}

# A daemon that was of use once only has to live: to end it because a busy node makes it slow would cost all that runs in it.
attend() { # ATTEMPT; uses daemon_pid, daemon_start
	if is_alive "$daemon_pid" "$daemon_start"; then
		report_ready "$1"
	else
		report_death "$1"
		return 1
	fi
}

# Its supervisor needs a moment to write down the exit code, on a busy node a long one; unless it is dead too.
report_death() { # ATTEMPT
	local looks=0
	until read_exit "$1" || [ "$looks" -ge 20 ]; do
		looks=$((looks + 1))
		usleep 100000
	done
	report_failed "$1" Exited
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
	# With a format docker succeeds where nobody answers, too: what it prints then has no version in it.
	if timeout -s KILL 10 docker -H "unix://$DOCKER_SOCKET" info --format "$INFO_FORMAT" >"$session/info" 2>"$session/said" &&
		has_version; then
		printf y
	else
		# Of the time limit too, which may fall into the next question.
		mv -f "$session/said" "$session/complaint"
		usleep 50000
		printf n
	fi >&3
} >/dev/null 2>&1

# After a good `docker info`: was it this dockerd that answered, and is what surrounds it there too? Fails while that isn't so yet, else
# sets outcome to what await_docker returns.
conclude() { # ATTEMPT RETRIES; uses answered
	outcome=1
	is_alive "$daemon_pid" "$daemon_start" || return
	if ! { read_ready "$1" && read_facts "$1"; }; then
		read_prepared "$1" || return
		# Of the image's docker it is only known now what it needs.
		if [ "$from" = Image ]; then
			read_docker_major
			if [ "$docker_major" -ge 28 ] && find_uplink && ! complaint=$(write_packet); then
				give_up "$1" PacketSocketWriteMissing "$complaint"
				return 0
			fi
		fi
		record_ready "$1" "$2" || return
	fi
	offer_plugins
	report_ready "$1"
	outcome=0
}

# What it writes it also sets, as read_ready and read_facts do.
record_ready() { # ATTEMPT RETRIES; uses answered
	find_bridge
	ready_after=$(((answered - daemon_launched) * 10)) ready_retries=$2 ready_mtu=$prepared_mtu ready_bridge_mtu=$bridge_mtu
	ready_origin=$origin ready_info=$(head -c 2048 "$session/info" | to_base64)
	echo "$ready_origin $ready_info" >"$STATE/start-$1/facts" &&
		echo "$ready_after $ready_retries $ready_mtu $ready_bridge_mtu" >"$STATE/start-$1/ready"
}

has_version() {
	local line=
	read -r line <"$session/info"
	case $line in
	'{"serverVersion":"",'* | '') return 1 ;;
	esac
}

read_docker_major() {
	read -r docker_major <"$session/info"
	docker_major=${docker_major#'{"serverVersion":"'}
	docker_major=${docker_major%%.*}
	is_number "$docker_major" || docker_major=0
}

# Sets origin to where the toolbox's dockerd came from, as base64; to - for the image's own, and for a toolbox that doesn't tell.
read_origin() {
	local line=
	origin=-
	[ "$from" = Toolbox ] || return 0
	{ read -r line <"$TOOLBOX/etc/origin"; } 2>/dev/null
	[ -n "$line" ] || return 0
	origin=$(
		base64 -w 0 <<-END
			${line:0:200}
		END
	)
}

# An attempt that failed leaves no daemon behind.
give_up() { # ATTEMPT CAUSE DETAIL
	record_failed "$1" "$2" "$3"
	if read_daemon "$1"; then
		end_process "$daemon_pid" "$daemon_start" 5
		usleep 100000 # for its supervisor to write down the exit code
	fi
	read_failed "$1"
	report_failed "$1" "$failed_cause"
}
