# Offers the toolbox's commands to whoever works in the sandbox. A pod can't extend the PATH of an image, so there are links in a
# directory that is on it. What the image brings itself always stays what is found.

make_offers() { # IMAGE_PATH
	offer_commands "$1"
	offer_credentials
}

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

# `docker compose` and `docker buildx`, for every user of docker in the sandbox. docker runs each plugin it finds to ask for its name,
# whatever it was told to do: before the first `docker info` they would cost it 150 ms.
offer_plugins() {
	local plugins=/usr/local/lib/docker/cli-plugins directory
	for directory in /usr/local/lib /usr/local/libexec /usr/lib /usr/libexec; do
		[ ! -e "$directory/docker/cli-plugins" ] || return 0
	done
	mkdir -p "$plugins"
	ln -s "$TOOLBOX/libexec/docker/cli-plugins/docker-buildx" "$TOOLBOX/libexec/docker/cli-plugins/docker-compose" "$plugins/"
}

# The registry credentials that the kubelet has mounted, for every `docker` in the sandbox. It is mounted read-only: who wants to
# `docker login` besides has a config.json, which stays.
offer_credentials() {
	[ -e "$CREDENTIALS" ] || return 0
	local directory=${HOME:-/root}/.docker
	[ ! -e "$directory/config.json" ] && [ ! -L "$directory/config.json" ] || return 0
	[ -d "$directory" ] || mkdir -p "$directory"
	ln -s "$CREDENTIALS" "$directory/config.json"
}
