"""A snapshot of the fields of a pod that Caisson uses, parsed from the API's JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caisson.api.reasons import ConditionType
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.ownership import POOL_LABEL, controller_of
from caisson.model.pod_shape import CONTAINER_NAME, GATE_NAME, TOOLBOX_VOLUME
from caisson.model.tripwire import tripwire

SPEC_HASH_ANNOTATION = "caisson.dev/spec-hash"


@dataclass(frozen=True)
class Waiting:
    """The state of a waiting container, as reported by the kubelet."""

    reason: str
    message: str
    is_init: bool = False
    """Whether it is an init container. All init containers use the toolbox's image."""


@dataclass(frozen=True)
class Terminated:
    """The state of a terminated container. `message` is its termination log, or an explanation of the kubelet."""

    exit_code: int
    reason: str
    message: str
    finished_at: datetime | None = None


@dataclass(frozen=True)
class Disruption:
    """The pod's condition DisruptionTarget: the component of the cluster that terminates the pod."""

    reason: str
    message: str
    since: datetime | None


@dataclass(frozen=True)
class PodSnapshot:
    """The last observed state of a pod of a Sandbox or a pool."""

    name: str
    uid: str
    owner_uid: str | None
    resource_version: str
    pool: str | None
    """The pool that the pod was created for."""

    spec_hash: str | None
    created_at: datetime
    terminating: bool
    deletion_deadline: datetime | None
    """When a terminating pod should be gone."""

    phase: str
    reason: str
    message: str
    ip: str | None
    host_ip: str | None
    node: str | None
    toolbox_image: str | None
    has_isolation: bool
    """Whether its spec contains the tripwire or the gate. No pod of a Sandbox may run without one of them."""

    unschedulable: str | None
    """The scheduler's message if it found no node."""

    scheduled_at: datetime | None
    """When the pod was assigned to its node."""

    running: bool
    """The main container is running."""

    running_since: datetime | None

    waiting: Waiting | None
    terminated: Terminated | None
    """How the main container, or a failed init container, terminated."""

    containers: tuple[str, ...]
    """The names of the containers in the spec, init containers first, without ephemeral containers."""

    ready: bool
    ready_changed_at: datetime | None

    disruption: Disruption | None = None
    """Set if a component of the cluster has decided to terminate the pod."""


@dataclass(frozen=True)
class PodEvent:
    """A Warning that the cluster recorded for a pod."""

    reason: str
    message: str
    at: datetime | None


def parse_time(value: str | None) -> datetime | None:
    """Parse a time of the API (RFC 3339, UTC), or return None."""
    return None if value is None else datetime.fromisoformat(value)


def pod_snapshot(pod: dict[str, Any]) -> PodSnapshot:
    """Return the snapshot of a Pod (core/v1, as JSON)."""
    metadata, status = pod["metadata"], pod.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    scheduled, ready = conditions.get("PodScheduled", {}), conditions.get("Ready", {})
    state = _main_state(status)
    created_at = parse_time(metadata["creationTimestamp"])
    owner = controller_of(pod)
    assert created_at is not None  # noqa: S101  the API server sets it
    return PodSnapshot(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=owner["uid"] if owner is not None else None,
        resource_version=metadata.get("resourceVersion", ""),
        pool=(metadata.get("labels") or {}).get(POOL_LABEL),
        spec_hash=metadata.get("annotations", {}).get(SPEC_HASH_ANNOTATION),
        created_at=created_at,
        terminating="deletionTimestamp" in metadata,
        deletion_deadline=parse_time(metadata.get("deletionTimestamp")),
        phase=status.get("phase", "Pending"),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        ip=status.get("podIP"),
        host_ip=status.get("hostIP"),
        node=pod.get("spec", {}).get("nodeName"),
        toolbox_image=_toolbox_image(pod.get("spec", {})),
        has_isolation=_has_isolation(pod.get("spec", {})),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else None,
        scheduled_at=parse_time(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        running="running" in state,
        running_since=parse_time(state.get("running", {}).get("startedAt")),
        waiting=_waiting(status),
        terminated=_terminated(status),
        containers=_containers(pod.get("spec", {})),
        ready=ready.get("status") == "True",
        ready_changed_at=parse_time(ready.get("lastTransitionTime")),
        disruption=_disruption(conditions.get("DisruptionTarget", {})),
    )


def _disruption(condition: dict[str, Any]) -> Disruption | None:
    if condition.get("status") != "True":
        return None
    since = parse_time(condition.get("lastTransitionTime"))
    return Disruption(condition.get("reason", ""), condition.get("message", ""), since)


def _toolbox_image(spec: dict[str, Any]) -> str | None:
    """Return the toolbox's image: from its image volume, or from the init container that copies it."""
    volumes = (v.get("image", {}) for v in spec.get("volumes") or () if v["name"] == TOOLBOX_VOLUME)
    reference = next((image.get("reference") for image in volumes), None)
    return reference or next((c.get("image") for c in spec.get("initContainers") or () if c["name"] == GATE_NAME), None)


def _has_isolation(spec: dict[str, Any]) -> bool:
    sysctls = (spec.get("securityContext") or {}).get("sysctls")
    return sysctls == tripwire() or any(c["name"] == GATE_NAME for c in spec.get("initContainers") or ())


def _containers(spec: dict[str, Any]) -> tuple[str, ...]:
    return tuple(c["name"] for kind in ("initContainers", "containers") for c in spec.get(kind) or ())


def _main_state(status: dict[str, Any]) -> dict[str, Any]:
    states = (c.get("state", {}) for c in status.get("containerStatuses", ()) if c["name"] == CONTAINER_NAME)
    return next(states, {})


def _all_states(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the container states, init containers first, because the main container waits for them."""
    return [c.get("state", {}) for c in status.get("initContainerStatuses", ())] + [_main_state(status)]


def _waiting(status: dict[str, Any]) -> Waiting | None:
    *inits, main = [s.get("waiting") for s in _all_states(status)]
    for waiting, is_init in [*((w, True) for w in inits), (main, False)]:
        if waiting is not None:
            return Waiting(waiting.get("reason", ""), waiting.get("message", ""), is_init)
    return None


def _terminated(status: dict[str, Any]) -> Terminated | None:
    *inits, main = [s.get("terminated") for s in _all_states(status)]
    for end in [t for t in inits if t and t["exitCode"] != 0] + [main]:
        if end:
            finished_at = parse_time(end.get("finishedAt"))
            return Terminated(end["exitCode"], end.get("reason", ""), end.get("message", ""), finished_at)
    return None


def is_verified(status: SandboxStatus, pod: PodSnapshot) -> bool:
    """Report whether the status records that the kernel of this pod is gVisor's.

    The kernel of a pod does not change. A later report of another kernel is forged, and no report of a sandbox may
    cause its deletion.
    """
    isolated = status.condition(ConditionType.ISOLATED)
    return status.pod_uid == pod.uid and isolated is not None and isolated.status == "True"
