"""Storage for the images, containers and volumes of a sandbox's Docker."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict

from caisson.api.types import SIZE, ApiModel, ObjectName, Quantity, rule, rules


class StorageType(StrEnum):
    """The kind of volume at /var/lib/docker."""

    MEMORY = "Memory"
    DISK = "Disk"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"


class MemoryStorage(ApiModel):
    """A tmpfs inside the sandbox."""

    size_limit: Annotated[Quantity | None, SIZE] = None
    """Size of the tmpfs, in bytes. Defaults to half of resources.limits.memory, or to 2Gi if that is not set. Must be
    less than resources.limits.memory, because the contents count as memory of the sandbox."""


class DiskStorage(ApiModel):
    """An emptyDir on the node's disk."""

    size_limit: Annotated[Quantity | None, SIZE] = None
    """Limit for images, containers and volumes, in bytes. A pod that exceeds it is evicted. Unlimited by default."""


class ClaimStorage(ApiModel):
    """A PersistentVolumeClaim that Caisson creates for the Sandbox and deletes with it."""

    size: Annotated[Quantity, SIZE]
    """Size of the volume, in bytes. It applies when the PersistentVolumeClaim is created and can't be changed later."""

    storage_class_name: ObjectName | None = None
    """StorageClass of the PersistentVolumeClaim. It applies when the PersistentVolumeClaim is created. Defaults to the
    cluster's default StorageClass."""


_CLAIM = "PersistentVolumeClaim"


class Storage(ApiModel):
    """Storage for images, containers and volumes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.memory) || self.type == 'Memory'",
                "memory requires type Memory: remove it, or set type: Memory",
                field_path=".memory",
            ),
            rule(
                "!has(self.disk) || self.type == 'Disk'",
                "disk requires type Disk: remove it, or set type: Disk",
                field_path=".disk",
            ),
            rule(
                f"has(self.persistentVolumeClaim) ? self.type == '{_CLAIM}'"
                f" : !has(self.type) || self.type != '{_CLAIM}'",
                f"type {_CLAIM} requires persistentVolumeClaim with a size, and no other type allows it: set both or"
                " neither",
                field_path=".persistentVolumeClaim",
            ),
        ),
    )

    type: StorageType = StorageType.MEMORY
    """Memory: a tmpfs. This is the fastest type; its contents count as memory of the sandbox. Disk: an emptyDir on the
    node's disk. Both are deleted with the pod. PersistentVolumeClaim: a volume that the next pod of this Sandbox uses
    again. It is deleted with the Sandbox, even if the type has changed since. A change replaces the pod."""

    memory: MemoryStorage | None = None
    """Settings of type Memory."""

    disk: DiskStorage | None = None
    """Settings of type Disk."""

    persistent_volume_claim: ClaimStorage | None = None
    """Settings of type PersistentVolumeClaim."""
