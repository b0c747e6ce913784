# The environment of dockerd: that of the container (it may hold a proxy, say), less what is meant for others.

# What the image preloads is built for the image's libc, and would be loaded into the toolbox's programs.
shed_preloads() {
	unset LD_PRELOAD LD_LIBRARY_PATH
}

AUTHORITIES=/etc/caisson/registry/authorities

# These tell docker, the client, where to go and how; dockerd and our own docker would listen to some of them.
shed_client_settings() {
	unset DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_TLS DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_API_VERSION
}

toolbox_environment() { # IMAGE_PATH
	shed_client_settings
	PATH=$TOOLBOX/bin:$1
	offer_certificates
}

image_environment() { # IMAGE_PATH
	unset XTABLES_LIBDIR
	PATH=$1
}

# Where Go looks for CA certificates. An image that has them, or says where they are, is believed.
offer_certificates() {
	[ -z "${SSL_CERT_FILE-}${SSL_CERT_DIR-}" ] || return 0
	find_certificates || export SSL_CERT_FILE="$TOOLBOX/etc/ca-certificates.crt"
}

# Sets certificates to the file that Go takes them from when it isn't told, or fails.
find_certificates() {
	for certificates in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/pki/tls/cacert.pem \
		/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
		[ ! -e "$certificates" ] || return 0
	done
	return 1
}

# The authorities that the Sandbox names, on top of those that there are. They hold for dockerd, which Go tells of them by the same
# variable as of all others, and for nothing else in the sandbox.
trust_authorities() {
	set -- "$AUTHORITIES"/*
	[ -e "$1" ] || return 0
	if [ -n "${SSL_CERT_FILE-}" ]; then
		certificates=$SSL_CERT_FILE
	elif ! find_certificates && [ -z "${SSL_CERT_DIR-}" ]; then
		certificates=$TOOLBOX/etc/ca-certificates.crt
	fi
	# Unlike cat, awk ends a last line that has no end. It would take 300 ms for a whole bundle.
	{
		awk 1 "$@"
		[ ! -e "$certificates" ] || cat "$certificates"
	} >"$STATE/authorities.crt" && export SSL_CERT_FILE="$STATE/authorities.crt"
}
