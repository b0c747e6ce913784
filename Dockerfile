# The images of Caisson, one target each:
#
#   toolbox   everything a sandbox needs to run Docker in any image, as one relocatable tree
#
# Every stage starts from Debian slim, so the local cluster can build this very file from a debootstrapped base.

FROM debian:trixie-slim AS debian


# ---- toolbox: gathered and relinked where apt is, shipped where nothing else is ----

FROM debian AS toolbox-build

# The label below repeats this, so the build fails rather than lie when Debian moves on.
ARG DOCKER_VERSION=26.1.5

# git, apparmor and the like are only recommended by docker.io: a sandbox needs none of them.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      busybox-static ca-certificates docker-buildx docker-compose iptables patchelf tini \
      "docker-cli=$DOCKER_VERSION+*" "docker.io=$DOCKER_VERSION+*" \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/ /build/
RUN sh /build/gather /toolbox /opt/caisson

COPY toolbox/libexec/ /toolbox/libexec/
RUN chmod -R a+rX,go-w /toolbox


# The tree is at the image's root and linked to run at /opt/caisson, where it is mounted as an image volume. Run as a container
# of its own (an init container), only what is static works: busybox, and with it the scripts in /libexec.
FROM scratch AS toolbox

ARG DOCKER_VERSION=26.1.5
LABEL org.opencontainers.image.title="Caisson toolbox" \
      org.opencontainers.image.description="dockerd and what it needs, relocated to /opt/caisson, with the gate and the in-pod scripts of Caisson" \
      org.opencontainers.image.licenses="Apache-2.0" \
      dev.caisson.docker.version="$DOCKER_VERSION"

COPY --from=toolbox-build /toolbox/ /

ENTRYPOINT ["/bin/busybox", "sh", "/libexec/gate"]
CMD ["--check"]
