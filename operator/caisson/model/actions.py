"""The actions that the controllers can execute. Every action is idempotent."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from caisson.api.status.sandbox import SandboxStatus


@dataclass(frozen=True)
class CreatePod:
    """Create this pod, after its PersistentVolumeClaim if it needs one. The pod's name ensures that there is only
    one."""

    manifest: dict[str, Any] = field(hash=False)
    pvc: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class ClaimPod:
    """Claim a pod from its pool: first write this status, then change the owner of the pod, if it is still
    unclaimed."""

    pod_name: str
    pod_uid: str
    resource_version: str
    status: SandboxStatus
    policy: "ApplyObject | None" = None
    """The NetworkPolicy, if it does not exist yet. It can be created while the status is written, but must exist before
    the pod gets its new owner."""


@dataclass(frozen=True)
class DeletePod:
    """Delete the pod, if it still is the one of this UID and, if that is set, of this version."""

    pod_name: str
    pod_uid: str
    resource_version: str | None = None


class SessionPurpose(Enum):
    """What a session must report. Other output counts as a lost session."""

    START = "the result of a start of dockerd"
    KERNEL = "the kernel"
    PRELOAD = "the result of the preload"


@dataclass(frozen=True)
class OpenSession:
    """Run the in-pod script in the pod with this UID, in the background."""

    pod_name: str
    pod_uid: str
    node: str
    command: tuple[str, ...]
    timeout_seconds: float
    purpose: SessionPurpose
    is_verified: bool = False
    """The pod's kernel was verified before, so a report of another kernel is invalid."""


@dataclass(frozen=True)
class QueryIdleTime:
    """Query in the pod with this UID, in the background, how long it has been idle."""

    pod_name: str
    pod_uid: str
    node: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class FetchPodEvents:
    """Fetch the Warnings that the cluster recorded for the pod with this UID."""

    pod_uid: str


class ChildKind(StrEnum):
    """The kinds of child objects that have the Sandbox's name and are corrected if they drift."""

    NETWORK_POLICY = "NetworkPolicy"
    SERVICE = "Service"


@dataclass(frozen=True)
class ApplyObject:
    """Create this object, or replace the actual object with it."""

    kind: ChildKind
    manifest: dict[str, Any] = field(hash=False)
    actual: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class DeleteObject:
    """Delete the object of this name, if it still is the one of this UID."""

    kind: ChildKind
    name: str
    uid: str


Action = ApplyObject | DeleteObject | ClaimPod | CreatePod | DeletePod | OpenSession | QueryIdleTime | FetchPodEvents


@dataclass(frozen=True)
class Plan:
    """The next action, if any, and when to reconcile again if nothing changes before."""

    action: Action | None = None
    requeue_at: datetime | None = None


NO_ACTION = Plan()
"""No action until something changes."""


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the earliest moment, ignoring None."""
    return min((m for m in moments if m is not None), default=None)
