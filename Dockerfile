# The images of Caisson. Each target builds one image:
#
#   operator                            the operator: Python and its locked packages, without build tools and package managers
#   toolbox-26, toolbox-28, toolbox-29  everything that a sandbox needs to run this Docker version in any image, as one directory tree
#
# Every stage starts from Debian slim, so that the local cluster can build this file with a base image from debootstrap.
# The file is independent of the architecture. linux/amd64 is built and tested; linux/arm64 is untested.

FROM debian:trixie-slim AS debian


# ---- operator: a build stage with pip installs the packages; the image does not contain pip ----

FROM debian AS operator-build

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*

COPY requirements/operator.txt /build/operator.txt
# Behind a proxy with its own CA, mount the CA bundle and pass --build-arg PIP_CERT=FILE.
ARG PIP_CERT
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary=:all: \
      --target /opt/operator -r /build/operator.txt

COPY operator/caisson/ /opt/operator/caisson/
# Compile here, because the file system is read-only at run time. Hash-based, because a copy may change time stamps.
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
# A numeric user, so that the kubelet can check runAsNonRoot. The user owns no files in the image.
USER 65532:65532
ENTRYPOINT ["python3", "-m", "caisson"]
CMD ["--config", "/etc/caisson/config.yaml"]


# ---- toolboxes: a build stage with apt gathers and relinks the files; the image contains nothing else ----
#
# They do not contain Docker's own builds, which are not available from the package sources of this file:
#
#   26  Debian's build, from the release of the base image
#   28  Debian's build, from the next release (Debian has no 27), which changes until it is released
#   29  Debian has no build yet, so dockerd, docker-proxy, containerd and its shim are built here from pinned Go modules. The modules
#       are pre-releases of the next 29.x, and `docker version` reports a pre-release. The other programs (docker CLI, compose,
#       buildx, runc, iptables) are those of version 28.
#
# If Debian replaces a major version, the build fails. It never builds another version.

FROM debian AS toolbox-26-tree

# Without the packages that docker.io only recommends, such as git and apparmor, because a sandbox does not need them.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      busybox-static ca-certificates docker-buildx docker-compose iptables patchelf tini 'docker-cli=26.*' 'docker.io=26.*' \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/gather toolbox/build/attest /build/
RUN sh /build/gather /toolbox /opt/caisson && sh /build/attest 26 /toolbox


# Debian's next release. The existing sources are edited, so that the base image determines their format and mirror.
FROM debian AS forky

# The package indexes of an unreleased version expire after a week. `false` accepts older indexes from a mirror.
ARG APT_CHECK_VALID_UNTIL=true
RUN find /etc/apt/sources.list* -type f -exec sed -i s/trixie/forky/g {} + \
 && echo "Acquire::Check-Valid-Until \"$APT_CHECK_VALID_UNTIL\";" >/etc/apt/apt.conf.d/check-valid-until


FROM forky AS forky-docker

# base-files contains the name of the release, which attest records.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      base-files busybox-static ca-certificates docker-buildx docker-compose iptables patchelf 'docker-cli=28.*' 'docker.io=28.*' \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/gather toolbox/build/attest /build/


FROM forky-docker AS toolbox-28-tree

RUN sh /build/gather /toolbox /opt/caisson && sh /build/attest 28 /toolbox


FROM forky AS docker-29

# The Go version that this Docker version is developed with.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates golang-1.26-go \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/build/compile /build/
COPY toolbox/docker-29/ /build/docker-29/
# GOPROXY selects another module proxy. Behind a proxy with its own CA, mount the CA bundle and pass
# --build-arg SSL_CERT_FILE=FILE.
ARG GOPROXY
ARG SSL_CERT_FILE
RUN PATH=/usr/lib/go-1.26/bin:$PATH sh /build/compile /build/docker-29 /docker


FROM forky-docker AS toolbox-29-tree

# These programs precede Debian's in PATH.
COPY --from=docker-29 /docker/bin/ /usr/local/bin/
COPY --from=docker-29 /docker/origin /build/origin
RUN sh /build/gather /toolbox /opt/caisson && sh /build/attest 29 /toolbox /build/origin


# The same program for all toolboxes. It uses only Go's standard library.
FROM debian AS agent

RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends golang-go \
 && rm -rf /var/lib/apt/lists/*

COPY toolbox/agent/ /build/
# Without cgo, the program is static.
RUN cd /build && CGO_ENABLED=0 GOTOOLCHAIN=local go build -trimpath -buildvcs=false -ldflags '-s -w' -o /agent .


# The scripts are copied last, from a separate stage, so that a change of a script does not rebuild the toolboxes.
FROM debian AS toolbox-scripts

COPY toolbox/libexec/ /libexec/
RUN chmod -R a+rX,go-w /libexec


# The common part of all toolboxes. The tree is at the root of the image and is linked to run at /opt/caisson, where it is mounted as
# an image volume. If the image runs as a container (an init container), only static programs work: busybox and the scripts in
# /libexec. /etc/origin contains the version and the origin of dockerd.
FROM scratch AS toolbox-common

LABEL org.opencontainers.image.title="Caisson toolbox" \
      org.opencontainers.image.description="dockerd and what it needs, relocated to /opt/caisson, with the gate and the in-pod scripts of Caisson" \
      org.opencontainers.image.licenses="Apache-2.0"

ENTRYPOINT ["/bin/busybox", "sh", "/libexec/gate"]
CMD ["--check"]


FROM toolbox-common AS toolbox-26
LABEL dev.caisson.docker.version="26"
COPY --from=toolbox-26-tree /toolbox/ /
COPY --from=agent /agent /bin/agent
COPY --from=toolbox-scripts /libexec/ /libexec/


FROM toolbox-common AS toolbox-28
LABEL dev.caisson.docker.version="28"
COPY --from=toolbox-28-tree /toolbox/ /
COPY --from=agent /agent /bin/agent
COPY --from=toolbox-scripts /libexec/ /libexec/


FROM toolbox-common AS toolbox-29
LABEL dev.caisson.docker.version="29"
COPY --from=toolbox-29-tree /toolbox/ /
COPY --from=agent /agent /bin/agent
COPY --from=toolbox-scripts /libexec/ /libexec/
