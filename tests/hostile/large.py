"""Objects above Caisson's size limit, which any user with permission to create pods and NetworkPolicies can create."""

import json

from tests.e2e.kubectl import Json, Kubectl

MANAGED = {"app.kubernetes.io/managed-by": "caisson"}
PEERS = 120_000
CHARACTERS = 1_000_000
"""The API server stores each character as one byte, and returns it as six bytes of JSON."""


def large_policy(name: str, peers: int = PEERS) -> Json:
    """Return a NetworkPolicy with Caisson's label that selects no pod and has this number of peers."""
    spec = {"podSelector": {"matchLabels": {"no": "pod"}}, "egress": [{"to": [{"podSelector": {}}] * peers}]}
    metadata = {"name": name, "labels": MANAGED}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def large_pod(name: str) -> Json:
    """Return an unschedulable pod with Caisson's label and arguments of a million characters."""
    container = {"name": "c", "image": "debian:trixie-slim", "args": ["<" * CHARACTERS]}
    spec = {"nodeSelector": {"caisson.dev/no": "node"}, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": MANAGED}, "spec": spec}


def create(kubectl: Kubectl, *objects: Json) -> None:
    """Create objects with raw requests. kubectl would escape characters and exceed the size limit of a request."""
    groups = {"NetworkPolicy": "apis/networking.k8s.io/v1", "Pod": "api/v1", "Sandbox": "apis/caisson.dev/v1alpha1"}
    plurals = {"NetworkPolicy": "networkpolicies", "Pod": "pods", "Sandbox": "sandboxes"}
    for obj in objects:
        kind = obj["kind"]
        path = f"/{groups[kind]}/namespaces/{kubectl.namespace}/{plurals[kind]}"
        kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(obj, ensure_ascii=False))


def large_sandbox(name: str) -> Json:
    """Return a suspended Sandbox of 512 KiB, the maximum that the CRD accepts."""
    env = [{"name": f"V{n}", "value": "\U0001f600" * 32_768} for n in range(4)]
    spec = {"image": "debian:trixie-slim", "suspend": True, "env": env}
    return {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": spec}
