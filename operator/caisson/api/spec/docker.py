"""The Docker daemon of a sandbox: which one, and how it is run."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.spec.registry import Registry
from caisson.api.spec.storage import Storage
from caisson.api.types import NO_NUL, ApiModel, most_characters, rule, rules


class DockerSource(StrEnum):
    """Where dockerd comes from."""

    TOOLBOX = "Toolbox"
    IMAGE = "Image"


class Profile(StrEnum):
    """How dockerd is prepared and which flags it gets."""

    GVISOR = "GVisor"
    BARE = "Bare"


class RestartPolicy(StrEnum):
    """Whether a dockerd that failed is started again."""

    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class Restart(ApiModel):
    """What happens after dockerd failed. A change applies in place."""

    policy: RestartPolicy = RestartPolicy.ON_FAILURE
    """OnFailure starts dockerd again, after a back-off that doubles from 1 s to 5 min, where another try can help.
    Never leaves it as it ended."""

    max_retries: Annotated[int, Field(ge=0, le=100)] = 5
    """How many times in a row. A daemon that was ready for 10 minutes starts the count anew."""


# -D takes no value, so another short flag may follow it in the same argument.
_OWNED_FLAGS = "^(--(pidfile|data-root|graph|exec-root|containerd|iptables|ip6tables)(=.*)?|-D*[pg].*)$"
_FLAGS_THAT_START_NOTHING = "^(--version|--help|-D*[vh])$"


class Docker(ApiModel):
    """The Docker daemon of the sandbox."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.from == 'Toolbox' || !has(self.version)",
                "version chooses a toolbox and has no effect with from: Image: remove it, or set from: Toolbox",
                field_path=".version",
            ),
            rule(
                f"self.profile == 'Bare' || !has(self.flags) || self.flags.all(f, !f.matches('{_OWNED_FLAGS}'))",
                "--pidfile, --data-root, --exec-root, --containerd, --iptables and --ip6tables are set by the GVisor "
                "profile: remove them, or set profile: Bare",
                field_path=".flags",
            ),
            rule(
                f"!has(self.flags) || self.flags.all(f, !f.matches('{_FLAGS_THAT_START_NOTHING}'))",
                "with --version or --help dockerd starts nothing: remove them",
                field_path=".flags",
            ),
            rule(
                "self.profile == 'GVisor' || !has(self.registry) || (!has(self.registry.mirrors)"
                " && !has(self.registry.insecure))",
                "registry.mirrors and registry.insecure are flags of the GVisor profile: remove them, or set profile:"
                " GVisor",
                field_path=".registry",
            ),
        ),
    )

    enabled: bool = True
    """false makes a plain gVisor sandbox: no Docker, no capabilities, and the image's USER is honoured. A change
    replaces the pod."""

    from_: Annotated[DockerSource, Field(alias="from")] = DockerSource.TOOLBOX
    """Toolbox: Caisson brings dockerd along, for any image. Image: the dockerd on the PATH of the image is run. A
    change replaces the pod."""

    version: Annotated[str | None, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)*$")] = None
    """Version of Docker, one of the toolboxes that the administrator offers. Defaults to the first of them. A change
    replaces the pod."""

    profile: Profile = Profile.GVISOR
    """GVisor: the preparation (NAT, storage, MTU) and the flags with which Docker works under gVisor. Bare: dockerd
    with no flags but yours and no preparation. A change replaces the pod."""

    flags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=1024, pattern=NO_NUL)], ...],
        Field(max_length=64, json_schema_extra=most_characters("flags", 16384, "remove some of them")),
    ] = ()
    """More flags for dockerd, each an element of its argument vector: `["--debug", "--label=a=b"]`. A change replaces
    the pod."""

    storage: Storage = Storage()
    """Where images, containers and volumes are kept. A change replaces the pod."""

    registry: Registry = Registry()
    """The registries that Docker pulls from and pushes to. A change replaces the pod."""

    pod_log: bool = True
    """`kubectl logs` shows what dockerd logs, beside what the sandbox's command prints. A change applies to the next
    start."""

    start_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """How long dockerd may take until `docker info` answers, in seconds; then it is stopped and the start has failed.
    A change applies to the next start."""

    restart: Restart = Restart()
    """What happens after dockerd failed. A change applies in place."""
