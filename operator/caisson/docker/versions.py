"""The toolbox, and with it the version of Docker, that a Sandbox gets."""

from caisson.api.reasons import Reason
from caisson.api.spec.sandbox import SandboxSpec
from caisson.config.model import Config, Toolbox
from caisson.model.errors import PolicyViolation


def toolbox_of(spec: SandboxSpec, config: Config) -> Toolbox:
    """Return the toolbox that a spec asks for. Raises PolicyViolation where it is not on offer."""
    version = spec.docker.version if spec.docker.enabled else None
    for toolbox in config.toolboxes:
        if version in (None, toolbox.version):
            return toolbox
    versions = ", ".join(toolbox.version for toolbox in config.toolboxes)
    raise PolicyViolation(
        Reason.DOCKER_VERSION_UNKNOWN,
        f"spec.docker.version: {version} is not offered here; use one of {versions}",
    )
