"""The configuration of all Sandboxes: defaults, limits, network, placement."""

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
    """Resources of a Sandbox whose spec does not set them."""

    limits: Amounts = Amounts()
    """Default of each field of spec.resources.limits."""

    requests: Amounts = Amounts()
    """Default of each field of spec.resources.requests. A default that exceeds the limit is lowered to it."""


class SandboxResources(ConfigModel):
    """Compute resources of Sandboxes."""

    default: DefaultResources = DefaultResources()
    """Resources of a Sandbox whose spec does not set them."""

    maximum: Amounts = Amounts()
    """Maximum that a Sandbox may request. It is also the limit if neither the Sandbox nor the default sets one."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        for kind, amounts in (("limits", self.default.limits), ("requests", self.default.requests)):
            for name in ("cpu", "memory", "ephemeral_storage"):
                value, most = getattr(amounts, name), getattr(self.maximum, name)
                if value is not None and most is not None and parse_quantity(value) > parse_quantity(most):
                    field = name.replace("_", "-")
                    raise ValueError(
                        f"default.{kind}.{field} ({value}) exceeds maximum.{field} ({most}): lower the default or raise"
                        " the maximum"
                    )
        return self


class StorageMaximum(ConfigModel):
    """Maximum storage that a Sandbox may request."""

    memory: Amount | None = None
    """Maximum of spec.docker.storage.memory.sizeLimit, in bytes."""

    disk: Amount | None = None
    """Maximum of spec.docker.storage.disk.sizeLimit and of the sizeLimit of each emptyDir in spec.volumes, in bytes. It
    is also the default of both."""

    persistent_volume_claim: Amount | None = None
    """Maximum of spec.docker.storage.persistentVolumeClaim.size, in bytes."""


class SandboxStorage(ConfigModel):
    """Storage of Sandboxes."""

    maximum: StorageMaximum = StorageMaximum()
    """Maximum storage that a Sandbox may request."""


class SandboxLifetime(ConfigModel):
    """Lifetime of Sandboxes."""

    default_seconds: Annotated[int, Field(ge=60)] | None = None
    """Default of spec.lifetime.ttlSeconds, in seconds. Defaults to the maximum."""

    maximum_seconds: Annotated[int, Field(ge=60)] | None = None
    """Maximum of spec.lifetime.ttlSeconds, in seconds. Unlimited by default. A pod that waits in a pool is
    replaced before this age, and deleted at this age."""

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.default_seconds and self.maximum_seconds and self.default_seconds > self.maximum_seconds:
            raise ValueError(
                f"defaultSeconds ({self.default_seconds}) exceeds maximumSeconds ({self.maximum_seconds}): lower it"
            )
        return self


class AllowedPort(EgressPort):
    """A port or a range of ports."""

    model_config = ConfigDict(extra="forbid")


class AllowedRange(EgressRange):
    """Addresses that every sandbox may connect to."""

    model_config = ConfigDict(extra="forbid")

    cidr: Cidr
    """Address range in CIDR notation. It can't contain a metadata address in any notation: `::/0` and `64:ff9b::/96`
    contain IPv4 addresses, too."""

    ports: tuple[AllowedPort, ...] = ()
    """Ports. If empty, all ports of all protocols are allowed."""


class SandboxNetwork(ConfigModel):
    """NetworkPolicies of Sandboxes. A change applies to running Sandboxes, too."""

    enabled: bool = True
    """If false, Caisson creates no NetworkPolicies, deletes the existing ones, and ignores spec.network. Use it for
    clusters that restrict the network by other means."""

    metadata_addresses: tuple[Address, ...] = tuple(METADATA_ADDRESSES)
    """Addresses that no Sandbox may connect to, on any port and with any spec, because clouds serve credentials there.
    A list replaces the default; to extend the default, use deniedEgress."""

    denied_egress: tuple[Cidr, ...] = ()
    """Ranges that no Sandbox may connect to, except DNS servers in them and allowedEgress. If there are any, the policy
    for egress Open allows pods by address range instead of by pod selector."""

    allowed_egress: tuple[AllowedRange, ...] = ()
    """Ranges that every Sandbox may connect to, with any spec, such as a registry mirror. They may overlap
    deniedEgress, but can't contain a metadata address."""

    @model_validator(mode="after")
    def _metadata_stays_closed(self) -> Self:
        for number, allowed in enumerate(self.allowed_egress):
            for address in self.metadata_addresses:
                if covers(allowed.cidr, address):
                    raise ValueError(
                        f"allowedEgress[{number}].cidr: {allowed.cidr} contains the metadata address {address} in one"
                        " of its notations: use smaller ranges without it, or remove the entry"
                    )
        return self


class Toleration(ConfigModel):
    """A toleration of a pod, as in core/v1."""

    key: QualifiedName | None = None
    """Key of the taint. If not set, all taints match; requires operator Exists."""

    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal compares the value of the taint. Exists matches every value."""

    value: LabelValue | None = None
    """Value of the taint."""

    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Effect of the taint. If not set, all effects match."""

    toleration_seconds: int | None = None
    """How long a NoExecute taint is tolerated, in seconds. Unlimited by default."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("value is not allowed with operator Exists: remove it, or set operator: Equal")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("key is missing: set the key of the taint, or set operator: Exists")
        return self


class Sandboxes(ConfigModel):
    """Defaults and limits of all Sandboxes. A change applies to new pods."""

    resources: SandboxResources = SandboxResources()
    """Compute resources."""

    storage: SandboxStorage = SandboxStorage()
    """Storage."""

    lifetime: SandboxLifetime = SandboxLifetime()
    """Lifetime of Sandboxes."""

    maximum_start_timeout_seconds: Annotated[int, Field(ge=60, le=3600)] = 3600
    """Maximum of spec.docker.startTimeoutSeconds, in seconds."""

    network: SandboxNetwork = SandboxNetwork()
    """NetworkPolicies of Sandboxes. A change applies to running Sandboxes, too."""

    registry_mirrors: tuple[Annotated[str, Field(pattern=MIRROR_PATTERN)], ...] = ()
    """URLs of Docker Hub mirrors for dockerd. Ignored with profile Bare."""

    secret_name_pattern: NamePattern | None = None
    """Regular expression that must match the entire name of each Secret that a Sandbox references. If not set,
    Sandboxes can't reference Secrets."""

    config_map_name_pattern: NamePattern | None = None
    """Regular expression for the names of ConfigMaps, as for Secrets."""

    volume_claim_name_pattern: NamePattern | None = None
    """Regular expression for the names of existing PersistentVolumeClaims, as for Secrets. It does not apply to the
    PersistentVolumeClaim of docker.storage, which belongs to the Sandbox."""

    reserved_ranges: tuple[AddressRange, ...] = ()
    """IPv4 ranges that the networks of nested containers must not overlap, such as `10.0.0.0/8`: the ranges of pods,
    Services and nodes, and other destinations of sandboxes. Caisson detects the addresses of the pod, its node and the
    API server's Service, and avoids the ranges around them. Ignored with profile Bare."""

    node_selector: dict[QualifiedName, LabelValue] = {}
    """Labels of the nodes on which sandboxes run."""

    tolerations: tuple[Toleration, ...] = ()
    """Taints that sandboxes tolerate."""

    propagated_labels: tuple[LabelKey, ...] = ()
    """Keys of labels that are copied from a Sandbox to its pod when the pod is created, for example for chargeback."""

    labels: dict[LabelKey, LabelValue] = {}
    """Labels of every pod. They take precedence over labels that are copied from a Sandbox."""

    annotations: Annotated[dict[QualifiedName, str], AfterValidator(check_annotations)] = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    """Annotations of every pod. The defaults prevent autoscalers from evicting sandboxes, which would lose their
    data."""
