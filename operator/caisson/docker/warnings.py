"""The warnings about a ready Docker that differs from a usual one: status.docker.warnings."""

import re

from caisson.api.reasons import EXPLANATIONS, Reason, guidance
from caisson.api.resources import Sandbox
from caisson.api.spec.docker import DockerSource
from caisson.api.status.docker import DockerWarning
from caisson.docker.requirements import is_gvisor_too_old
from caisson.model.report import StartSucceeded

_VFS_FLAG = re.compile(r"(^| )(--storage-driver|-s)[= ]?vfs( |$)")
_ORIGIN_IMAGE = "the image's own"


def docker_warnings(sandbox: Sandbox, start: StartSucceeded, kernel: str | None) -> tuple[DockerWarning, ...]:
    """Return the warnings about a daemon that has become ready."""
    asked_for_vfs = _VFS_FLAG.search(" ".join(sandbox.spec.docker.flags)) is not None
    holds = {
        Reason.STORAGE_FELL_BACK_TO_VFS: start.storage_driver == "vfs" and not asked_for_vfs,
        Reason.MTU_MISMATCH: bool(start.bridge_mtu and start.uplink_mtu and start.bridge_mtu > start.uplink_mtu),
        Reason.GVISOR_TOO_OLD: kernel is not None and is_gvisor_too_old(kernel, start.version),
        Reason.CGROUP_LIMITS_NOT_ENFORCED: True,
    }
    return tuple(
        DockerWarning(reason=reason, message=f"{EXPLANATIONS[reason].meaning} {guidance(reason)}")
        for reason, applies in holds.items()
        if applies
    )


def docker_origin(sandbox: Sandbox, start: StartSucceeded) -> str | None:
    """Return the source of the daemon, or None if its toolbox does not report it."""
    return _ORIGIN_IMAGE if sandbox.spec.docker.from_ is DockerSource.IMAGE else start.origin or None
