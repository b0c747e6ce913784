"""The administrator's configuration. Reading it from a file is the loader's work."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from caisson.config.base import ConfigModel
from caisson.config.sandboxes import Sandboxes
from caisson.config.validators import ClassName, Namespace


class Toolbox(ConfigModel):
    """An image which brings one version of Docker along."""

    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")]
    """What `spec.docker.version` calls it."""

    image: Annotated[str, Field(min_length=1)]
    """The image, as nodes pull it. A change reaches new pods only."""


class ToolboxDelivery(StrEnum):
    """How a toolbox gets into a sandbox."""

    AUTO = "Auto"
    IMAGE_VOLUME = "ImageVolume"
    COPY = "Copy"


class Isolation(StrEnum):
    """What keeps a pod from running on anything but gVisor before any code of its user runs."""

    TRIPWIRE = "Tripwire"
    INIT_CONTAINER = "InitContainer"


class LeaderElection(ConfigModel):
    """Which of several operators works, decided by a Lease."""

    enabled: bool = False
    """Needs the environment variable POD_NAMESPACE, the namespace of the Lease."""

    lease_name: ClassName = "caisson"
    """Name of the Lease."""

    lease_duration_seconds: Annotated[int, Field(ge=2, le=3600)] = 15
    """How long others wait for a leader that is not heard of, in seconds."""

    renew_deadline_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """How long a leader tries to renew before it gives up, in seconds."""

    retry_period_seconds: Annotated[int, Field(ge=1, le=3600)] = 2
    """Between two tries to renew or to become the leader, in seconds."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.retry_period_seconds < self.renew_deadline_seconds < self.lease_duration_seconds:
            raise ValueError("retryPeriodSeconds < renewDeadlineSeconds < leaseDurationSeconds must hold")
        return self


class Config(ConfigModel):
    """What the administrator decides for all Sandboxes."""

    namespaces: tuple[Namespace, ...] = ()
    """The namespaces whose Sandboxes this operator looks after; all of them when empty."""

    allowed_runtime_classes: Annotated[tuple[ClassName, ...], Field(min_length=1)] = ("gvisor",)
    """The RuntimeClasses that a Sandbox may name; the first is the default."""

    allowed_runtime_handlers: Annotated[tuple[ClassName, ...], Field(min_length=1)] = ("runsc", "gvisor")
    """The handlers that are gVisor's: a RuntimeClass that names another gets no pod."""

    toolboxes: Annotated[tuple[Toolbox, ...], Field(min_length=1)]
    """The versions of Docker on offer; the first is the default."""

    toolbox_delivery: ToolboxDelivery = ToolboxDelivery.AUTO
    """How a toolbox gets into a sandbox. ImageVolume: as an image volume, which Kubernetes has from 1.35 on. Copy: an
    init container copies it to the node's disk, about 250 MB and a second for each pod. Auto: ImageVolume where the
    cluster's version has it, else Copy."""

    isolation: Isolation = Isolation.TRIPWIRE
    """What keeps a pod from running on anything but gVisor. Tripwire: two sysctls that gVisor ignores and that make
    every other runtime fail before the first container exists. InitContainer: an init container that inspects the
    kernel, for runtimes that apply sysctls themselves, such as CRI-O. It is weaker (see SECURITY.md) and adds up to a
    second to each start. A change applies to new pods."""

    require_guarded_namespaces: bool = True
    """Refuse to make pods in a namespace where Caisson's admission policy does not hold."""

    sandboxes: Sandboxes = Sandboxes()
    """What every Sandbox gets, and the most that it may ask for."""

    probe_period_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """How often the kubelet looks whether dockerd still lives."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many Sandboxes are reconciled at a time."""

    sessions: Annotated[int, Field(ge=1, le=4096)] = 128
    """How many exec sessions are open at a time. Each takes a quarter of a MiB, for the second or two that a start
    lasts."""

    sessions_per_namespace: Annotated[int, Field(ge=1, le=4096)] = 32
    """How many of them one namespace may have, so that none can take them all."""

    starts_per_node: Annotated[int, Field(ge=1, le=256)] = 4
    """How many starts of dockerd a node is given at a time. A start takes one to two seconds of a core; with many more
    at once than cores all of them become slow, and time out. One that lasts longer than 10 seconds makes room, and
    namespaces that wait take turns."""

    resync_period_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """How often the operator lists pods, Services and NetworkPolicies in addition to watching them. The list finds
    changes that a watch lost. For Sandboxes and pools, the operator compares a list of their metadata every minute."""

    bytes_per_namespace: Annotated[int, Field(ge=2**22, le=2**40)] = 64 * 2**20
    """How many bytes of objects the operator holds of one namespace: Sandboxes, pools, and their pods, NetworkPolicies
    and Services. A usual Sandbox takes about 8 KiB with all that belongs to it. The oldest objects come first; the
    others are NamespaceOverLimit."""

    bytes_in_all: Annotated[int, Field(ge=2**22, le=2**40)] = 160 * 2**20
    """How many bytes of objects the operator holds of all namespaces together. Beyond it, the largest namespace is over
    its limit. If you raise it, raise the operator's memory limit by twice as much."""

    leader_election: LeaderElection = LeaderElection()
    """Which of several operators works."""

    @model_validator(mode="after")
    def _bytes_in_order(self) -> Self:
        if self.bytes_per_namespace > self.bytes_in_all:
            raise ValueError(
                f"bytesPerNamespace ({self.bytes_per_namespace}) exceeds bytesInAll ({self.bytes_in_all}): lower it, or"
                " raise bytesInAll"
            )
        return self

    @model_validator(mode="after")
    def _no_duplicates(self) -> Self:
        versions = [toolbox.version for toolbox in self.toolboxes]
        for field, values in (
            ("namespaces", self.namespaces),
            ("allowedRuntimeClasses", self.allowed_runtime_classes),
            ("toolboxes", versions),
        ):
            if twice := sorted({value for value in values if list(values).count(value) > 1}):
                raise ValueError(f"{field}: {', '.join(twice)} is there twice: remove one")
        return self
