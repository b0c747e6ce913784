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
        "description": "Time from the start of dockerd to the first successful `docker info`, in milliseconds.",
    },
    {"name": "Restarts", "type": "integer", "jsonPath": ".status.docker.restarts"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Pod", "type": "string", "jsonPath": ".status.podName", "priority": 1},
    {"name": "Origin", "type": "string", "jsonPath": ".status.pool.origin", "priority": 1},
    {"name": "Node", "type": "string", "jsonPath": ".status.nodeName", "priority": 1},
    {"name": "IP", "type": "string", "jsonPath": ".status.podIP", "priority": 1},
    {"name": "Storage", "type": "string", "jsonPath": ".status.docker.storageDriver", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
    # kubectl prints a date as an age, and nothing for a date in the future.
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
        "description": "Time since which the oldest claimable sandbox has been ready.",
    },
    {"name": "Last-Failure", "type": "string", "jsonPath": ".status.lastFailure.reason"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Failed", "type": "date", "jsonPath": ".status.lastFailure.at", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.template.spec.image", "priority": 1},
]
