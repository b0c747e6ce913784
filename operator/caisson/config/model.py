"""The administrator's configuration. `config.loader` reads it from a file."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from caisson.config.base import ConfigModel
from caisson.config.sandboxes import Sandboxes
from caisson.config.validators import ClassName, Namespace


class Toolbox(ConfigModel):
    """An image that contains one version of Docker."""

    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")]
    """The value of `spec.docker.version` that selects this toolbox."""

    image: Annotated[str, Field(min_length=1)]
    """Image reference for the nodes. A change applies to new pods."""


class ToolboxDelivery(StrEnum):
    """How a toolbox is mounted into a sandbox."""

    AUTO = "Auto"
    IMAGE_VOLUME = "ImageVolume"
    COPY = "Copy"


class Isolation(StrEnum):
    """The mechanism that prevents user code from running on anything but gVisor."""

    TRIPWIRE = "Tripwire"
    INIT_CONTAINER = "InitContainer"


class LeaderElection(ConfigModel):
    """Leader election among the replicas, with a Lease."""

    enabled: bool = False
    """Requires the environment variable POD_NAMESPACE, which names the namespace of the Lease."""

    lease_name: ClassName = "caisson"
    """Name of the Lease."""

    lease_duration_seconds: Annotated[int, Field(ge=2, le=3600)] = 15
    """How long a standby waits after the leader's last heartbeat before it takes over, in seconds."""

    renew_deadline_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """How long the leader retries to renew the Lease before it exits, in seconds."""

    retry_period_seconds: Annotated[int, Field(ge=1, le=3600)] = 2
    """Interval between attempts to acquire or renew the Lease, in seconds."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.retry_period_seconds < self.renew_deadline_seconds < self.lease_duration_seconds:
            raise ValueError(
                "the order retryPeriodSeconds < renewDeadlineSeconds < leaseDurationSeconds is required: change them"
            )
        return self


class Config(ConfigModel):
    """The administrator's configuration."""

    namespaces: tuple[Namespace, ...] = ()
    """Namespaces of the Sandboxes that this operator manages. If empty, it manages all namespaces."""

    allowed_runtime_classes: Annotated[tuple[ClassName, ...], Field(min_length=1)] = ("gvisor",)
    """RuntimeClasses that a Sandbox may use. The first is the default."""

    allowed_runtime_handlers: Annotated[tuple[ClassName, ...], Field(min_length=1)] = ("runsc", "gvisor")
    """Handlers of gVisor. The operator creates no pod with a RuntimeClass that has another handler."""

    toolboxes: Annotated[tuple[Toolbox, ...], Field(min_length=1)]
    """Available versions of Docker. The first is the default."""

    toolbox_delivery: ToolboxDelivery = ToolboxDelivery.AUTO
    """How a toolbox is mounted into a sandbox. ImageVolume: as an image volume, which requires Kubernetes 1.35. Copy:
    an init container copies it to the node's disk, which takes about 250 MB and one second per pod. Auto: ImageVolume
    if the cluster supports it, otherwise Copy."""

    isolation: Isolation = Isolation.TRIPWIRE
    """How Caisson prevents user code from running on anything but gVisor. Tripwire: two sysctls that gVisor ignores and
    that make every other runtime fail before the first container exists. InitContainer: an init container that inspects
    the kernel. It is for runtimes that apply sysctls themselves, such as CRI-O. It is weaker (see SECURITY.md) and adds
    up to one second to each start. A change applies to new pods."""

    require_guarded_namespaces: bool = True
    """If true, the operator creates no pods in namespaces where Caisson's admission policy is not enforced."""

    sandboxes: Sandboxes = Sandboxes()
    """Defaults and limits of all Sandboxes."""

    probe_period_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """Period of the kubelet's probe of dockerd, in seconds."""

    workers: Annotated[int, Field(ge=1, le=256)] = 64
    """Maximum number of concurrent reconciles of Sandboxes, of pools, and of pool pods. Objects of one namespace get at
    most a quarter of them, and at least one."""

    sessions: Annotated[int, Field(ge=1, le=4096)] = 128
    """Maximum number of concurrent exec sessions. Each takes about 256 KiB of memory for one or two seconds per
    start."""

    sessions_per_namespace: Annotated[int, Field(ge=1, le=4096)] = 32
    """Maximum number of concurrent exec sessions per namespace."""

    starts_per_node: Annotated[int, Field(ge=1, le=256)] = 4
    """Maximum number of concurrent starts of dockerd per node. A start takes one to two seconds of one core. If many
    more starts than cores run concurrently, all of them slow down and time out. A start that takes longer than 10
    seconds releases its slot. Namespaces take turns."""

    resync_period_seconds: Annotated[int, Field(ge=10, le=3600)] = 300
    """How often the operator lists pods, Services and NetworkPolicies in addition to watching them. The list finds
    changes that a watch lost. For Sandboxes and pools, the operator compares a list of their metadata every minute."""

    bytes_per_namespace: Annotated[int, Field(ge=2**22, le=2**40)] = 64 * 2**20
    """Maximum size of the objects of one namespace that the operator caches, in bytes: Sandboxes, pools, and their
    pods, NetworkPolicies and Services. A typical Sandbox and its objects take about 8 KiB. The oldest objects take
    precedence; the others get the reason NamespaceOverLimit."""

    bytes_in_all: Annotated[int, Field(ge=2**22, le=2**40)] = 160 * 2**20
    """Maximum size of the objects of all namespaces that the operator caches, in bytes. If it is exceeded, the largest
    namespace is over its limit. If you raise it, raise the operator's memory limit by twice the amount."""

    leader_election: LeaderElection = LeaderElection()
    """Leader election among the replicas."""

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
                raise ValueError(f"{field}: {', '.join(twice)} is listed twice: remove one")
        return self
