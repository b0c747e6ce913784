"""What shapes a sandbox and its pod: the part of a Sandbox's spec that a pool's template has as well."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from caisson.api.spec.docker import Docker
from caisson.api.spec.network import Network
from caisson.api.spec.ports import Port
from caisson.api.spec.volumes import Volume
from caisson.api.types import NO_NUL, ApiModel, LocalObjectReference, Quantity, most_characters, rule, rules
from caisson.timing import DEFAULT_GRACE_SECONDS

Argument = Annotated[str, Field(max_length=4096, pattern=NO_NUL)]
_COMMAND = Field(max_length=64, json_schema_extra=most_characters("command", 16384))
_ARGS = Field(max_length=256, json_schema_extra=most_characters("args", 32768))

# Of ASCII, because what a space is besides depends on who matches: the API server would let through what we refuse.
IMAGE = Field(min_length=1, max_length=1024, pattern=r"^[!-~]+$")


class Entrypoint(StrEnum):
    """What the container runs when `command` is not set."""

    IDLE = "Idle"
    IMAGE = "Image"


class EnvVar(ApiModel):
    """One environment variable. There is no `valueFrom`: a Sandbox can't read Secrets of its namespace this way."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable: letters, digits and underscores. Names that begin with CAISSON_ are reserved."""

    value: Annotated[str, Field(max_length=32768, pattern=NO_NUL)] = ""
    """Value of the variable. `$(NAME)` stands for another variable, `$$(NAME)` for itself, as in a Pod."""


AMOUNT = Field(
    json_schema_extra=rules(
        rule(
            "!isQuantity(string(self)) || quantity(string(self)).isGreaterThan(quantity('0'))",
            "an amount must be above 0: raise it, or leave the field out",
        ),
    ),
)


class ResourceList(ApiModel):
    """Amounts of compute resources."""

    cpu: Annotated[Quantity | None, AMOUNT] = None
    """CPU, in cores: `2` or `500m`."""

    memory: Annotated[Quantity | None, AMOUNT] = None
    """Memory, in bytes: `4Gi`. It holds the sandbox's kernel, its processes and storage of type Memory."""

    ephemeral_storage: Annotated[Quantity | None, AMOUNT, Field(alias="ephemeral-storage")] = None
    """Local disk, in bytes: `10Gi`."""


class Resources(ApiModel):
    """Compute resources of the sandbox's container, with the meaning they have in a Pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                rule(
                    f"!has(self.limits) || !has(self.requests) || !has(self.limits.{name})"
                    f" || !has(self.requests.{name}) || !isQuantity(string(self.limits.{name}))"
                    f" || !isQuantity(string(self.requests.{name}))"
                    f" || quantity(string(self.requests.{name})).compareTo(quantity(string(self.limits.{name}))) <= 0",
                    f"requests.{name} must not be above limits.{name}: lower the one or raise the other",
                    field_path=f".requests.{name}",
                )
                for name in ("cpu", "memory")
            ),
            rule(
                "!has(self.limits) || !has(self.limits.memory) || !isQuantity(string(self.limits.memory))"
                " || quantity(string(self.limits.memory)).compareTo(quantity('32Mi')) >= 0",
                "gVisor itself needs memory: raise limits.memory to 32Mi or more",
                field_path=".limits.memory",
            ),
        ),
    )

    limits: ResourceList | None = None
    """The most that the sandbox may use. A sandbox over its memory limit is killed as a whole."""

    requests: ResourceList | None = None
    """What the scheduler sets aside. Defaults to the limits."""


TEMPLATE_RULES = (
    rule(
        "!has(self.command) || !has(self.entrypoint) || self.entrypoint == 'Idle'",
        "command replaces the image's entrypoint: remove command, or entrypoint: Image",
        field_path=".command",
    ),
    rule(
        "!has(self.args) || has(self.command) || (has(self.entrypoint) && self.entrypoint == 'Image')",
        "args are given to a command: set command, or entrypoint: Image",
        field_path=".args",
    ),
    rule(
        "!has(self.docker) || !has(self.resources) || !self.docker.enabled || self.docker.storage.type != 'Memory'"
        " || !has(self.docker.storage.memory) || !has(self.docker.storage.memory.sizeLimit)"
        " || !has(self.resources.limits) || !has(self.resources.limits.memory)"
        " || !isQuantity(string(self.docker.storage.memory.sizeLimit))"
        " || !isQuantity(string(self.resources.limits.memory))"
        " || quantity(string(self.docker.storage.memory.sizeLimit))"
        ".isLessThan(quantity(string(self.resources.limits.memory)))",
        "docker.storage.memory.sizeLimit must be below resources.limits.memory, which it counts towards: lower"
        " the one or raise the other",
        field_path=".docker.storage.memory.sizeLimit",
    ),
)
"""Rules between the fields of a template. The schema has no defaults for those, so that what is set can be told."""


class SandboxTemplate(ApiModel):
    """What shapes the pod of a sandbox. Where a field says that its change replaces the pod, what was in it is lost."""

    model_config = ConfigDict(json_schema_extra=rules(*TEMPLATE_RULES))

    image: Annotated[str, IMAGE]
    """The container image, any image: it needs no Docker, no shell and no libc. A change replaces the pod."""

    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=8)] = ()
    """Secrets with the credentials for spec.image, of those that the administrator allows by name. A change replaces
    the pod."""

    runtime_class_name: Annotated[
        str | None,
        Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    ] = None
    """The RuntimeClass, one that the administrator allows. Defaults to the first of them. A change replaces the
    pod."""

    entrypoint: Entrypoint = Entrypoint.IDLE
    """What runs when command is not set. Idle: nothing, the sandbox waits for you. Image: the image's own entrypoint;
    when it ends, the sandbox ends. A change replaces the pod."""

    command: Annotated[tuple[Argument, ...], _COMMAND] | None = None
    """A command to run instead; when it ends, the sandbox ends. It is not run in a shell, but
    `$(NAME)` stands for a variable of env, as in a Pod. A change replaces the
    pod."""

    args: Annotated[tuple[Argument, ...], _ARGS] | None = None
    """Arguments for command, or for the image's entrypoint. A change replaces the pod."""

    env: Annotated[
        tuple[EnvVar, ...],
        Field(
            max_length=128,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
            | rules(
                rule(
                    "self.all(e, !e.name.startsWith('CAISSON_'))",
                    "names that begin with CAISSON_ are reserved: choose another name",
                ),
                rule(
                    "self.map(e, has(e.value) ? e.value.size() : 0).sum() <= 131072",
                    "the values have more than 131072 characters in all: put large ones into a file of the image",
                ),
            ),
        ),
    ] = ()
    """Environment variables of the container, and of dockerd. A change replaces the pod."""

    resources: Resources = Resources()
    """Compute resources. A change replaces the pod."""

    docker: Docker = Docker()
    """The Docker daemon."""

    volumes: Annotated[
        tuple[Volume, ...],
        Field(
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
            | rules(
                rule(
                    "self.all(v, self.exists_one(other, other.mountPath == v.mountPath))",
                    "two volumes are mounted at the same path: choose another mountPath for one of them",
                ),
            ),
        ),
    ] = ()
    """Volumes of your own, a workspace for example. A change replaces the pod."""

    ports: Annotated[
        tuple[Port, ...],
        Field(
            max_length=32,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            }
            | rules(
                rule(
                    "self.all(p, self.exists_one(other, other.containerPort == p.containerPort"
                    " && other.protocol == p.protocol))",
                    "two ports have the same number: remove one of them",
                ),
            ),
        ),
    ] = ()
    """Ports to reach the sandbox at. With any, a headless Service of the Sandbox's name leads to it: the name resolves
    to the pod's address, before it is Ready as well. A change applies in place."""

    network: Network = Network()
    """Whom the sandbox may talk to, and who may talk to it."""

    termination_grace_period_seconds: Annotated[int, Field(ge=2, le=3600)] = DEFAULT_GRACE_SECONDS
    """How long the sandbox has to end, in seconds: nested containers get their signals and their time, then dockerd
    ends. A change replaces the pod."""
