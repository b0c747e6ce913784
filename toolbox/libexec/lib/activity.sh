# When somebody last made use of the sandbox. Watched only where that was asked for (`sandbox start --idle yes`, `sandbox idle`): then
# there is
#
#   /run/caisson/activity      uptime in 1/100 s of the last sign of use; how many connections were accepted until the last look, and the
#                              pid that the next process gets if nobody starts one before; - for not known
#
# A sign of use is a process that came by exec and is not ours, a nested container that runs, or a connection from outside to a port of
# the sandbox. What was over between two looks shows as a pid or a connection more than expected. Root in the sandbox can forge any of it.
#
# The probe looks every few seconds, so a look is one fork, which reads all there is to read: a shell would do so byte by byte.

ACTIVITY=$STATE/activity
MOST_SOCKETS=256

# Begins, unless somebody has begun already.
watch_activity() {
	local last_used last_opened next_pid
	read_activity && return
	uptime_now
	write_activity "$uptime" - -
}

# Looks once. `pids` is how many this script uses from its beginning to its end, but for this. Sets last_used, or fails where nothing
# is on record.
note_activity() { # PIDS
	local last_opened next_pid
	read_activity || return
	look
	uptime_now
	if was_started "$next_pid" || was_connected "$last_opened" || [ -n "$inhabited" ] || is_connected; then
		last_used=$uptime
	fi
	write_activity "$last_used" "$opened" $(($$ + $1 + 1))
}

# After a session that had processes of its own, nobody knows how many.
forget_pids() {
	local last_opened next_pid last_used
	read_activity || return 0
	write_activity "$last_used" "$last_opened" -
}

# Sets last_used, last_opened and next_pid, or fails: nobody has asked for it, or another look is being written down.
read_activity() {
	{ read -r last_used last_opened next_pid <"$ACTIVITY"; } 2>/dev/null && is_number "$last_used" && [ -n "$next_pid" ]
}

write_activity() { # LAST_USED OPENED NEXT_PID
	echo "$*" >"$ACTIVITY"
}

# A pid lower than expected tells nothing: they begin anew some day, and a probe may be killed before it has used all of its own.
was_started() { # NEXT_PID
	is_number "$1" && [ "$$" -gt "$1" ]
}

was_connected() { # LAST_OPENED
	is_number "$1" && [ "$opened" != "$1" ]
}

# Sets opened to the number of connections that were ever accepted here, established to that of all that are open now, and inhabited
# where somebody is here.
look() {
	local line IFS='
'
	opened=- established=0 inhabited=''
	# A process may end before it is read. Its name may be a pattern.
	set -- /proc/[0-9]*/stat
	set -f
	# shellcheck disable=SC2013
	for line in $(cat /proc/net/snmp "$@" 2>/dev/null); do
		case $line in
		'Tcp: '[0-9]*) read_counters "$line" ;;
		*'('*) [ -n "$inhabited" ] || ! is_somebody "$line" || inhabited=yes ;;
		esac
	done
	set +f
}

read_counters() { # LINE
	local IFS=' '
	# shellcheck disable=SC2086
	set -- $1
	opened=${7-} established=${10-0}
}

# An exec's process has no parent that can be seen from here. Nested containers have each a shim; a step of a build has runc alone.
is_somebody() { # LINE of /proc/PID/stat
	local name=${1#*\(}
	name=${name%)*}
	case $name in containerd-shim* | runc | runc:*) return 0 ;; esac
	# Its state and its parent follow the name.
	case ${1##*) } in
	[ZX]' '*) return 1 ;;
	?' 0 '*) ! is_ours "${1%% *}" ;;
	*) return 1 ;;
	esac
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
