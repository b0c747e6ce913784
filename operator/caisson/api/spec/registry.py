"""The registries that a sandbox's Docker pulls from and pushes to."""

from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel, LocalObjectReference

_INSECURE_PATTERN = r"^[A-Za-z0-9.:\[\]_-]+(/([0-9]{1,2}|1[01][0-9]|12[0-8]))?$"
MIRROR_PATTERN = r"^https?://[!\"$-.0->A-~]+(/[!\"$->@-~]*)?$"


class Registry(ApiModel):
    """Registries, as dockerd and the docker command know them. A change replaces the pod."""

    mirrors: Annotated[
        tuple[Annotated[str, Field(max_length=512, pattern=MIRROR_PATTERN)], ...],
        Field(max_length=8),
    ] = ()
    """Mirrors of Docker Hub that dockerd pulls through, as URLs, before those of the administrator."""

    insecure: Annotated[
        tuple[
            Annotated[str, Field(max_length=256, pattern=_INSECURE_PATTERN)],
            ...,
        ],
        Field(max_length=16),
    ] = ()
    """Registries to talk to without TLS, or without checking its certificates: `HOST:PORT`, or a range of addresses
    such as `10.0.0.0/8`."""

    authorities: LocalObjectReference | None = None
    """A ConfigMap with certificates (PEM) of more authorities that dockerd trusts, one or several to a key; of those
    that the administrator allows by name."""

    credentials: LocalObjectReference | None = None
    """A Secret of type kubernetes.io/dockerconfigjson with credentials for registries; of those that the administrator
    allows by name. They are there for every `docker` command in the sandbox; the operator never reads them."""
