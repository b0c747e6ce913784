# The environment of dockerd: the container's environment (which may contain proxy settings) without the variables for other programs.

# Libraries that the image preloads are built for its libc, and must not be loaded into the toolbox's programs.
shed_preloads() {
	unset LD_PRELOAD LD_LIBRARY_PATH
}

AUTHORITIES=/etc/caisson/registry/authorities

# These variables configure the docker client. dockerd and the toolbox's docker would read some of them.
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

# Provides the toolbox's CA certificates to Go programs, unless the image contains or configures CA certificates.
offer_certificates() {
	[ -z "${SSL_CERT_FILE-}${SSL_CERT_DIR-}" ] || return 0
	find_certificates || export SSL_CERT_FILE="$TOOLBOX/etc/ca-certificates.crt"
}

# Sets certificates to the file that Go uses by default, or fails if there is none.
find_certificates() {
	for certificates in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/pki/tls/cacert.pem \
		/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
		[ ! -e "$certificates" ] || return 0
	done
	return 1
}

# Adds the CAs of the Sandbox to the existing CAs, only for dockerd. Go reads all CAs from the file in SSL_CERT_FILE.
trust_authorities() {
	set -- "$AUTHORITIES"/*
	[ -e "$1" ] || return 0
	if [ -n "${SSL_CERT_FILE-}" ]; then
		certificates=$SSL_CERT_FILE
	elif ! find_certificates && [ -z "${SSL_CERT_DIR-}" ]; then
		certificates=$TOOLBOX/etc/ca-certificates.crt
	fi
	# Unlike cat, awk adds a missing newline at the end of a file. It would take 300 ms for the complete bundle.
	{
		awk 1 "$@"
		[ ! -e "$certificates" ] || cat "$certificates"
	} >"$STATE/authorities.crt" && export SSL_CERT_FILE="$STATE/authorities.crt"
}
