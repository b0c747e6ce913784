"""Selects the toolbox, and with it the version of Docker, for a Sandbox."""

from caisson.api.reasons import Reason
from caisson.api.spec.sandbox import SandboxSpec
from caisson.config.model import Config, Toolbox
from caisson.model.errors import PolicyViolation


def toolbox_of(spec: SandboxSpec, config: Config) -> Toolbox:
    """Return the toolbox that a spec selects. Raises PolicyViolation if the version is not configured."""
    version = spec.docker.version if spec.docker.enabled else None
    for toolbox in config.toolboxes:
        if version in (None, toolbox.version):
            return toolbox
    versions = ", ".join(toolbox.version for toolbox in config.toolboxes)
    raise PolicyViolation(
        Reason.DOCKER_VERSION_UNKNOWN,
        f"spec.docker.version: {version} is not available; use one of {versions}",
    )
