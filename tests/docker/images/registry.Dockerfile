# A registry (Debian's docker-registry) for the tests. WITH_USER and WITH_PASSWORD enable authentication.
FROM debian:trixie-slim AS registry
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends apache2-utils ca-certificates docker-registry \
 && rm -rf /var/lib/apt/lists/*
COPY tests/docker/images/registry /usr/local/bin/registry
ENTRYPOINT ["sh", "/usr/local/bin/registry"]
