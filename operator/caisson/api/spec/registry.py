"""The registries that a sandbox's Docker pulls from and pushes to."""

from typing import Annotated

from pydantic import Field

from caisson.api.types import ApiModel, LocalObjectReference

_INSECURE_PATTERN = r"^[A-Za-z0-9.:\[\]_-]+(/([0-9]{1,2}|1[01][0-9]|12[0-8]))?$"
MIRROR_PATTERN = r"^https?://[!\"$-.0->A-~]+(/[!\"$->@-~]*)?$"


class Registry(ApiModel):
    """Registry settings of dockerd and the docker command. A change replaces the pod."""

    mirrors: Annotated[
        tuple[Annotated[str, Field(max_length=512, pattern=MIRROR_PATTERN)], ...],
        Field(max_length=8),
    ] = ()
    """URLs of Docker Hub mirrors. dockerd tries them before the administrator's mirrors."""

    insecure: Annotated[
        tuple[
            Annotated[str, Field(max_length=256, pattern=_INSECURE_PATTERN)],
            ...,
        ],
        Field(max_length=16),
    ] = ()
    """Registries that Docker uses without TLS or without verifying certificates: `HOST:PORT`, or an address range such
    as `10.0.0.0/8`."""

    authorities: LocalObjectReference | None = None
    """A ConfigMap with the certificates (PEM) of additional certificate authorities that dockerd trusts. Each key may
    contain several certificates. The administrator must allow its name."""

    credentials: LocalObjectReference | None = None
    """A Secret of type kubernetes.io/dockerconfigjson with registry credentials. The administrator must allow its name.
    Every `docker` command in the sandbox can use them. The operator never reads them."""
