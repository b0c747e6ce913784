"""The administrator's configuration, as a model. Reading it from a file is the shell's work."""

import re
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from caisson.api.base import Quantity
from caisson.api.network import Cidr, EgressPort, EgressRange
from caisson.api.quantity import parse_quantity
from caisson.api.registry import MIRROR_PATTERN
from caisson.util.cidr import covers, parse_address

RESERVED_PREFIX = "caisson.dev/"
_GVISOR_PREFIX = "dev.gvisor."
_OWN_MOUNT = re.compile(
    r"dev\.gvisor\.spec\.mount\.(docker|caisson-toolbox)\."
    r"(type=(tmpfs|bind)|share=(container|pod|shared)|options=(rw|ro))"
)
_MANAGED_BY = "app.kubernetes.io/managed-by"
_QUALIFIED_NAME = r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


class ConfigModel(BaseModel):
    """A part of the configuration: immutable, camelCase in the file, an unknown field is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


def _check_amount(value: str | int) -> str | int:
    if parse_quantity(value) <= 0:
        raise ValueError(f"{value!r} is not above 0: raise it, or leave the field out")
    return value


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    return value


def _check_label_key(key: str) -> str:
    if key == _MANAGED_BY or key.startswith(RESERVED_PREFIX):
        raise ValueError(f"{key} is Caisson's own: choose another key")
    return key


def check_annotations(annotations: dict[str, str]) -> dict[str, str]:
    for key, value in annotations.items():
        if key.startswith(RESERVED_PREFIX):
            raise ValueError(f"{key} is Caisson's own: choose another key")
        if key.startswith(_GVISOR_PREFIX) and not _OWN_MOUNT.fullmatch(f"{key}={value}"):
            raise ValueError(
                f"{key}: of gVisor's annotations only dev.gvisor.spec.mount.NAME.type (tmpfs, bind), .share (container,"
                " pod, shared) and .options (rw, ro) may be set, where NAME is docker or caisson-toolbox"
            )
    return annotations


def _check_range(value: str) -> str:
    try:
        IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not a range of IPv4 addresses such as 10.0.0.0/8: {error}") from error
    return value


def _check_address(value: str) -> str:
    try:
        return str(parse_address(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not an address such as 169.254.169.254 or fd00:ec2::254: {error}") from error


Address = Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]{2,45}$"), AfterValidator(_check_address)]
Amount = Annotated[Quantity, AfterValidator(_check_amount)]
NamePattern = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_pattern)]
AddressRange = Annotated[str, AfterValidator(_check_range)]
Namespace = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ClassName = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
QualifiedName = Annotated[str, StringConstraints(pattern=f"^{_QUALIFIED_NAME}$")]
LabelKey = Annotated[QualifiedName, AfterValidator(_check_label_key)]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]


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


class Amounts(ConfigModel):
    """Amounts of compute resources."""

    cpu: Amount | None = None
    """CPU, in cores: `2` or `500m`."""

    memory: Amount | None = None
    """Memory, in bytes: `4Gi`."""

    ephemeral_storage: Annotated[Amount | None, Field(alias="ephemeral-storage")] = None
    """Local disk, in bytes: `10Gi`."""


class DefaultResources(ConfigModel):
    """What a Sandbox gets where its spec does not say."""

    limits: Amounts = Amounts()
    """Limits, each where spec.resources.limits leaves it out."""

    requests: Amounts = Amounts()
    """Requests, each where spec.resources.requests leaves it out. One above the limit is lowered to it."""


class SandboxResources(ConfigModel):
    """Compute resources of Sandboxes."""

    default: DefaultResources = DefaultResources()
    """What a Sandbox gets where its spec does not say."""

    maximum: Amounts = Amounts()
    """The most that a Sandbox may ask for, and what it is limited to where neither it nor the default says."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        for kind, amounts in (("limits", self.default.limits), ("requests", self.default.requests)):
            for name in ("cpu", "memory", "ephemeral_storage"):
                value, most = getattr(amounts, name), getattr(self.maximum, name)
                if value is not None and most is not None and parse_quantity(value) > parse_quantity(most):
                    field = name.replace("_", "-")
                    raise ValueError(
                        f"default.{kind}.{field} ({value}) is above maximum.{field} ({most}): lower it or raise that"
                    )
        return self


class StorageMaximum(ConfigModel):
    """The most storage that a Sandbox may ask for."""

    memory: Amount | None = None
    """Of spec.docker.storage.memory.sizeLimit, in bytes."""

    disk: Amount | None = None
    """Of spec.docker.storage.disk.sizeLimit and of each emptyDir in spec.volumes, in bytes, and the limit of those that
    set none."""

    persistent_volume_claim: Amount | None = None
    """Of spec.docker.storage.persistentVolumeClaim.size, in bytes."""


class SandboxStorage(ConfigModel):
    """Storage of Sandboxes."""

    maximum: StorageMaximum = StorageMaximum()
    """The most storage that a Sandbox may ask for."""


class SandboxLifetime(ConfigModel):
    """How long Sandboxes live."""

    default_seconds: Annotated[int, Field(ge=60)] | None = None
    """Of a Sandbox without spec.lifetime.ttlSeconds, in seconds. Defaults to the maximum."""

    maximum_seconds: Annotated[int, Field(ge=60)] | None = None
    """The most that spec.lifetime.ttlSeconds may say, in seconds. For ever when not set."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.default_seconds and self.maximum_seconds and self.default_seconds > self.maximum_seconds:
            raise ValueError(
                f"defaultSeconds ({self.default_seconds}) is above maximumSeconds ({self.maximum_seconds}): lower it"
            )
        return self


METADATA_ADDRESSES = {
    "169.254.169.254": "AWS, Azure, Google Cloud, Oracle, DigitalOcean, Hetzner, OpenStack and most others",
    "169.254.169.252": "GKE's metadata server: nodes send there what was meant for 169.254.169.254",
    "fd20:ce::254": "Google Cloud, by IPv6",
    "fd00:ec2::254": "AWS, by IPv6",
    "169.254.170.2": "AWS ECS: credentials of tasks",
    "169.254.170.23": "AWS EKS: credentials of pods (Pod Identity)",
    "fd00:ec2::23": "AWS EKS: credentials of pods, by IPv6",
    "168.63.129.16": "Azure: WireServer, which has the node's certificates and extensions",
    "100.100.100.200": "Alibaba Cloud",
    "fd00:100::100:200": "Alibaba Cloud, by IPv6",
    "192.0.0.192": "Oracle Cloud Classic",
    "fd00:c1::a9fe:a9fe": "Oracle Cloud, by IPv6",
    "169.254.0.23": "Tencent Cloud",
    "169.254.42.42": "Scaleway",
    "fd00:42::42": "Scaleway, by IPv6",
    "fd00:a9fe:a9fe::1": "Akamai (Linode), by IPv6",
    "fe80::a9fe:a9fe": "OpenStack, by IPv6",
}
"""What gives a node's or an account's credentials to whoever asks, and whose it is."""


class AllowedPort(EgressPort):
    """A port, or a range of ports."""

    model_config = ConfigDict(extra="forbid")


class AllowedRange(EgressRange):
    """Addresses that every sandbox may talk to."""

    model_config = ConfigDict(extra="forbid")

    cidr: Cidr
    """The range of addresses. It can't cover a metadata address in any notation: `::/0` and `64:ff9b::/96` contain IPv4
    addresses, too."""

    ports: tuple[AllowedPort, ...] = ()
    """The ports; all of all protocols when empty."""


class SandboxNetwork(ConfigModel):
    """NetworkPolicies of Sandboxes. A change reaches those that run, too."""

    enabled: bool = True
    """false: no NetworkPolicies are made, spec.network means nothing, and those that are there are deleted. For
    clusters whose network is closed in another way."""

    metadata_addresses: tuple[Address, ...] = tuple(METADATA_ADDRESSES)
    """Addresses that no Sandbox reaches, at no port, whatever its spec says: those from which clouds give credentials
    away. A list here replaces the default; to add to it, use deniedEgress."""

    denied_egress: tuple[Cidr, ...] = ()
    """Ranges that no Sandbox reaches, but for name servers in them, and for allowedEgress. With any, Sandboxes with
    egress Open reach pods by these ranges alone."""

    allowed_egress: tuple[AllowedRange, ...] = ()
    """Ranges that every Sandbox reaches, whatever its spec says, such as a registry's mirror. They may be in
    deniedEgress; they can't cover a metadata address."""

    @model_validator(mode="after")
    def _metadata_stays_closed(self) -> Self:
        for number, allowed in enumerate(self.allowed_egress):
            for address in self.metadata_addresses:
                if covers(allowed.cidr, address):
                    raise ValueError(
                        f"allowedEgress[{number}].cidr: {allowed.cidr} covers {address}, a metadata address, in one of"
                        " its notations: name smaller ranges without it, or remove the entry"
                    )
        return self


class Toleration(ConfigModel):
    """A toleration of a pod, as in core/v1."""

    key: QualifiedName | None = None
    """The taint's key; all of them when not set, with operator Exists."""

    operator: Literal["Equal", "Exists"] = "Equal"
    """Exists tolerates every value."""

    value: LabelValue | None = None
    """The taint's value."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; all of them when not set."""

    toleration_seconds: int | None = None
    """How long a NoExecute taint is tolerated, in seconds; for ever when not set."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("value is not for operator Exists: remove it, or set operator: Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("key is missing: name the taint, or set operator: Exists")
        return self


class Sandboxes(ConfigModel):
    """What every Sandbox gets, and the most that it may ask for. A change reaches new pods only."""

    resources: SandboxResources = SandboxResources()
    """Compute resources."""

    storage: SandboxStorage = SandboxStorage()
    """Storage."""

    lifetime: SandboxLifetime = SandboxLifetime()
    """How long they live."""

    network: SandboxNetwork = SandboxNetwork()
    """NetworkPolicies of Sandboxes. A change reaches those that run, too."""

    registry_mirrors: tuple[Annotated[str, Field(pattern=MIRROR_PATTERN)], ...] = ()
    """Mirrors of Docker Hub that dockerd pulls through, as URLs. Not with profile Bare."""

    secret_name_pattern: NamePattern | None = None
    """A regular expression which the whole name of each Secret that a Sandbox names must match. Without it a Sandbox
    may name none."""

    config_map_name_pattern: NamePattern | None = None
    """The same of ConfigMaps."""

    volume_claim_name_pattern: NamePattern | None = None
    """The same of PersistentVolumeClaims that are there already; one of docker.storage is the Sandbox's own."""

    reserved_ranges: tuple[AddressRange, ...] = ()
    """Ranges of IPv4 addresses, such as `10.0.0.0/8`, that the networks of nested containers must stay out of: those of
    pods, Services and nodes, and what else sandboxes have to reach. Addresses of the pod, its node and the API server's
    Service are known without, and their surroundings left alone. Not with profile Bare."""

    node_selector: dict[QualifiedName, LabelValue] = {}
    """Labels of the nodes on which sandboxes run."""

    tolerations: tuple[Toleration, ...] = ()
    """Taints that sandboxes tolerate."""

    propagated_labels: tuple[LabelKey, ...] = ()
    """Keys of labels that are copied from a Sandbox to its pod when that is made, for chargeback for example."""

    labels: dict[LabelKey, LabelValue] = {}
    """Labels of every pod. They win over those copied from a Sandbox."""

    annotations: Annotated[dict[QualifiedName, str], AfterValidator(check_annotations)] = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    """Annotations of every pod. The default keeps autoscalers from evicting sandboxes, which lose their work by it."""


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
    """How often Sandboxes and pods are listed, beside being watched: what a watch lost is found then at the latest."""

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
