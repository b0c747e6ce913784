# When somebody last made use of the sandbox. Watched only where that was asked for (`sandbox start --idle yes`, `sandbox idle`): then
# there is
#
#   /run/caisson/activity      uptime in 1/100 s of the last sign of use; how many connections were accepted until the last look, - where
#                              the kernel doesn't count; the pid that the next process gets if nobody starts one before, - for not known
#
# A sign of use is a process that came by exec and is not ours, a nested container that runs, or a connection from outside to a port of
# the sandbox. What was over between two looks shows as a pid or a connection more than expected. Root in the sandbox can forge any of it.
#
# The probe looks every few seconds, so a look has no fork, and reads of each process no more than it needs.

ACTIVITY=$STATE/activity
MOST_SOCKETS=256

# Begins, unless somebody has begun already.
watch_activity() {
	local last_used last_opened next_pid
	read_activity && return
	count_connections
	uptime_now
	write_activity "$uptime" -
}

# Looks once. `pids` is how many this script uses from its beginning to its end. Sets last_used, or fails where nothing is on record.
note_activity() { # PIDS
	local last_opened next_pid
	read_activity || return
	count_connections
	uptime_now
	if was_started "$next_pid" || [ "$opened" != "$last_opened" ] || is_inhabited || is_connected; then
		last_used=$uptime
	fi
	write_activity "$last_used" $(($$ + $1))
}

# After a session that had processes of its own, nobody knows how many.
forget_pids() {
	local last_opened next_pid last_used
	read_activity || return 0
	opened=$last_opened
	write_activity "$last_used" -
}

# Sets last_used, last_opened and next_pid, or fails: nobody has asked for it, or another look is being written down.
read_activity() {
	{ read -r last_used last_opened next_pid <"$ACTIVITY"; } 2>/dev/null && is_number "$last_used" && [ -n "$next_pid" ]
}

write_activity() { # LAST_USED NEXT_PID; uses opened
	echo "$1 $opened $2" >"$ACTIVITY"
}

# A pid lower than expected tells nothing: they begin anew some day, and a probe may be killed before it has used all of its own.
was_started() { # NEXT_PID
	is_number "$1" && [ "$$" -gt "$1" ]
}

# Sets opened to the number of connections that were ever accepted here, established to that of all that are open now.
count_connections() {
	local name accepted now
	opened=- established=0
	[ -e /proc/net/snmp ] || return 0
	while read -r name _ _ _ _ _ accepted _ _ now _; do
		if [ "$name" = Tcp: ] && is_number "$accepted"; then
			opened=$accepted established=$now
			return
		fi
	done </proc/net/snmp
}

# An exec's process has no parent that can be seen from here. Nested containers have each a shim; a step of a build has runc alone.
is_inhabited() {
	local directory line name
	for directory in /proc/[0-9]*; do
		line=
		{ read -r -n 32 line <"$directory/stat"; } 2>/dev/null
		name=${line#*\(}
		name=${name%)*}
		case $name in containerd-shim* | runc | runc:*) return 0 ;; esac
		# Its state and its parent follow the name. All of this fits into what was read: a name has 15 bytes at the most.
		case ${line##*) } in
		[ZX]' '*) ;;
		?' 0 '*) is_ours "${directory#/proc/}" || return 0 ;;
		esac
	done
	return 1
}

is_ours() { # PID
	local script=
	[ "$1" = 1 ] || [ "$1" = "$$" ] && return
	{ { read -r -d '' _ && read -r -d '' _ && read -r -d '' script; } <"/proc/$1/cmdline"; } 2>/dev/null
	case $script in
	"$TOOLBOX/libexec/"*) ;;
	'') [ ! -e "/proc/$1" ] ;; # it has ended meanwhile
	*) return 1 ;;
	esac
}

# Is anybody from outside connected to a port that something listens on? So many sockets that they take long to read are somebody's.
is_connected() { # uses established
	local file local_address remote status listening=' ' connected='' sockets=0 port
	[ "$established" != 0 ] || return 1
	for file in /proc/net/tcp /proc/net/tcp6; do
		[ -e "$file" ] || continue
		while read -r _ local_address remote status _; do
			sockets=$((sockets + 1))
			[ "$sockets" -le "$MOST_SOCKETS" ] || return 0
			case $status in
			0A) listening="$listening${local_address##*:} " ;;
			01) is_loopback "${remote%:*}" || connected="$connected ${local_address##*:}" ;;
			esac
		done <"$file"
	done
	for port in $connected; do
		case $listening in *" $port "*) return 0 ;; esac
	done
	return 1
}

# As the kernel writes them: in words of four bytes, each of them backwards.
is_loopback() { # ADDRESS
	case $1 in
	??????7F | 0000000000000000FFFF0000??????7F | 00000000000000000000000001000000) ;;
	*) return 1 ;;
	esac
}
