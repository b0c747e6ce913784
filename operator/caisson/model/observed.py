"""The observed state of one Sandbox: the only input of a decision except the configuration and the time."""

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
    """The Warnings recorded for a pod, newest last, and when they were fetched."""

    pod_uid: str
    events: tuple[PodEvent, ...]
    at: datetime


@dataclass(frozen=True)
class ClaimablePod:
    """A ready pod of a pool."""

    pod: PodSnapshot
    status: SandboxStatus
    """The state of the pod, in the form of a Sandbox's status."""


@dataclass(frozen=True)
class ObservedState:
    """The observed state of a Sandbox."""

    sandbox: Sandbox
    pod: PodSnapshot | None = None
    """The pod of this Sandbox, of an earlier Sandbox with the same name, or a pod of this name without an owner."""

    surplus: tuple[PodSnapshot, ...] = ()
    """Additional pods that this Sandbox owns. Normally there are none."""

    unreadable: ConditionResult | None = None
    """Why a pod that belongs or may belong to the Sandbox was not read. The other fields about pods are then empty."""

    warm: ClaimablePod | None = None
    """A pod of the pool that can be claimed, or whose claim is in progress."""

    warm_pods_verified_by: datetime | None = None
    """The pool has pods that may prove to be available, until this time; None if it has none."""

    pool_missing: bool = False
    """There is no pool with the name in poolRef, and no pod that was claimed from it."""

    template_unreadable: bool = False
    """This version can't read the annotation with the pool template that the pod was created from."""

    lifetime_unreadable: bool = False
    """The spec is invalid, and so is its lifetime."""

    claimed_at: datetime | None = None
    """When this process claimed the pod from its pool."""

    children: Mapping[ChildKind, dict[str, Any]] = field(default_factory=dict)
    """The child objects with the Sandbox's name, for this Sandbox or an earlier one with the same name."""

    create_failure: FailureStreak | None = None
    """The failure to create the pod or its PersistentVolumeClaim."""

    child_failures: Mapping[ChildKind, FailureStreak] = field(default_factory=dict)
    session: Session | None = None
    """The session in the current pod, until its report is written to the status."""

    idle: IdleAnswer | None = None
    """The last answer of the current pod to a query of its idle time."""

    pod_events: PodEvents | None = None
    looked_at: datetime | None = None
    """When a session last reported that dockerd was running, if this process opened that session."""

    startup: Startup | None = None
    """The startup of the current pod, as far as this process observed it, if this process created the pod."""
