# Makes the toolbox's commands available in the sandbox. A pod can't extend the PATH of an image, so it creates links in a directory that
# is on the PATH. The image's own commands take precedence.

make_offers() { # IMAGE_PATH
	offer_commands "$1"
	offer_plugins
	offer_credentials
}

# Prints the path of a command on another PATH than this shell's. Unlike `command -v`, it ignores builtins and applets.
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

# Uses /usr/local/bin if it is on the PATH, as in most images, otherwise the first directory of the PATH.
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

# Makes `docker compose` and `docker buildx` available to every user of docker in the sandbox.
offer_plugins() {
	local plugins=/usr/local/lib/docker/cli-plugins directory
	for directory in /usr/local/lib /usr/local/libexec /usr/lib /usr/libexec; do
		[ ! -e "$directory/docker/cli-plugins" ] || return 0
	done
	mkdir -p "$plugins"
	ln -s "$TOOLBOX/libexec/docker/cli-plugins/docker-buildx" "$TOOLBOX/libexec/docker/cli-plugins/docker-compose" "$plugins/"
}

# Makes the mounted registry credentials available to docker in the sandbox. They are read-only, so an existing config.json, for example
# of `docker login`, is not replaced.
offer_credentials() {
	[ -e "$CREDENTIALS" ] || return 0
	local directory=${HOME:-/root}/.docker
	[ ! -e "$directory/config.json" ] && [ ! -L "$directory/config.json" ] || return 0
	[ -d "$directory" ] || mkdir -p "$directory"
	ln -s "$CREDENTIALS" "$directory/config.json"
}
