"""The fields that define a sandbox and its pod: the part of a Sandbox's spec that the template of a pool has, too."""

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

# ASCII only: the API server and pydantic disagree about which other characters are whitespace.
IMAGE = Field(min_length=1, max_length=1024, pattern=r"^[!-~]+$")


class Entrypoint(StrEnum):
    """The process of the container if `command` is not set."""

    IDLE = "Idle"
    IMAGE = "Image"


class EnvVar(ApiModel):
    """An environment variable. There is no `valueFrom`, so a Sandbox can't read Secrets of its namespace this way."""

    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    """Name of the variable: letters, digits and underscores. Names with the prefix CAISSON_ are reserved."""

    value: Annotated[str, Field(max_length=32768, pattern=NO_NUL)] = ""
    """Value of the variable. As in a Pod, `$(NAME)` expands to another variable and `$$(NAME)` is a literal
    `$(NAME)`."""


AMOUNT = Field(
    json_schema_extra=rules(
        rule(
            "!isQuantity(string(self)) || quantity(string(self)).isGreaterThan(quantity('0'))",
            "an amount must be greater than 0: raise it, or remove the field",
        ),
    ),
)


class ResourceList(ApiModel):
    """Amounts of compute resources."""

    cpu: Annotated[Quantity | None, AMOUNT] = None
    """CPU, in cores: `2` or `500m`."""

    memory: Annotated[Quantity | None, AMOUNT] = None
    """Memory, in bytes: `4Gi`. It includes gVisor's kernel, all processes and storage of type Memory."""

    ephemeral_storage: Annotated[Quantity | None, AMOUNT, Field(alias="ephemeral-storage")] = None
    """Local disk, in bytes: `10Gi`."""


class Resources(ApiModel):
    """Compute resources of the sandbox's container, as in a Pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                rule(
                    f"!has(self.limits) || !has(self.requests) || !has(self.limits.{name})"
                    f" || !has(self.requests.{name}) || !isQuantity(string(self.limits.{name}))"
                    f" || !isQuantity(string(self.requests.{name}))"
                    f" || quantity(string(self.requests.{name})).compareTo(quantity(string(self.limits.{name}))) <= 0",
                    f"requests.{name} must not exceed limits.{name}: lower requests.{name} or raise limits.{name}",
                    field_path=f".requests.{name}",
                )
                for name in ("cpu", "memory")
            ),
            rule(
                "!has(self.limits) || !has(self.limits.memory) || !isQuantity(string(self.limits.memory))"
                " || quantity(string(self.limits.memory)).compareTo(quantity('32Mi')) >= 0",
                "gVisor needs memory, too: set limits.memory to 32Mi or more",
                field_path=".limits.memory",
            ),
        ),
    )

    limits: ResourceList | None = None
    """Maximum amounts. If the sandbox exceeds its memory limit, all of its processes are killed."""

    requests: ResourceList | None = None
    """Amounts that the scheduler reserves. Defaults to the limits."""


TEMPLATE_RULES = (
    rule(
        "!has(self.command) || !has(self.entrypoint) || self.entrypoint == 'Idle'",
        "command replaces the image's entrypoint: remove command or entrypoint: Image",
        field_path=".command",
    ),
    rule(
        "!has(self.args) || has(self.command) || (has(self.entrypoint) && self.entrypoint == 'Image')",
        "args needs a command: set command or entrypoint: Image",
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
        "docker.storage.memory.sizeLimit must be less than resources.limits.memory, which includes it: lower"
        " sizeLimit or raise resources.limits.memory",
        field_path=".docker.storage.memory.sizeLimit",
    ),
)
"""Rules across the fields of a template. The schema has no defaults for these fields, so `has()` detects unset ones."""


class SandboxTemplate(ApiModel):
    """Template of the pod of a sandbox. If a change replaces the pod, the contents of the sandbox are lost."""

    model_config = ConfigDict(json_schema_extra=rules(*TEMPLATE_RULES))

    image: Annotated[str, IMAGE]
    """The container image. It needs no Docker, no shell and no libc. A change replaces the pod."""

    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=8)] = ()
    """Secrets with credentials for spec.image. The administrator must allow their names. A change replaces the pod."""

    runtime_class_name: Annotated[
        str | None,
        Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
    ] = None
    """The RuntimeClass. The administrator configures the allowed names. Defaults to the first of them. A change
    replaces the pod."""

    entrypoint: Entrypoint = Entrypoint.IDLE
    """The process of the container if command is not set. Idle: the sandbox waits for exec. Image: the image's
    entrypoint; the sandbox ends when it exits. A change replaces the pod."""

    command: Annotated[tuple[Argument, ...], _COMMAND] | None = None
    """The command to run. The sandbox ends when it exits. There is no shell; as in a Pod, `$(NAME)` expands to a
    variable of env. A change replaces the pod."""

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
                    "the values have more than 131072 characters in total: move large values to a file in the image",
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
    """Additional volumes, for example a workspace. A change replaces the pod."""

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
    """Ports of the sandbox. If there are any, Caisson creates a headless Service with the Sandbox's name, which
    resolves to the pod's IP address even before the Sandbox is Ready. A change applies in place."""

    network: Network = Network()
    """The network traffic that the sandbox may send and receive."""

    termination_grace_period_seconds: Annotated[int, Field(ge=2, le=3600)] = DEFAULT_GRACE_SECONDS
    """Time that the sandbox has to shut down, in seconds. Nested containers are signalled and stopped first, then
    dockerd. A change replaces the pod."""
