# The images of Caisson, one target each:
#
#   operator                            the operator: Python, its locked packages, and nothing that builds or installs more
#   toolbox-26, toolbox-28, toolbox-29  everything a sandbox needs to run that Docker in any image, as one relocatable tree
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


# ---- toolboxes: gathered and relinked where apt is, shipped where nothing else is ----
#
# None of them is Docker's own build, which no registry of packages that this file draws on has:
#
#   26  Debian's build, from the release that the base image is of
#   28  Debian's build, from the release after that (Debian has no 27): it moves on until it is released
#   29  Debian has none yet, so dockerd, docker-proxy, containerd and its shim are built here from pinned Go modules. What exists
#       as a module is what Docker tags on the way to its next 29.x: a pre-release, and `docker version` says so. The rest (the
#       docker CLI, compose, buildx, runc, iptables) is what Debian has for 28.
#
# A major version that Debian has moved on from fails the build: it does not become another.

FROM debian AS toolbox-26-tree

# git, apparmor and the like are only recommended by docker.io: a sandbox needs none of them.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      busybox-static ca-certificates docker-buildx docker-compose iptables patchelf tini 'docker-cli=26.*' 'docker.io=26.*' \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/gather toolbox/build/attest /build/
RUN sh /build/gather /toolbox /opt/caisson && sh /build/attest 26 /toolbox


# Debian's next release, by the sources that are there: their format and their mirror are the base image's business.
FROM debian AS forky

# The indexes of a release that still moves are good for a week: false takes them from a mirror that is further behind.
ARG APT_CHECK_VALID_UNTIL=true
RUN find /etc/apt/sources.list* -type f -exec sed -i s/trixie/forky/g {} + \
 && echo "Acquire::Check-Valid-Until \"$APT_CHECK_VALID_UNTIL\";" >/etc/apt/apt.conf.d/check-valid-until


FROM forky AS forky-docker

# base-files, so that the system says which release this is.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      base-files busybox-static ca-certificates docker-buildx docker-compose iptables patchelf 'docker-cli=28.*' 'docker.io=28.*' \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/gather toolbox/build/attest /build/


FROM forky-docker AS toolbox-28-tree

RUN sh /build/gather /toolbox /opt/caisson && sh /build/attest 28 /toolbox


FROM forky AS docker-29

# The line of Go that this Docker is developed with.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates golang-1.26-go \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/compile /build/
COPY toolbox/docker-29/ /build/docker-29/
# Where modules come from, if not from where Go looks by itself; and behind a proxy with an authority of its own: mount its bundle and
# name it by --build-arg SSL_CERT_FILE=FILE.
ARG GOPROXY
ARG SSL_CERT_FILE
RUN PATH=/usr/lib/go-1.26/bin:$PATH sh /build/compile /build/docker-29 /docker


FROM forky-docker AS toolbox-29-tree

# Before those of Debian in PATH.
COPY --from=docker-29 /docker/bin/ /usr/local/bin/
COPY --from=docker-29 /docker/origin /build/origin
RUN sh /build/gather /toolbox /opt/caisson && sh /build/attest 29 /toolbox /build/origin


# The scripts come last and from a stage of their own: a change of them compiles and gathers nothing again.
FROM debian AS toolbox-scripts

COPY toolbox/libexec/ /libexec/
RUN chmod -R a+rX,go-w /libexec


# What all toolboxes have in common. The tree is at the image's root and linked to run at /opt/caisson, where it is mounted as an
# image volume. Run as a container of its own (an init container), only what is static works: busybox, and with it the scripts in
# /libexec. Which dockerd it is exactly, and where it came from, is in /etc/origin.
FROM scratch AS toolbox-common

LABEL org.opencontainers.image.title="Caisson toolbox" \
      org.opencontainers.image.description="dockerd and what it needs, relocated to /opt/caisson, with the gate and the in-pod scripts of Caisson" \
      org.opencontainers.image.licenses="Apache-2.0"

ENTRYPOINT ["/bin/busybox", "sh", "/libexec/gate"]
CMD ["--check"]


FROM toolbox-common AS toolbox-26
LABEL dev.caisson.docker.version="26"
COPY --from=toolbox-26-tree /toolbox/ /
COPY --from=toolbox-scripts /libexec/ /libexec/


FROM toolbox-common AS toolbox-28
LABEL dev.caisson.docker.version="28"
COPY --from=toolbox-28-tree /toolbox/ /
COPY --from=toolbox-scripts /libexec/ /libexec/


FROM toolbox-common AS toolbox-29
LABEL dev.caisson.docker.version="29"
COPY --from=toolbox-29-tree /toolbox/ /
COPY --from=toolbox-scripts /libexec/ /libexec/
