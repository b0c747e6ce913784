"""The volumes of a Sandbox's pod and their mounts: Docker's storage, registry settings, and the user's volumes."""

from typing import Any

from caisson.api.resources import Sandbox
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.storage import StorageType
from caisson.api.spec.volumes import Volume
from caisson.children.pvc import pvc_name
from caisson.config.model import Config
from caisson.limits.defaults import disk_storage_limit

Json = dict[str, Any]

Mounted = tuple[Json, Json]
"""A volume and its mount."""

_DOCKER_ROOT = "/var/lib/docker"
_REGISTRY_PATH = "/etc/caisson/registry"
_USERS_PREFIX = "volume-"
"""Prefix for the names of the user's volumes, so that they can't collide with Caisson's."""


def volumes(sandbox: Sandbox, config: Config) -> list[Mounted]:
    """Return all volumes except the toolbox, each with its mount."""
    spec = sandbox.spec
    docker = [*_storage(sandbox, config), *_registry(spec)] if spec.docker.enabled else []
    most = config.sandboxes.storage.maximum.disk
    return [*docker, *(_users(volume, most) for volume in spec.volumes)]


def _storage(sandbox: Sandbox, config: Config) -> list[Mounted]:
    """Return the volume of Docker's storage. For type Memory, the in-pod script mounts a tmpfs instead."""
    kind = sandbox.spec.docker.storage.type
    if kind is StorageType.MEMORY:
        return []
    if kind is StorageType.PERSISTENT_VOLUME_CLAIM:
        source: Json = {"persistentVolumeClaim": {"claimName": pvc_name(sandbox)}}
    else:
        source = {"emptyDir": _size_limit(disk_storage_limit(sandbox.spec, config))}
    return [({"name": "docker", **source}, {"name": "docker", "mountPath": _DOCKER_ROOT})]


def _registry(spec: SandboxSpec) -> list[Mounted]:
    registry, volumes_ = spec.docker.registry, []
    if registry.authorities is not None:
        source: Json = {"configMap": {"name": registry.authorities.name}}
        volumes_.append(_of_registry("authorities", source))
    if registry.credentials is not None:
        items = [{"key": ".dockerconfigjson", "path": "config.json"}]
        source = {"secret": {"secretName": registry.credentials.name, "items": items}}
        volumes_.append(_of_registry("credentials", source))
    return volumes_


def _of_registry(what: str, source: Json) -> Mounted:
    name = f"registry-{what}"
    return {"name": name, **source}, {"name": name, "mountPath": f"{_REGISTRY_PATH}/{what}", "readOnly": True}


def _users(volume: Volume, most: str | int | None) -> Mounted:
    name = f"{_USERS_PREFIX}{volume.name}"
    mount: Json = {"name": name, "mountPath": volume.mount_path}
    if volume.read_only or volume.config_map is not None:
        mount["readOnly"] = True
    if volume.config_map is not None:
        return {"name": name, "configMap": {"name": volume.config_map.name}}, mount
    if volume.persistent_volume_claim is not None:
        return {"name": name, "persistentVolumeClaim": {"claimName": volume.persistent_volume_claim.claim_name}}, mount
    size_limit = volume.empty_dir.size_limit if volume.empty_dir else None
    return {"name": name, "emptyDir": _size_limit(most if size_limit is None else size_limit)}, mount


def _size_limit(limit: str | int | None) -> Json:
    return {} if limit is None else {"sizeLimit": str(limit)}
