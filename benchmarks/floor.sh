#!/bin/sh
# The baseline ("floor") that Caisson is compared with: a minimal manual start of Docker in a gVisor pod.
#
# It creates the same kind of pod and starts the same dockerd with the same preparation, with one `kubectl exec` of a
# script that polls for the socket and then for `docker info` every 20 ms. It prints the milliseconds from apply until
# `docker info` succeeds.
#
#   usage: floor.sh NAME [TOOLBOX_IMAGE]
#
# The script deletes the pod at the end. Do not change the script when Caisson gets faster.
set -eu

name=$1
toolbox=${2:-caisson.dev/toolbox:26}

pod() {
    cat <<POD
apiVersion: v1
kind: Pod
metadata: {name: $name, labels: {caisson-benchmark: floor}}
spec:
  runtimeClassName: gvisor
  restartPolicy: Never
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 10
  containers:
  - name: sandbox
    image: debian:trixie-slim
    command: [/opt/caisson/bin/busybox, sh, /opt/caisson/libexec/gate]
    securityContext:
      runAsUser: 0
      runAsGroup: 0
      capabilities:
        drop: [ALL]
        # BEGIN GENERATED: capabilities
        add: [AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, MKNOD, NET_BIND_SERVICE, NET_ADMIN, NET_RAW,
              SETFCAP, SETGID, SETPCAP, SETUID, SYS_ADMIN, SYS_CHROOT, SYS_PTRACE]
        # END GENERATED
    volumeMounts: [{name: toolbox, mountPath: /opt/caisson, readOnly: true}]
  volumes:
  - {name: toolbox, image: {reference: "$toolbox", pullPolicy: IfNotPresent}}
POD
}

# Runs in the pod. The single quotes prevent expansion by the local shell.
# shellcheck disable=SC2016
start_docker='
export PATH=/opt/caisson/bin:/usr/sbin:/usr/bin:/sbin:/bin XTABLES_LIBDIR=/opt/caisson/lib/xtables
mkdir -p /var/lib/docker /run
mount -t tmpfs -o size=2g docker /var/lib/docker
echo 1 > /proc/sys/net/ipv4/ip_forward
route=$(ip -4 route | grep ^default)
device=${route##*dev }; device=${device%% *}
address=$(ip -4 -o addr show dev "$device"); address=${address##*inet }; address=${address%%/*}
mtu=$(ip link show dev "$device"); mtu=${mtu##* mtu }; mtu=${mtu%% *}
for protocol in tcp udp; do
    iptables-legacy -t nat -A POSTROUTING -o "$device" -j SNAT --to-source "$address" -p "$protocol"
done
setsid dockerd --iptables=false --ip6tables=false --mtu "$mtu" >/run/dockerd.stdout 2>/run/dockerd.stderr </dev/null &
while ! [ -S /var/run/docker.sock ]; do kill -0 $! || exit 1; busybox usleep 20000; done
until docker -H unix:///var/run/docker.sock info >/dev/null 2>&1; do busybox usleep 20000; done
'

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

begin=$(milliseconds)
pod | kubectl apply -f - >/dev/null
kubectl wait --for=jsonpath='{.status.phase}'=Running "pod/$name" --timeout=120s >/dev/null
kubectl exec "$name" -- /opt/caisson/bin/busybox sh -c "$start_docker"
end=$(milliseconds)
kubectl delete pod "$name" --wait=false >/dev/null
echo $((end - begin))
