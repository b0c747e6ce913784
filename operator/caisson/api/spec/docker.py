"""The Docker daemon of a sandbox: its source, its settings and its restarts."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.spec.registry import Registry
from caisson.api.spec.storage import Storage
from caisson.api.types import NO_NUL, ApiModel, most_characters, rule, rules


class DockerSource(StrEnum):
    """The source of dockerd."""

    TOOLBOX = "Toolbox"
    IMAGE = "Image"


class Profile(StrEnum):
    """How dockerd is prepared, and which flags it gets."""

    GVISOR = "GVisor"
    BARE = "Bare"


class RestartPolicy(StrEnum):
    """Whether dockerd is restarted after a failure."""

    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Restart(ApiModel):
    """Restarts of dockerd after a failure. A change applies in place."""

    policy: RestartPolicy = RestartPolicy.ON_FAILURE
    """OnFailure: if a restart can help, dockerd is restarted with exponential back-off from 1 s to 5 min. Never:
    dockerd is not restarted."""

    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    """Maximum number of consecutive restarts. The count is reset when dockerd has been ready for 10 minutes."""


# -D takes no value, so another short flag may follow it in the same argument.
_OWNED_FLAGS = "^(--(pidfile|data-root|graph|exec-root|containerd|iptables|ip6tables)(=.*)?|-D*[pg].*)$"
_FLAGS_THAT_START_NOTHING = "^(--version|--help|-D*[vh])$"


class Docker(ApiModel):
    """The Docker daemon of the sandbox."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.from == 'Toolbox' || !has(self.version)",
                "version selects a toolbox and has no effect with from: Image: remove it, or set from: Toolbox",
                field_path=".version",
            ),
            rule(
                f"self.profile == 'Bare' || !has(self.flags) || self.flags.all(f, !f.matches('{_OWNED_FLAGS}'))",
                "the GVisor profile sets --pidfile, --data-root, --exec-root, --containerd, --iptables and --ip6tables:"
                " remove them, or set profile: Bare",
                field_path=".flags",
            ),
            rule(
                f"!has(self.flags) || self.flags.all(f, !f.matches('{_FLAGS_THAT_START_NOTHING}'))",
                "dockerd exits immediately with --version or --help: remove them",
                field_path=".flags",
            ),
            rule(
                "self.profile == 'GVisor' || !has(self.registry) || (!has(self.registry.mirrors)"
                " && !has(self.registry.insecure))",
                "registry.mirrors and registry.insecure require the GVisor profile: remove them, or set profile:"
                " GVisor",
                field_path=".registry",
            ),
        ),
    )

    enabled: bool = True
    """If false, the sandbox is a plain gVisor pod without Docker and without capabilities, and the image's USER
    applies. A change replaces the pod."""

    from_: Annotated[DockerSource, Field(alias="from")] = DockerSource.TOOLBOX
    """Toolbox: Caisson adds dockerd to any image. Image: Caisson runs the dockerd on the image's PATH. A change
    replaces the pod."""

    version: Annotated[str | None, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)*$")] = None
    """Version of Docker. The administrator configures the available versions. Defaults to the first of them. A change
    replaces the pod."""

    profile: Profile = Profile.GVISOR
    """GVisor: Caisson prepares NAT, storage and MTU, and sets the flags that dockerd needs under gVisor. Bare: Caisson
    prepares nothing and runs dockerd with `flags` only. A change replaces the pod."""

    flags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1024, pattern=NO_NUL)], ...],
        Field(max_length=64, json_schema_extra=most_characters("flags", 16384, "remove some of them")),
    ] = ()
    """Additional flags for dockerd, one element per argument: `["--debug", "--label=a=b"]`. A change replaces the
    pod."""

    storage: Storage = Storage()
    """Storage for images, containers and volumes. A change replaces the pod."""

    registry: Registry = Registry()
    """The registries that Docker pulls from and pushes to. A change replaces the pod."""

    pod_log: bool = True
    """If true, `kubectl logs` shows dockerd's log together with the output of the sandbox's command. A change applies
    to the next start."""

    start_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Time until `docker info` must succeed, in seconds. After that, dockerd is stopped and the start fails. A change
    applies to the next start."""

    restart: Restart = Restart()
    """Restarts of dockerd after a failure. A change applies in place."""
