"""What the shell observed of one Sandbox: the only input of a decision, besides the configuration and the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from caisson.api.resources import Sandbox
from caisson.api.status.sandbox import SandboxStatus
from caisson.api.status.startup import Startup
from caisson.model.actions import ChildKind
from caisson.model.condition import ConditionResult
from caisson.model.failure import FailureStreak
from caisson.model.pod_snapshot import PodEvent, PodSnapshot
from caisson.model.session import IdleAnswer, Session


@dataclass(frozen=True)
class PodEvents:
    """The Warnings recorded of a pod, newest last, and when they were looked up."""

    pod_uid: str
    events: tuple[PodEvent, ...]
    at: datetime


@dataclass(frozen=True)
class ClaimablePod:
    """A pod of a pool that is ready."""

    pod: PodSnapshot
    status: SandboxStatus
    """What is known of it, as if it were a Sandbox's."""


@dataclass(frozen=True)
class ObservedState:
    """Everything known of a Sandbox at one moment."""

    sandbox: Sandbox
    pod: PodSnapshot | None = None
    """The pod that this Sandbox, by UID, or an earlier one of its name owns; or nobody, if it has the name."""

    surplus: tuple[PodSnapshot, ...] = ()
    """More pods that this Sandbox owns. There should be none."""

    unreadable: ConditionResult | None = None
    """Why a pod that is the Sandbox's, or may be, is not read; then nothing else is known about its pods."""

    warm: ClaimablePod | None = None
    """A pod of the pool that can be taken, or that was about to be."""

    warm_pods_verified_by: datetime | None = None
    """The pool has pods that may prove to be available, until this time; None if it has none."""

    pool_missing: bool = False
    """There is no pool of the name in poolRef, and no pod that came from it."""

    template_unreadable: bool = False
    """The pod does not say, in a way that this version reads, which template of a pool it was created from."""

    lifetime_unreadable: bool = False
    """The lifetime in a spec that can't be read can't be read either."""

    claimed_at: datetime | None = None
    """When this process took the pod out of its pool."""

    children: Mapping[ChildKind, dict[str, Any]] = field(default_factory=dict)
    """The objects of the Sandbox's name that Caisson made, for this Sandbox or an earlier one of its name."""

    create_failure: FailureStreak | None = None
    """Of the pod, or of the claim that it needs."""

    child_failures: Mapping[ChildKind, FailureStreak] = field(default_factory=dict)
    session: Session | None = None
    """The session into the current pod, until what it told is written to the status."""

    idle: IdleAnswer | None = None
    """Of the current pod."""

    pod_events: PodEvents | None = None
    looked_at: datetime | None = None
    """When a session last saw dockerd alive, if this process saw it."""

    startup: Startup | None = None
    """What this process saw of the start of the current pod, if it made that pod."""
