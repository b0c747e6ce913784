# Waits until dockerd is ready or has failed. A fork takes 5 to 10 ms in gVisor and an exec twice as long, so the loop uses neither: it
# sleeps with `read -t` on a FIFO, which also wakes it immediately when dockerd has answered.

DOCKER_SOCKET=/var/run/docker.sock

# A tick uses 2 ms of CPU, which delays dockerd on a busy node. So the interval is a twentieth of the elapsed time, within these limits.
SHORTEST_TICK_CENTISECONDS=2
LONGEST_TICK_CENTISECONDS=25

# Reading /proc/PID/stat is the most expensive check, and only necessary if dockerd's supervisor was killed as well.
LIFE_CHECK_CENTISECONDS=50

# The minimum wait of a late session, for example after a restart of the operator, because dockerd may be ready by now. It must be shorter
# than --wait: otherwise no session would reach the timeout.
LATE_SECONDS=5

# What `docker info` shows. The version must be the first field, for read_docker_major.
INFO_FIELDS=ServerVersion,Driver

# Reports the progress of the attempt. Returns 0 when dockerd is ready, 1 when it has failed. The timeout starts when dockerd is launched,
# also for a later session. It does not wait for a dockerd that was ready before. After WAIT_SECONDS, it reports that the start continues and
# returns 0, so that the session ends and the operator can open others.
await_docker() { # ATTEMPT TIMEOUT_SECONDS WAIT_SECONDS
	local has_started='' is_querying='' answer_time='' retries=0 answer began deadline end grace next_look outcome tick
	open_session
	uptime_now
	began=$uptime
	deadline=$((uptime + $2 * 100))
	end=$((uptime + $3 * 100))
	grace=$((uptime + ($2 < LATE_SECONDS ? $2 : LATE_SECONDS) * 100))
	next_look=$((uptime + LIFE_CHECK_CENTISECONDS))
	while :; do
		if read_failed "$1"; then
			report_failed "$1" "$failed_cause"
			return 1
		fi
		if [ -n "$has_started" ] && read_exit "$1"; then
			report_failed "$1" Exited
			return 1
		fi
		if [ -z "$has_started" ] && read_daemon "$1"; then
			has_started=1
			report_started "$1"
			if read_ready "$1" && read_facts "$1"; then
				attend "$1"
				return
			fi
			read_origin # now, because dockerd needs time to start anyway
			deadline=$((daemon_launched + $2 * 100))
			[ "$deadline" -ge "$grace" ] || deadline=$grace
		fi
		if [ -n "$answer_time" ]; then
			conclude "$1" "$retries" && return "$outcome"
		elif [ -n "$has_started" ] && [ -z "$is_querying" ] && [ -S "$DOCKER_SOCKET" ]; then
			is_querying=1
			ask_docker &
		fi
		set_tick $(((uptime - began) / 20))
		# The result is one byte, because the tick could end in the middle of a longer word.
		if read -r -n 1 -t "$tick" answer <&3; then
			is_querying=
			if [ "$answer" = y ]; then
				uptime_now
				answer_time=$uptime
			else
				retries=$((retries + 1))
			fi
		fi
		uptime_now
		if [ "$uptime" -ge "$deadline" ]; then
			give_up "$1" TimedOut "$(last_answer)"
			return 1
		fi
		if [ "$uptime" -ge "$end" ]; then
			report_continuation
			return 0
		fi
		if [ -n "$has_started" ] && [ "$uptime" -ge "$next_look" ]; then
			next_look=$((uptime + LIFE_CHECK_CENTISECONDS))
			if ! is_alive "$daemon_pid" "$daemon_start"; then
				report_death "$1"
				return 1
			fi
		fi
	done
}

# Sets tick to the interval in seconds.
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

# A daemon that was ready before must only be alive: ending a daemon that is slow on a busy node would end all its containers.
attend() { # ATTEMPT; uses daemon_pid, daemon_start
	if is_alive "$daemon_pid" "$daemon_start"; then
		report_ready "$1"
	else
		report_death "$1"
		return 1
	fi
}

# The supervisor needs some time to record the exit code, especially on a busy node, unless it was killed as well.
report_death() { # ATTEMPT
	local looks=0
	until read_exit "$1" || [ "$looks" -ge 20 ]; do
		looks=$((looks + 1))
		usleep 100000
	done
	report_failed "$1" Exited
}

# Creates a directory for this session's files, and opens the FIFO on descriptor 3.
open_session() {
	session=$STATE/session-$$
	trap 'rm -rf "$session"' EXIT
	mkdir -p "$session"
	[ -p "$session/answers" ] || mkfifo "$session/answers"
	exec 3<>"$session/answers"
}

# This asks without the docker CLI, which takes 60 to 100 ms longer. The process must not inherit this session's stdout, because that
# would keep the exec session open while it runs.
ask_docker() {
	if agent get --timeout 10s --fields "$INFO_FIELDS" "$DOCKER_SOCKET" /info >"$session/info" 2>"$session/stderr"; then
		printf y
	else
		# Keep the error message of this query, because the timeout may occur during the next query.
		mv -f "$session/stderr" "$session/complaint"
		usleep 50000
		printf n
	fi >&3
} >/dev/null 2>&1

# After dockerd has answered: checks that this dockerd is alive and that the preparation is complete. Fails if it must be called again,
# otherwise sets outcome to the return value of await_docker.
conclude() { # ATTEMPT RETRIES; uses answer_time
	outcome=1
	is_alive "$daemon_pid" "$daemon_start" || return
	if ! { read_ready "$1" && read_facts "$1"; }; then
		read_prepared "$1" || return
		# The version of the image's dockerd, and thus its needs, are known only now.
		if [ "$from" = Image ]; then
			read_docker_major
			if [ "$docker_major" -ge 28 ] && find_uplink && ! complaint=$(write_packet); then
				give_up "$1" PacketSocketWriteMissing "$complaint"
				return 0
			fi
		fi
		record_ready "$1" "$2" || return
	fi
	report_ready "$1"
	outcome=0
}

# Also sets the variables that it writes, like read_ready and read_facts.
record_ready() { # ATTEMPT RETRIES; uses answer_time
	find_bridge
	ready_after=$(((answer_time - daemon_launched) * 10)) ready_retries=$2 ready_mtu=$prepared_mtu ready_bridge_mtu=$bridge_mtu
	ready_origin=$origin ready_info=$(head -c 2048 "$session/info" | to_base64)
	echo "$ready_origin $ready_info" >"$STATE/start-$1/facts" &&
		echo "$ready_after $ready_retries $ready_mtu $ready_bridge_mtu" >"$STATE/start-$1/ready"
}

read_docker_major() {
	read -r docker_major <"$session/info"
	docker_major=${docker_major#'{"serverVersion":"'}
	docker_major=${docker_major%%.*}
	is_number "$docker_major" || docker_major=0
}

# Sets origin to the origin of the toolbox's dockerd in base64, or to - for the image's dockerd and for a toolbox without an origin.
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

# Records the failure and ends dockerd.
give_up() { # ATTEMPT CAUSE DETAIL
	record_failed "$1" "$2" "$3"
	if read_daemon "$1"; then
		end_process "$daemon_pid" "$daemon_start" 5
		usleep 100000 # until its supervisor has recorded the exit code
	fi
	read_failed "$1"
	report_failed "$1" "$failed_cause"
}
