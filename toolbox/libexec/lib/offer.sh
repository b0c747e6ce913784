# Offers the toolbox's commands to whoever works in the sandbox. A pod can't extend the PATH of an image, so there are links in a
# directory that is on it. What the image brings itself always stays what is found.

# The path of a command on a PATH that is not this shell's. Unlike `command -v` this knows no builtins and no applets.
find_command() { # NAME PATH
	local name=$1 directory IFS=:
	set -f
	# shellcheck disable=SC2086
	set -- $2
	set +f
	for directory; do
		if [ -f "$directory/$name" ] && [ -x "$directory/$name" ]; then
			printf '%s' "$directory/$name"
			return
		fi
	done
	return 1
}

# /usr/local/bin where that is on the PATH, as nearly everywhere; else the first directory of it.
offer_commands() { # IMAGE_PATH
	local directory name
	case :$1: in
	*:/usr/local/bin:*) directory=/usr/local/bin ;;
	*) directory=${1%%:*} ;;
	esac
	case $directory in
	/*) ;;
	*) return ;;
	esac
	for name in docker busybox; do
		find_command "$name" "$1" >/dev/null && continue
		[ -d "$directory" ] || mkdir -p "$directory"
		ln -sf "$TOOLBOX/bin/$name" "$directory/$name"
	done
}

# `docker compose` and `docker buildx`. Found by docker in this directory, for every user of it.
offer_plugins() {
	local plugins=/usr/local/lib/docker/cli-plugins name directory
	for name in docker-buildx docker-compose; do
		for directory in /usr/local/lib /usr/local/libexec /usr/lib /usr/libexec; do
			[ -e "$directory/docker/cli-plugins/$name" ] && continue 2
		done
		[ -d "$plugins" ] || mkdir -p "$plugins"
		ln -sf "$TOOLBOX/libexec/docker/cli-plugins/$name" "$plugins/$name"
	done
}
