# The environment of dockerd: that of the container (it may hold a proxy, say), less what is meant for others.

# What the image preloads is built for the image's libc, and would be loaded into the toolbox's programs.
shed_preloads() {
	unset LD_PRELOAD LD_LIBRARY_PATH
}

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
	local file
	for file in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/ca-bundle.pem /etc/pki/tls/cacert.pem \
		/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/ssl/cert.pem; do
		[ ! -e "$file" ] || return 0
	done
	export SSL_CERT_FILE="$TOOLBOX/etc/ca-certificates.crt"
}
