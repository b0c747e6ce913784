"""Validation of a spec against the administrator's limits.

A Sandbox that exceeds a limit gets no pod. If the administrator lowers a maximum, running pods remain.
"""

import re
from collections.abc import Iterator

from caisson.api.reasons import Reason
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.storage import StorageType
from caisson.config.model import Config
from caisson.limits.defaults import RESOURCE_NAMES, effective_resources, is_above
from caisson.model.errors import PolicyViolation


def validate_limits(spec: SandboxSpec, config: Config) -> None:
    """Raise PolicyViolation, which names every field, if a spec exceeds the limits."""
    _check_names(spec, config)
    problems = [*_above_maximum(spec, config), *_conflicts_with_defaults(spec, config)]
    if problems:
        raise PolicyViolation(Reason.EXCEEDS_MAXIMUM, "; ".join(problems))


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
            f"{field}: {name} is not allowed because Sandboxes can't reference {kind}s here; remove it, or ask the"
            f" administrator to set sandboxes.{_PATTERNS[kind]}",
        )
    if re.fullmatch(pattern, name) is None:
        raise PolicyViolation(
            reason, f"{field}: {name} is not allowed; use the name of a {kind} that matches {pattern}"
        )


def _above_maximum(spec: SandboxSpec, config: Config) -> Iterator[str]:
    maximum = config.sandboxes.resources.maximum
    for kind, amounts in (("limits", spec.resources.limits), ("requests", spec.resources.requests)):
        for name, written in RESOURCE_NAMES.items():
            value, most = getattr(amounts, name, None), getattr(maximum, name)
            if is_above(value, most):
                yield f"spec.resources.{kind}.{written}: {value} exceeds the maximum of {most}"
    storage, most_storage = spec.docker.storage, config.sandboxes.storage.maximum
    memory, disk, claim = storage.memory, storage.disk, storage.persistent_volume_claim
    for field, size, most in (
        ("memory.sizeLimit", memory.size_limit if memory else None, most_storage.memory),
        ("disk.sizeLimit", disk.size_limit if disk else None, most_storage.disk),
        ("persistentVolumeClaim.size", claim.size if claim else None, most_storage.persistent_volume_claim),
    ):
        if is_above(size, most):
            yield f"spec.docker.storage.{field}: {size} exceeds the maximum of {most}"
    for volume in spec.volumes:
        size = volume.empty_dir.size_limit if volume.empty_dir else None
        if is_above(size, most_storage.disk):
            yield f"spec.volumes[{volume.name}].emptyDir.sizeLimit: {size} exceeds the maximum of {most_storage.disk}"
    ttl, most_seconds = spec.lifetime.ttl_seconds, config.sandboxes.lifetime.maximum_seconds
    if ttl is not None and most_seconds is not None and ttl > most_seconds:
        yield f"spec.lifetime.ttlSeconds: {ttl} exceeds the maximum of {most_seconds}"
    timeout, longest = spec.docker.start_timeout_seconds, config.sandboxes.maximum_start_timeout_seconds
    if timeout > longest:
        yield f"spec.docker.startTimeoutSeconds: {timeout} exceeds the maximum of {longest}"


def _conflicts_with_defaults(spec: SandboxSpec, config: Config) -> Iterator[str]:
    """Yield the conflicts that the API server would reject if the spec contained the configured defaults."""
    own, limits = spec.resources.limits, effective_resources(spec, config).limits
    for name, written in RESOURCE_NAMES.items():
        value, limit = getattr(spec.resources.requests, name, None), getattr(limits, name, None)
        if getattr(own, name, None) is None and is_above(value, limit):
            yield (
                f"spec.resources.requests.{written}: {value} exceeds the default limit of {limit}, which applies"
                f" because spec.resources.limits.{written} is not set"
            )
    storage = spec.docker.storage
    if spec.docker.enabled and storage.type is StorageType.MEMORY and storage.memory is not None:
        size, limit = storage.memory.size_limit, getattr(limits, "memory", None)
        own_limit = getattr(own, "memory", None)
        if own_limit is None and size is not None and limit is not None and not is_above(limit, size):
            yield (
                f"spec.docker.storage.memory.sizeLimit: {size} is not less than the default memory limit of {limit},"
                " which applies because spec.resources.limits.memory is not set"
            )
