"""What the shell can be asked to do. Each is safe to do twice."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from caisson.api.status.sandbox import SandboxStatus


@dataclass(frozen=True)
class CreatePod:
    """Create this pod, and the claim that it needs before it. Its name is the fence: there is at most one of it."""

    manifest: dict[str, Any] = field(hash=False)
    pvc: dict[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True)
class ClaimPod:
    """Take a pod out of its pool: say so in this status first, then make the pod the Sandbox's, if it is still free."""

    pod_name: str
    pod_uid: str
    resource_version: str
    status: SandboxStatus
    policy: "ApplyObject | None" = None
    """The NetworkPolicy, where it is yet to be made: it may be while the status is written, and must be before the pod
    is the Sandbox's."""


@dataclass(frozen=True)
class DeletePod:
    """Delete the pod, if it still is the one of this UID and, if that is set, of this version."""

    pod_name: str
    pod_uid: str
    resource_version: str | None = None


class SessionPurpose(Enum):
    """What the report of a session must say, to be one."""

    START = "how a start of dockerd ended"
    KERNEL = "which kernel there is"
    PRELOAD = "whether the images are there"


@dataclass(frozen=True)
class OpenSession:
    """Run the in-pod script in the pod of this UID, in the background."""

    pod_name: str
    pod_uid: str
    node: str
    command: tuple[str, ...]
    timeout_seconds: float
    purpose: SessionPurpose
    is_verified: bool = False
    """The pod's kernel was verified before, so a report of another one makes no sense."""


@dataclass(frozen=True)
class QueryIdleTime:
    """Ask in the pod of this UID, in the background, for how long nobody has made use of it."""

    pod_name: str
    pod_uid: str
    node: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class FetchPodEvents:
    """Look up the Warnings that the cluster recorded of the pod of this UID."""

    pod_uid: str


class ChildKind(StrEnum):
    """The kinds of objects that have the Sandbox's name and are kept as they should be."""

    NETWORK_POLICY = "NetworkPolicy"
    SERVICE = "Service"


@dataclass(frozen=True)
class ApplyObject:
    """Make this object, or change the one that is known into it."""

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
    """The next action, if there is one, and when to look again though nothing has changed by then."""

    action: Action | None = None
    requeue_at: datetime | None = None


NO_ACTION = Plan()
"""Nothing to do, until something changes."""


def earliest(*moments: datetime | None) -> datetime | None:
    """Return the first of some moments, passing over those that are None."""
    return min((m for m in moments if m is not None), default=None)
