"""The part of the configuration that applies to every Sandbox: defaults, limits, network, placement."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from caisson.api.quantity import parse_quantity
from caisson.api.spec.network import Cidr, EgressPort, EgressRange
from caisson.api.spec.registry import MIRROR_PATTERN
from caisson.config.base import ConfigModel
from caisson.config.metadata_addresses import METADATA_ADDRESSES
from caisson.config.validators import (
    Address,
    AddressRange,
    Amount,
    LabelKey,
    LabelValue,
    NamePattern,
    QualifiedName,
    check_annotations,
)
from caisson.util.cidr import covers


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
