"""The comparable state of a Sandbox: without the fields that differ between two successful runs."""

from dataclasses import dataclass
from typing import Any

from tests.e2e.kubectl import Json, Kubectl

IGNORED = frozenset(
    {
        # Set by the API server or the kubelet for each object.
        *("uid", "podUID", "resourceVersion", "creationTimestamp", "managedFields", "generateName", "namespace"),
        *("podIP", "podIPs", "hostIP", "hostIPs", "containerID", "imageID", "startTime", "nodeName", "volumeName"),
        # Times, durations and process IDs.
        *("readyAfterMilliseconds", "retryCount", "startup"),
        *("lastTransitionTime", "startedAt", "pid", "kubectl.kubernetes.io/last-applied-configuration"),
    }
)
"""Fields that are not compared, at any level. Events are not compared, because they may be lost or repeated."""


@dataclass(frozen=True)
class Outcome:
    """A Sandbox, its objects, and the number of dockerds in its pod."""

    sandbox: Json
    pods: list[Json]
    children: list[Json]
    dockerds: int


def outcome(kubectl: Kubectl, name: str) -> Outcome:
    """Return the outcome of a Sandbox that is Ready and alone in its namespace."""
    children = [obj for kind in ("services", "pvc", "networkpolicies") for obj in _all(kubectl, kind)]
    return Outcome(comparable(kubectl.get("sbx", name)), _all(kubectl, "pods"), children, len(kubectl.dockerds(name)))


def _all(kubectl: Kubectl, kind: str) -> list[Json]:
    return [{"metadata": comparable(o["metadata"]), "spec": comparable(o["spec"])} for o in kubectl.get_all(kind)]


def differences(actual: object, expected: object, path: str = "") -> list[str]:
    """Return the paths and values in which two outcomes differ."""
    if isinstance(actual, Outcome) and isinstance(expected, Outcome):
        return differences(vars(actual), vars(expected))
    if isinstance(actual, dict) and isinstance(expected, dict):
        keys = sorted(actual.keys() | expected.keys())
        return [line for k in keys for line in differences(actual.get(k), expected.get(k), f"{path}.{k}")]
    if isinstance(actual, list) and isinstance(expected, list) and len(actual) == len(expected):
        pairs = enumerate(zip(actual, expected, strict=True))
        return [line for n, (one, other) in pairs for line in differences(one, other, f"{path}[{n}]")]
    return [] if actual == expected else [f"{path}: {actual!r}, without faults {expected!r}"]


def comparable(value: Any) -> Any:
    """Return the value without the ignored fields."""
    if isinstance(value, dict):
        return {key: comparable(value) for key, value in value.items() if key not in IGNORED}
    return [comparable(part) for part in value] if isinstance(value, list) else value
