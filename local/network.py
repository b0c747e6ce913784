"""The cluster's addresses. They exist only in its network namespace, so that all clusters can use the same ones."""

NODE_NAME = "caisson-local"
# An additional address of `lo`: the kubelet rejects a loopback address, and pods must be able to reach the API server.
NODE_IP = "10.99.0.1"
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"
CLUSTER_DNS_IP = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443
API_SERVER = f"https://{NODE_IP}:{API_PORT}"
ETCD_SERVER = "http://127.0.0.1:2379"
