"""The metadata addresses of clouds. No Sandbox may connect to them."""

METADATA_ADDRESSES = {
    "169.254.169.254": "AWS, Azure, Google Cloud, Oracle, DigitalOcean, Hetzner, OpenStack and most others",
    "169.254.169.252": "GKE's metadata server: nodes redirect 169.254.169.254 to it",
    "fd20:ce::254": "Google Cloud, by IPv6",
    "fd00:ec2::254": "AWS, by IPv6",
    "169.254.170.2": "AWS ECS: credentials of tasks",
    "169.254.170.23": "AWS EKS: credentials of pods (Pod Identity)",
    "fd00:ec2::23": "AWS EKS: credentials of pods, by IPv6",
    "168.63.129.16": "Azure: WireServer, which serves the node's certificates and extensions",
    "100.100.100.200": "Alibaba Cloud",
    "fd00:100::100:200": "Alibaba Cloud, by IPv6",
    "192.0.0.192": "Oracle Cloud Classic",
    "fd00:c1::a9fe:a9fe": "Oracle Cloud, by IPv6",
    "169.254.0.23": "Tencent Cloud",
    "169.254.42.42": "Scaleway",
    "fd00:42::42": "Scaleway, by IPv6",
    "fd00:a9fe:a9fe::1": "Akamai (Linode), by IPv6",
    "fe80::a9fe:a9fe": "OpenStack, by IPv6",
}
"""Addresses that serve the credentials of a node or an account without authentication, and their owners."""
