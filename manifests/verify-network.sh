#!/bin/sh
# Verifies that the cluster's network plugin enforces the NetworkPolicies that Caisson creates.
#
#   usage: verify-network.sh NAMESPACE [IMAGE]
#
# NAMESPACE is a namespace for sandboxes, IMAGE any image that its nodes can pull. The script creates two Sandboxes and a pod in
# this namespace, and deletes them at the end. No policy of Caisson applies to the pod, so it shows the connections that work
# without a policy. The script prints one line for each test.
#
# The exit code is 0 if all rules are enforced, 1 if at least one is not, and 2 if the result can't be determined.
set -u

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: ${0##*/} NAMESPACE [IMAGE]" >&2
    exit 2
fi
namespace=$1
image=${2:-debian:trixie-slim}
server=verify-network-$$-server
client=verify-network-$$-client
pod=verify-network-$$-pod
# The addresses at which some clouds give away credentials. The address that answers shows the cloud of this cluster.
metadata_addresses="169.254.169.254 169.254.170.23 168.63.129.16 100.100.100.200 fd00:ec2::254 fd20:ce::254"
result=0

kube() {
    kubectl --namespace "$namespace" "$@"
}

# shellcheck disable=SC2329  # The trap calls this function.
clean_up() {
    kube delete "sandboxes.caisson.dev/$server" "sandboxes.caisson.dev/$client" "pod/$pod" \
        --ignore-not-found --wait=false >/dev/null 2>&1
}

could_not_tell() {
    printf 'could not tell: %s\n' "$1"
    exit 2
}

field() { # POD PATH
    kube get pod "$1" --output "jsonpath={$2}"
}

sandbox() { # NAME; the rest of the spec comes on stdin
    {
        printf 'apiVersion: caisson.dev/v1alpha1\nkind: Sandbox\nmetadata: {name: %s}\n' "$1"
        printf 'spec:\n  image: "%s"\n  docker: {enabled: false}\n' "$image"
        cat
    } | kube apply --filename - >/dev/null || could_not_tell "the API server rejected the Sandbox $1"
}

until_ready() { # KIND NAME
    kube wait --for=condition=Ready "$1/$2" --timeout=120s >/dev/null 2>&1 && return
    kube describe "$1" "$2" >&2
    could_not_tell "$1/$2 is not Ready, see above"
}

answers() { # FROM ADDRESS PORT; succeeds if a web server answers there, even with an error
    busybox=/opt/caisson/bin/busybox
    [ "$1" = "$pod" ] && busybox=/bin/busybox
    case $2 in
    *:*) url="http://[$2]:$3/" ;;
    *) url="http://$2:$3/" ;;
    esac
    # shellcheck disable=SC2016  # The shell in the pod expands it.
    output=$(kube exec "$1" -- "$busybox" sh -c \
        '"$0" timeout 5 "$0" wget -q -T 3 -O /dev/null "$1" 2>&1; echo "ended: $?"' "$busybox" "$url" 2>&1)
    case $output in
    *"ended: 0" | *"server returned error"*"ended: "*) return 0 ;;
    *"ended: "*) return 1 ;;
    *) could_not_tell "exec into $1 failed: $output" ;;
    esac
}

must_be_open() { # WHAT FROM ADDRESS PORT
    for _ in 1 2 3 4 5; do
        answers "$2" "$3" "$4" && return
        sleep 2
    done
    could_not_tell "$1 is closed, and should be open: another policy, or a network that does not work"
}

must_be_closed() { # WHAT FROM ADDRESS PORT
    # A plugin can take a moment to apply a policy.
    for _ in 1 2 3 4 5; do
        if ! answers "$2" "$3" "$4"; then
            printf 'enforced: %s is closed\n' "$1"
            return
        fi
        sleep 2
    done
    printf 'NOT ENFORCED: %s is open\n' "$1"
    result=1
}

change_egress() { # EGRESS
    kube patch sandboxes.caisson.dev "$client" --type=merge --patch "{\"spec\":{\"network\":{\"egress\":\"$1\"}}}" >/dev/null ||
        could_not_tell "the API server rejected a change of the Sandbox $client"
}

trap clean_up EXIT
trap 'exit 2' HUP INT TERM

sandbox "$server" <<SPEC
  command: [/opt/caisson/bin/busybox, sh, -c]
  args:
    - |
      cd /opt/caisson
      bin/busybox httpd -p 8080
      exec bin/busybox httpd -f -p 8081
  ports: [{name: web, containerPort: 8080}]
  network: {ingress: Namespace}
SPEC
sandbox "$client" <<SPEC
  network: {egress: Restricted}
SPEC
until_ready sandboxes.caisson.dev "$server"
until_ready sandboxes.caisson.dev "$client"

if ! kube get networkpolicy "$server" "$client" >/dev/null 2>&1; then
    echo "NOT ENFORCED: Caisson creates no NetworkPolicies; is config.sandboxes.network.enabled false?"
    exit 1
fi

# The nodes have the toolbox image, which contains a busybox. It is an image volume, or the image of an init container.
toolbox_image=$(field "$server" '.spec.volumes[?(@.name=="caisson-toolbox")].image.reference')
[ -n "$toolbox_image" ] || toolbox_image=$(field "$server" '.spec.initContainers[0].image')
kube apply --filename - >/dev/null <<POD || could_not_tell "the API server rejected the pod $pod"
apiVersion: v1
kind: Pod
metadata: {name: $pod}
spec:
  runtimeClassName: $(field "$server" .spec.runtimeClassName)
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  nodeSelector: $(field "$server" .spec.nodeSelector)
  tolerations: $(field "$server" .spec.tolerations)
  containers:
    - name: pod
      image: "$toolbox_image"
      command: [/bin/busybox, httpd, -f, -p, "8080", -h, /libexec]
POD
until_ready pod "$pod"
server_address=$(field "$server" .status.podIP)
pod_address=$(field "$pod" .status.podIP)

must_be_open "a port of spec.ports, to a pod of the namespace," "$pod" "$server_address" 8080
must_be_open "a sandbox's other port, to itself," "$server" 127.0.0.1 8081
must_be_closed "a sandbox's other port, to a pod of the namespace," "$pod" "$server_address" 8081
must_be_closed "a port of spec.ports, to another sandbox," "$client" "$server_address" 8080

for address in $metadata_addresses; do
    if answers "$pod" "$address" 80; then
        must_be_closed "the metadata address $address, to a sandbox," "$client" "$address" 80
    else
        printf 'not there: nothing answers at the metadata address %s, to a pod without a policy either\n' "$address"
    fi
done

# This changes the policy in place. It starts with Open, to prove that Closed closes the connection. Restricted would be sufficient
# only if pods have private addresses.
change_egress Open
must_be_open "a pod of the namespace, to a sandbox with egress: Open," "$client" "$pod_address" 8080
change_egress Closed
must_be_closed "a pod of the namespace, to a sandbox with egress: Closed," "$client" "$pod_address" 8080

exit $result
