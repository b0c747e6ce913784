"""What a Sandbox has come to, without what differs from life to life: two that went well are equal."""

from dataclasses import dataclass
from typing import Any

from tests.e2e.kubectl import Json, Kubectl

IGNORED = frozenset(
    {
        # Set by the API server or the kubelet, anew for each object.
        *("uid", "podUID", "resourceVersion", "creationTimestamp", "managedFields", "generateName", "namespace"),
        *("podIP", "podIPs", "hostIP", "hostIPs", "containerID", "imageID", "startTime", "nodeName", "volumeName"),
        # Moments, how long dockerd took, and what the sandbox's kernel numbered.
        *("readyAfterMilliseconds", "retryCount", "startup"),
        *("lastTransitionTime", "startedAt", "pid", "kubectl.kubernetes.io/last-applied-configuration"),
    }
)
"""Fields that are not compared, wherever they are. Events are not compared either: one may be lost, or told twice."""


@dataclass(frozen=True)
class Outcome:
    """A Sandbox, what is made for it, and the dockerds that run in its pod."""

    sandbox: Json
    pods: list[Json]
    beside: list[Json]
    dockerds: int


def outcome(kubectl: Kubectl, name: str) -> Outcome:
    """Look at a Sandbox that is Ready, at all that is made in its namespace, and into its pod."""
    beside = [thing for kind in ("services", "pvc", "networkpolicies") for thing in _all(kubectl, kind)]
    return Outcome(without(kubectl.get("sbx", name)), _all(kubectl, "pods"), beside, len(dockerds(kubectl, name)))


def _all(kubectl: Kubectl, kind: str) -> list[Json]:
    return [{"metadata": without(o["metadata"]), "spec": without(o["spec"])} for o in kubectl.get_all(kind)]


def dockerds(kubectl: Kubectl, name: str) -> list[str]:
    """Return the process IDs of all dockerds in a pod, as its own kernel tells."""
    lines = kubectl.exec(name, "/opt/caisson/bin/busybox", "ps", "-o", "pid,comm").splitlines()
    return [line.split()[0] for line in lines if line.split()[1] == "dockerd"]


def differences(found: object, wanted: object, path: str = "") -> list[str]:
    """Return where two outcomes differ, and how."""
    if isinstance(found, Outcome) and isinstance(wanted, Outcome):
        return differences(vars(found), vars(wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = sorted(found.keys() | wanted.keys())
        return [line for k in keys for line in differences(found.get(k), wanted.get(k), f"{path}.{k}")]
    if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = enumerate(zip(found, wanted, strict=True))
        return [line for n, (one, other) in pairs for line in differences(one, other, f"{path}[{n}]")]
    return [] if found == wanted else [f"{path}: {found!r}, undisturbed {wanted!r}"]


def without(thing: Any) -> Any:
    """Leave out what is ignored."""
    if isinstance(thing, dict):
        return {key: without(value) for key, value in thing.items() if key not in IGNORED}
    return [without(part) for part in thing] if isinstance(thing, list) else thing
