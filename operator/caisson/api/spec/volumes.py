"""Additional volumes of a Sandbox: a workspace, settings, scratch space."""

from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.types import SIZE, ApiModel, ObjectName, Quantity, rule, rules

_OWN = "opt/caisson|etc/caisson|var/lib/docker|(var/)?run/(caisson|docker|containerd)[^/]*"
_KERNELS = "proc|sys|dev"
_PARENTS = "opt|run|var|var/run|var/lib|etc"
_RESERVED_PATHS = f"^/(({_OWN}|{_KERNELS})(/.*)?|{_PARENTS})$"


class EmptyDirVolume(ApiModel):
    """A directory on the node's disk. It is deleted with the pod."""

    size_limit: Annotated[Quantity | None, SIZE] = None
    """Limit for the contents, in bytes. A pod that exceeds it is evicted. Unlimited by default."""


class ConfigMapVolume(ApiModel):
    """The keys of a ConfigMap as files."""

    name: ObjectName
    """Name of the ConfigMap. The administrator must allow it."""


class ClaimVolume(ApiModel):
    """An existing PersistentVolumeClaim."""

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim. The administrator must allow it."""


class Volume(ApiModel):
    """A volume and its mount path. Exactly one of emptyDir, configMap and persistentVolumeClaim must be set."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.emptyDir), has(self.configMap), has(self.persistentVolumeClaim)].exists_one(set, set)",
                "a volume has exactly one source: set one of emptyDir, configMap and persistentVolumeClaim",
            ),
            rule(
                f"!self.mountPath.matches('{_RESERVED_PATHS}') && !self.mountPath.matches('/\\\\.\\\\.?(/|$)')",
                "mountPath is reserved by Caisson, Docker or the kernel, or contains . or ..: choose another path",
                field_path=".mountPath",
            ),
        ),
    )

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name of the volume."""

    mount_path: Annotated[str, Field(min_length=2, max_length=512, pattern=r"^(/[^/:\x00-\x1f\x7f]+)+$")]
    """Absolute path of the mount. `docker run -v` can mount it into nested containers."""

    read_only: bool = False
    """If true, the volume is mounted read-only. A configMap is always read-only."""

    empty_dir: EmptyDirVolume | None = None
    """A directory on the node's disk. `{}` sets no limit."""

    config_map: ConfigMapVolume | None = None
    """The keys of a ConfigMap as files."""

    persistent_volume_claim: ClaimVolume | None = None
    """An existing PersistentVolumeClaim, for example a workspace."""
