"""The columns that `kubectl get` prints."""

from typing import Any


def _of_ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


SANDBOX_COLUMNS: list[dict[str, Any]] = [
    {"name": "Ready", "type": "string", "jsonPath": _of_ready("status")},
    {"name": "Reason", "type": "string", "jsonPath": _of_ready("reason")},
    {"name": "Docker", "type": "string", "jsonPath": ".status.docker.version"},
    {
        "name": "Startup-ms",
        "type": "integer",
        "jsonPath": ".status.docker.readyAfterMilliseconds",
        "description": "From the start of dockerd to the first `docker info` that succeeded, in milliseconds.",
    },
    {"name": "Restarts", "type": "integer", "jsonPath": ".status.docker.restarts"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Pod", "type": "string", "jsonPath": ".status.podName", "priority": 1},
    {"name": "Origin", "type": "string", "jsonPath": ".status.pool.origin", "priority": 1},
    {"name": "Node", "type": "string", "jsonPath": ".status.nodeName", "priority": 1},
    {"name": "IP", "type": "string", "jsonPath": ".status.podIP", "priority": 1},
    {"name": "Storage", "type": "string", "jsonPath": ".status.docker.storageDriver", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
    # Of a date kubectl prints the age, and none for what is yet to come.
    {"name": "Expires", "type": "string", "jsonPath": ".status.expiresAt", "priority": 1},
]


POOL_COLUMNS: list[dict[str, Any]] = [
    {"name": "Desired", "type": "integer", "jsonPath": ".spec.replicas"},
    {"name": "Ready", "type": "integer", "jsonPath": ".status.readyReplicas"},
    {"name": "Reason", "type": "string", "jsonPath": _of_ready("reason")},
    {
        "name": "Oldest",
        "type": "date",
        "jsonPath": ".status.oldestReadySince",
        "description": "For how long the oldest of those that can be taken has been waiting.",
    },
    {"name": "Last-Failure", "type": "string", "jsonPath": ".status.lastFailure.reason"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Failed", "type": "date", "jsonPath": ".status.lastFailure.at", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.template.spec.image", "priority": 1},
]
