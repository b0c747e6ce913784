"""What a Sandbox has come to, without what differs from life to life: two that went well are equal."""

from dataclasses import dataclass
from typing import Any

from tests.e2e.kubectl import Json, Kubectl

IGNORED = frozenset(
    {
        # Set by the API server or the kubelet, anew for each object.
        *("uid", "podUID", "resourceVersion", "creationTimestamp", "managedFields", "generateName", "namespace"),
        *("podIP", "podIPs", "hostIP", "hostIPs", "containerID", "imageID", "startTime", "nodeName"),
        # Moments, and what the sandbox's kernel numbered.
        *("lastTransitionTime", "startedAt", "pid", "kubectl.kubernetes.io/last-applied-configuration"),
    }
)
"""Fields that are not compared, wherever they are. Events are not compared either: one may be lost, or told twice."""


@dataclass(frozen=True)
class Outcome:
    """A Sandbox, its pods, and the dockerds that run in its pod."""

    sandbox: Json
    pods: list[Json]
    dockerds: int


def outcome(kubectl: Kubectl, name: str) -> Outcome:
    """Look at a Sandbox that is Ready, at every pod of its namespace, and into its own."""
    items = kubectl.get_all("pods")
    pods = [{"metadata": without(pod["metadata"]), "spec": without(pod["spec"])} for pod in items]
    return Outcome(without(kubectl.get("sbx", name)), pods, len(dockerds(kubectl, name)))


def dockerds(kubectl: Kubectl, name: str) -> list[str]:
    """Return the process IDs of all dockerds in a pod, as its own kernel tells."""
    lines = kubectl.exec(name, "/opt/caisson/bin/busybox", "ps", "-o", "pid,comm").splitlines()
    return [line.split()[0] for line in lines if line.split()[1] == "dockerd"]


def without(thing: Any) -> Any:
    """Leave out what is ignored."""
    if isinstance(thing, dict):
        return {key: without(value) for key, value in thing.items() if key not in IGNORED}
    return [without(part) for part in thing] if isinstance(thing, list) else thing
