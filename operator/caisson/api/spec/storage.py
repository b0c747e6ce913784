"""Where a sandbox's Docker keeps images, containers and volumes."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict

from caisson.api.types import SIZE, ApiModel, ObjectName, Quantity, rule, rules


class StorageType(StrEnum):
    """What /var/lib/docker is made of."""

    MEMORY = "Memory"
    DISK = "Disk"
    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"


class MemoryStorage(ApiModel):
    """A tmpfs inside the sandbox."""

    size_limit: Annotated[Quantity | None, SIZE] = None
    """Size of the tmpfs, in bytes. Defaults to half of resources.limits.memory, or 2Gi where that is not set. It must
    be below resources.limits.memory, because what is stored in it counts as the sandbox's memory."""


class DiskStorage(ApiModel):
    """An emptyDir on the node's disk."""

    size_limit: Annotated[Quantity | None, SIZE] = None
    """The pod is evicted when the images, containers and volumes exceed it, in bytes. Unlimited when not set."""


class ClaimStorage(ApiModel):
    """A PersistentVolumeClaim that is made for the Sandbox, and goes with it."""

    size: Annotated[Quantity, SIZE]
    """Size of the volume, in bytes. It counts when the claim is made, for the first pod, and can't be changed after."""

    storage_class_name: ObjectName | None = None
    """The StorageClass of the claim; the cluster's default when not set. It counts when the claim is made as well."""


_CLAIM = "PersistentVolumeClaim"


class Storage(ApiModel):
    """Where images, containers and volumes are kept."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.memory) || self.type == 'Memory'",
                "memory is only for type Memory: remove it, or set type: Memory",
                field_path=".memory",
            ),
            rule(
                "!has(self.disk) || self.type == 'Disk'",
                "disk is only for type Disk: remove it, or set type: Disk",
                field_path=".disk",
            ),
            rule(
                f"has(self.persistentVolumeClaim) ? self.type == '{_CLAIM}'"
                f" : !has(self.type) || self.type != '{_CLAIM}'",
                f"persistentVolumeClaim, with a size, is for type {_CLAIM}, which needs it: set both or none",
                field_path=".persistentVolumeClaim",
            ),
        ),
    )

    type: StorageType = StorageType.MEMORY
    """Memory: a tmpfs, the fastest, which counts as the sandbox's memory. Disk: an emptyDir on the node's disk. Both go
    when the pod goes. PersistentVolumeClaim: a volume that the next pod of this Sandbox finds as it was left, and that
    goes with the Sandbox, also where its type is another by then. A change replaces the pod."""

    memory: MemoryStorage | None = None
    """Settings of type Memory."""

    disk: DiskStorage | None = None
    """Settings of type Disk."""

    persistent_volume_claim: ClaimStorage | None = None
    """Settings of type PersistentVolumeClaim."""
