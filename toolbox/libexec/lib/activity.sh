# Idle detection: when the sandbox was last used. If it is enabled (`sandbox start --idle yes`, `sandbox idle`), the record is
#
#   /run/caisson/activity      uptime in 1/100 s of the last use; the number of connections accepted until the last check; and the pid that
#                              the next process gets if no other process starts before; - if unknown
#
# Use is a process started by exec that is not one of these scripts, a running nested container, or a connection from outside to a port of
# the sandbox. Use that ended between two checks is detected by a higher pid or number of connections than expected. Root in the sandbox
# can forge all of this.
#
# The probe checks every few seconds, so a check uses only one fork, of cat, because a shell reads files byte by byte.

ACTIVITY=$STATE/activity
MAX_SOCKETS=256

# Creates the record, unless it exists.
watch_activity() {
	local last_used last_accept_count next_pid
	read_activity && return
	uptime_now
	write_activity "$uptime" - -
}

# Checks once for use. PIDS is the number of pids that the calling script uses, without this check. Sets last_used, or fails if there is no
# record.
note_activity() { # PIDS
	local last_accept_count next_pid
	read_activity || return
	scan_processes
	uptime_now
	if was_started "$next_pid" || was_connected "$last_accept_count" || [ -n "$in_use" ] || is_connected; then
		last_used=$uptime
	fi
	write_activity "$last_used" "$accept_count" $(($$ + $1 + 1))
}

# A session starts an unknown number of processes, so the next pid is unknown.
forget_pids() {
	local last_accept_count next_pid last_used
	read_activity || return 0
	write_activity "$last_used" "$last_accept_count" -
}

# Sets last_used, last_accept_count and next_pid. Fails if idle detection is disabled or another check is writing the record.
read_activity() {
	{ read -r last_used last_accept_count next_pid <"$ACTIVITY"; } 2>/dev/null && is_number "$last_used" && [ -n "$next_pid" ]
}

write_activity() { # LAST_USED ACCEPT_COUNT NEXT_PID
	echo "$*" >"$ACTIVITY"
}

# A lower pid than expected does not indicate use: pids wrap around, and a probe may be killed before it has used all its pids.
was_started() { # NEXT_PID
	is_number "$1" && [ "$$" -gt "$1" ]
}

was_connected() { # LAST_ACCEPT_COUNT
	is_number "$1" && [ "$accept_count" != "$1" ]
}

# Sets accept_count to the total number of accepted connections, open_count to the number of open connections, and in_use if there is a
# process that counts as use.
scan_processes() {
	local line IFS='
'
	accept_count=- open_count=0 in_use=''
	# A process may end before its file is read. Its name may contain glob characters.
	set -- /proc/[0-9]*/stat
	set -f
	# shellcheck disable=SC2013
	for line in $(cat /proc/net/snmp "$@" 2>/dev/null); do
		case $line in
		'Tcp: '[0-9]*) read_counters "$line" ;;
		*'('*) [ -n "$in_use" ] || ! counts_as_use "$line" || in_use=yes ;;
		esac
	done
	set +f
}

read_counters() { # LINE
	local IFS=' '
	# shellcheck disable=SC2086
	set -- $1
	accept_count=${7-} open_count=${10-0}
}

# The parent of a process started by exec is outside the PID namespace. Each nested container has a shim; a build step has only runc.
counts_as_use() { # LINE of /proc/PID/stat
	local name=${1#*\(}
	name=${name%)*}
	case $name in containerd-shim* | runc | runc:*) return 0 ;; esac
	# The state and the parent's pid follow the name.
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
	'') [ ! -e "/proc/$1" ] ;; # the process has ended
	*) return 1 ;;
	esac
}

# Returns whether there is a connection from outside to a listening port. A number of sockets that is too large to read counts as use.
is_connected() { # uses open_count
	local file local_address remote status listening_ports=' ' connected_ports='' sockets=0 port
	[ "$open_count" != 0 ] || return 1
	for file in /proc/net/tcp /proc/net/tcp6; do
		[ -e "$file" ] || continue
		while read -r _ local_address remote status _; do
			sockets=$((sockets + 1))
			[ "$sockets" -le "$MAX_SOCKETS" ] || return 0
			case $status in
			0A) listening_ports="$listening_ports${local_address##*:} " ;;
			01) is_loopback "${remote%:*}" || connected_ports="$connected_ports ${local_address##*:}" ;;
			esac
		done <"$file"
	done
	for port in $connected_ports; do
		case $listening_ports in *" $port "*) return 0 ;; esac
	done
	return 1
}

# The kernel prints addresses as words of four bytes in reverse byte order.
is_loopback() { # ADDRESS
	case $1 in
	??????7F | 0000000000000000FFFF0000??????7F | 00000000000000000000000001000000) ;;
	*) return 1 ;;
	esac
}
