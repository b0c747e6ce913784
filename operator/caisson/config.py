"""The administrator's configuration, as a model. Reading it from a file is the shell's work."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class ConfigModel(BaseModel):
    """A part of the configuration: immutable, camelCase in the file, an unknown field is an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


class Toolbox(ConfigModel):
    """An image which brings one version of Docker along."""

    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$")]
    """What `spec.docker.version` calls it."""

    image: Annotated[str, Field(min_length=1)]
    """The image, as nodes pull it. A change reaches new pods only."""


class Config(ConfigModel):
    """What the administrator decides for all Sandboxes."""

    namespaces: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")], ...] = ()
    """The namespaces whose Sandboxes this operator looks after; all of them when empty."""

    allowed_runtime_classes: Annotated[tuple[str, ...], Field(min_length=1)] = ("gvisor",)
    """The RuntimeClasses that a Sandbox may name; the first is the default. Their handler must be gVisor's runsc."""

    toolboxes: Annotated[tuple[Toolbox, ...], Field(min_length=1)]
    """The versions of Docker on offer; the first is the default."""

    probe_period_seconds: Annotated[int, Field(ge=1, le=300)] = 10
    """How often the kubelet looks whether dockerd still lives."""

    workers: Annotated[int, Field(ge=1, le=256)] = 16
    """How many Sandboxes are reconciled at a time."""

    sessions: Annotated[int, Field(ge=1, le=4096)] = 512
    """How many exec sessions are open at a time."""

    starts_per_node: Annotated[int, Field(ge=1, le=256)] = 4
    """How many starts of dockerd a node is given at a time. A start takes one to two seconds of a core; with many more
    at once than cores all of them become slow, and time out. One that lasts longer than 30 seconds makes room."""
