"""The cluster's addresses. They exist only in its own network namespace, so all clusters share them without conflict."""

NODE_NAME = "caisson-local"
NODE_IP = "10.99.0.1"  # an extra address of `lo`: the kubelet refuses a loopback one, and pods must reach the API server
POD_CIDR = "10.88.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_SERVICE_IP = "10.96.0.1"
CLUSTER_DNS_IP = "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"
API_PORT = 6443
API_SERVER = f"https://{NODE_IP}:{API_PORT}"
ETCD_SERVER = "http://127.0.0.1:2379"
OPERATOR_PROBES = "http://127.0.0.1:8080"
