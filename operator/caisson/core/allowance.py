"""What the administrator gives a Sandbox where its spec does not say, and what a Sandbox may not ask for.

A Sandbox that asks for too much gets no pod. One whose pod runs already, because the administrator lowered a maximum
since, keeps it.
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from caisson.api.quantity import parse_quantity
from caisson.api.reasons import Reason
from caisson.api.sandbox import SandboxSpec
from caisson.api.storage import StorageType
from caisson.api.template import ResourceList, Resources
from caisson.config import Amounts, Config

RESOURCE_NAMES = {"cpu": "cpu", "memory": "memory", "ephemeral_storage": "ephemeral-storage"}
_DEFAULT_MEMORY_STORAGE = 2 * 2**30


class PolicyViolation(Exception):  # noqa: N818  it is a state of affairs rather than a failure
    """The Sandbox asks for something that the administrator does not offer. The message names field and choices."""

    def __init__(self, reason: Reason, message: str) -> None:
        """Carry the reason that the conditions get."""
        super().__init__(message)
        self.reason = reason


def validate_limits(spec: SandboxSpec, config: Config) -> None:
    """Raise PolicyViolation, which names every field, where a spec asks for more than it may have."""
    _check_names(spec, config)
    problems = [*_above_maximum(spec, config), *_conflicts_with_defaults(spec, config)]
    if problems:
        raise PolicyViolation(Reason.EXCEEDS_MAXIMUM, "; ".join(problems))


def effective_resources(spec: SandboxSpec, config: Config) -> Resources:
    """Return the resources of the sandbox's container: what the spec says, else the default, else the maximum."""
    default, maximum = config.sandboxes.resources.default, config.sandboxes.resources.maximum
    limits = _filled(spec.resources.limits, default.limits, maximum)
    requests = _filled(spec.resources.requests, default.requests)
    lowered = {
        name: getattr(limits, name)
        for name in RESOURCE_NAMES
        if amount(getattr(spec.resources.requests, name, None)) is None
        and is_above(getattr(requests, name), getattr(limits, name))
    }
    requests = requests.model_copy(update=lowered)
    nothing = ResourceList()
    return Resources(
        limits=limits if limits != nothing else None,
        requests=requests if requests != nothing else None,
    )


def memory_storage_bytes(spec: SandboxSpec, config: Config) -> int:
    """Return the size of the tmpfs under Docker, in bytes: what the spec says, else half of the memory limit."""
    size_limit = spec.docker.storage.memory.size_limit if spec.docker.storage.memory is not None else None
    if size_limit is not None:
        return int(parse_quantity(size_limit))
    limits = effective_resources(spec, config).limits
    size = _DEFAULT_MEMORY_STORAGE
    if limits is not None and limits.memory is not None:
        # The bounds of sizeLimit: a tmpfs of size 0 would be one without a limit.
        size = min(max(int(parse_quantity(limits.memory) / Decimal(2)), 2**20), 16 * 2**40)
    most = amount(config.sandboxes.storage.maximum.memory)
    return size if most is None else min(size, int(most))


def disk_storage_limit(spec: SandboxSpec, config: Config) -> str | int | None:
    """Return the size limit of the emptyDir under Docker, None where there is none."""
    size_limit = spec.docker.storage.disk.size_limit if spec.docker.storage.disk is not None else None
    return size_limit if size_limit is not None else config.sandboxes.storage.maximum.disk


def _check_names(spec: SandboxSpec, config: Config) -> None:
    allowed = config.sandboxes
    for field, reference in _secrets(spec):
        _check_name(Reason.SECRET_NOT_ALLOWED, "Secret", field, reference, allowed.secret_name_pattern)
    for field, reference in _config_maps(spec):
        _check_name(Reason.CONFIG_MAP_NOT_ALLOWED, "ConfigMap", field, reference, allowed.config_map_name_pattern)
    for volume in spec.volumes:
        if volume.persistent_volume_claim is not None:
            field, name = f"spec.volumes[{volume.name}]", volume.persistent_volume_claim.claim_name
            pattern = allowed.volume_claim_name_pattern
            _check_name(Reason.VOLUME_CLAIM_NOT_ALLOWED, "PersistentVolumeClaim", field, name, pattern)


def _secrets(spec: SandboxSpec) -> Iterator[tuple[str, str]]:
    for reference in spec.image_pull_secrets:
        yield "spec.imagePullSecrets", reference.name
    if spec.docker.registry.credentials is not None:
        yield "spec.docker.registry.credentials", spec.docker.registry.credentials.name


def _config_maps(spec: SandboxSpec) -> Iterator[tuple[str, str]]:
    for volume in spec.volumes:
        if volume.config_map is not None:
            yield f"spec.volumes[{volume.name}]", volume.config_map.name
    if spec.docker.registry.authorities is not None:
        yield "spec.docker.registry.authorities", spec.docker.registry.authorities.name


_PATTERNS = {
    "Secret": "secretNamePattern",
    "ConfigMap": "configMapNamePattern",
    "PersistentVolumeClaim": "volumeClaimNamePattern",
}


def _check_name(reason: Reason, kind: str, field: str, name: str, pattern: str | None) -> None:
    if pattern is None:
        raise PolicyViolation(
            reason,
            f"{field}: {name} is not allowed, a Sandbox may name no {kind} here; remove it, or ask the administrator to"
            f" set sandboxes.{_PATTERNS[kind]}",
        )
    if re.fullmatch(pattern, name) is None:
        raise PolicyViolation(reason, f"{field}: {name} is not allowed, names of {kind}s must match {pattern} here")


def _above_maximum(spec: SandboxSpec, config: Config) -> Iterator[str]:
    maximum = config.sandboxes.resources.maximum
    for kind, amounts in (("limits", spec.resources.limits), ("requests", spec.resources.requests)):
        for name, written in RESOURCE_NAMES.items():
            value, most = getattr(amounts, name, None), getattr(maximum, name)
            if is_above(value, most):
                yield f"spec.resources.{kind}.{written}: {value} is above {most}, the most that is allowed here"
    storage, most_storage = spec.docker.storage, config.sandboxes.storage.maximum
    memory, disk, claim = storage.memory, storage.disk, storage.persistent_volume_claim
    for field, size, most in (
        ("memory.sizeLimit", memory.size_limit if memory else None, most_storage.memory),
        ("disk.sizeLimit", disk.size_limit if disk else None, most_storage.disk),
        ("persistentVolumeClaim.size", claim.size if claim else None, most_storage.persistent_volume_claim),
    ):
        if is_above(size, most):
            yield f"spec.docker.storage.{field}: {size} is above {most}, the most that is allowed here"
    for volume in spec.volumes:
        size = volume.empty_dir.size_limit if volume.empty_dir else None
        if is_above(size, most_storage.disk):
            yield (
                f"spec.volumes[{volume.name}].emptyDir.sizeLimit: {size} is above {most_storage.disk}, the most that is"
                " allowed here"
            )
    ttl, most_seconds = spec.lifetime.ttl_seconds, config.sandboxes.lifetime.maximum_seconds
    if ttl is not None and most_seconds is not None and ttl > most_seconds:
        yield f"spec.lifetime.ttlSeconds: {ttl} is above {most_seconds}, the most that is allowed here"


def _conflicts_with_defaults(spec: SandboxSpec, config: Config) -> Iterator[str]:
    """What the API server would have refused, had the spec said itself what it gets by the configuration."""
    own, limits = spec.resources.limits, effective_resources(spec, config).limits
    for name, written in RESOURCE_NAMES.items():
        value, limit = getattr(spec.resources.requests, name, None), getattr(limits, name, None)
        if getattr(own, name, None) is None and is_above(value, limit):
            yield f"spec.resources.requests.{written}: {value} is above the limit, which is {limit} where it is not set"
    storage = spec.docker.storage
    if spec.docker.enabled and storage.type is StorageType.MEMORY and storage.memory is not None:
        size, limit = storage.memory.size_limit, getattr(limits, "memory", None)
        own_limit = getattr(own, "memory", None)
        if own_limit is None and size is not None and limit is not None and not is_above(limit, size):
            yield (
                f"spec.docker.storage.memory.sizeLimit: {size} is not below the memory limit, which is {limit} where it"
                " is not set"
            )


def _filled(own: ResourceList | None, *defaults: Amounts) -> ResourceList:
    """Return the amounts, each the first that is set."""
    sources = (own, *defaults)
    candidates = {name: [getattr(source, name) for source in sources if source is not None] for name in RESOURCE_NAMES}
    return ResourceList(
        **{name: next((v for v in values if v is not None), None) for name, values in candidates.items()}
    )


def amount(value: str | int | None) -> Decimal | None:
    return None if value is None else parse_quantity(value)


def is_above(value: str | int | None, most: str | int | None) -> bool:
    return value is not None and most is not None and parse_quantity(value) > parse_quantity(most)
