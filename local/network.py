"""The cluster's addresses. They exist in its own network namespace only, so two clusters may have the same."""

NODE_NAME = "caisson-local"
# An extra address of `lo`: the kubelet refuses a loopback one, and pods must reach the API server there.
NODE_IP = "10.99.0.1"
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"
CLUSTER_DNS_IP = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443
API_SERVER = f"https://{NODE_IP}:{API_PORT}"
ETCD_SERVER = "http://127.0.0.1:2379"
