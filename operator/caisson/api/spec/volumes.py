"""The volumes of a Sandbox's own: a workspace, settings, room to write."""

from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.types import SIZE, ApiModel, ObjectName, Quantity, rule, rules

_OWN = "opt/caisson|etc/caisson|var/lib/docker|(var/)?run/(caisson|docker|containerd)[^/]*"
_KERNELS = "proc|sys|dev"
_PARENTS = "opt|run|var|var/run|var/lib|etc"
_RESERVED_PATHS = f"^/(({_OWN}|{_KERNELS})(/.*)?|{_PARENTS})$"


class EmptyDirVolume(ApiModel):
    """A directory on the node's disk that goes when the pod goes."""

    size_limit: Annotated[Quantity | None, SIZE] = None
    """The pod is evicted when what is in it exceeds this, in bytes. Unlimited when not set."""


class ConfigMapVolume(ApiModel):
    """The keys of a ConfigMap, each a file."""

    name: ObjectName
    """Name of the ConfigMap, of those that the administrator allows."""


class ClaimVolume(ApiModel):
    """A PersistentVolumeClaim that is there already."""

    claim_name: ObjectName
    """Name of the claim, of those that the administrator allows."""


class Volume(ApiModel):
    """A volume and where it is mounted. One of emptyDir, configMap and persistentVolumeClaim says what it is."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.emptyDir), has(self.configMap), has(self.persistentVolumeClaim)].exists_one(set, set)",
                "a volume is one of emptyDir, configMap and persistentVolumeClaim: set exactly one of them",
            ),
            rule(
                f"!self.mountPath.matches('{_RESERVED_PATHS}') && !self.mountPath.matches('/\\\\.\\\\.?(/|$)')",
                "mountPath is taken, by Caisson, Docker or the kernel, or has a . or .. in it: choose another one",
                field_path=".mountPath",
            ),
        ),
    )

    name: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name of the volume."""

    mount_path: Annotated[str, Field(min_length=2, max_length=512, pattern=r"^(/[^/:\x00-\x1f\x7f]+)+$")]
    """Where it is mounted: an absolute path. Nested containers get at it by `docker run -v`."""

    read_only: bool = False
    """Nothing can be written to it. Always so for a configMap."""

    empty_dir: EmptyDirVolume | None = None
    """Room on the node's disk; `{}` for a directory without a limit."""

    config_map: ConfigMapVolume | None = None
    """The keys of a ConfigMap as files."""

    persistent_volume_claim: ClaimVolume | None = None
    """A claim that is there already, such as a workspace."""
