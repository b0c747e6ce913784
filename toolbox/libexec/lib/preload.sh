# Pulls images before they are needed. Existing images are not pulled again, so that the verb can be repeated.

PRELOAD_SECONDS=600

preload() { # IMAGE...
	local image output
	open_session
	shed_client_settings
	export DOCKER_CONFIG="$session/no-config"
	[ ! -e "$CREDENTIALS" ] || DOCKER_CONFIG=${CREDENTIALS%/*}
	for image; do
		docker -H "unix://$DOCKER_SOCKET" image inspect --format . "$image" >/dev/null 2>&1 && continue
		if ! timeout -s KILL "$PRELOAD_SECONDS" docker -H "unix://$DOCKER_SOCKET" pull --quiet "$image" >"$session/pull-output" 2>&1; then
			output=$(tail64 "$session/pull-output")
			emit "{\"event\":\"preloadFailed\",\"image64\":\"$(printf '%s' "$image" | to_base64)\",\"stderr64\":\"$output\"}"
			return 1
		fi
	done
	emit '{"event":"preloaded"}'
}
