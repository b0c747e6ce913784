# The images of Caisson, one target each:
#
#   operator  the operator: Python, its locked packages, and nothing that builds or installs more
#   toolbox   everything a sandbox needs to run Docker in any image, as one relocatable tree
#
# Every stage starts from Debian slim, so the local cluster can build this very file from a debootstrapped base.
# Nothing here names an architecture: linux/amd64 is what is built and tested, linux/arm64 should build and was not run.

FROM debian:trixie-slim AS debian


# ---- operator: packages are installed where pip is, shipped where it is not ----

FROM debian AS operator-build

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*

COPY requirements/operator.txt /build/operator.txt
# Behind a proxy with an authority of its own: mount its bundle and name it by --build-arg PIP_CERT=FILE.
ARG PIP_CERT
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: \
      --target /opt/operator -r /build/operator.txt

COPY operator/caisson/ /opt/operator/caisson/
# Compiled here, because the file system is read-only where it runs; not by time stamp, which a copy may change.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/operator \
 && chmod -R a+rX,go-w /opt/operator


FROM debian AS operator

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt /var/log/apt /var/log/dpkg.log

LABEL org.opencontainers.image.title="Caisson operator" \
      org.opencontainers.image.description="The Kubernetes operator of Caisson: Docker in gVisor sandboxes" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=operator-build /opt/operator/ /opt/operator/

ENV PYTHONPATH=/opt/operator PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that runAsNonRoot can be checked; it owns nothing in the image.
USER 65532:65532
ENTRYPOINT ["python3", "-m", "caisson"]
CMD ["--config", "/etc/caisson/config.yaml"]


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
