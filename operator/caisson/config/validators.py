"""The field types of the configuration, and the checks that pydantic applies to them."""

import re
from ipaddress import IPv4Network
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from caisson.api.quantity import parse_quantity
from caisson.api.types import Quantity
from caisson.util.cidr import parse_address

RESERVED_PREFIX = "caisson.dev/"
_GVISOR_PREFIX = "dev.gvisor."
_OWN_MOUNT = re.compile(
    r"dev\.gvisor\.spec\.mount\.(docker|caisson-toolbox)\."
    r"(type=(tmpfs|bind)|share=(container|pod|shared)|options=(rw|ro))"
)
_MANAGED_BY = "app.kubernetes.io/managed-by"
_QUALIFIED_NAME = r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


def _check_amount(value: str | int) -> str | int:
    if parse_quantity(value) <= 0:
        raise ValueError(f"{value!r} is not greater than 0: raise it, or remove the field")
    return value


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    return value


def _check_label_key(key: str) -> str:
    if key == _MANAGED_BY or key.startswith(RESERVED_PREFIX):
        raise ValueError(f"{key} is reserved for Caisson: choose another key")
    return key


def check_annotations(annotations: dict[str, str]) -> dict[str, str]:
    """Reject annotations that are reserved for Caisson or that weaken the isolation."""
    for key, value in annotations.items():
        if key.startswith(RESERVED_PREFIX):
            raise ValueError(f"{key} is reserved for Caisson: choose another key")
        if key.startswith(_GVISOR_PREFIX) and not _OWN_MOUNT.fullmatch(f"{key}={value}"):
            raise ValueError(
                f"{key}: the only gVisor annotations allowed are dev.gvisor.spec.mount.NAME.type (tmpfs, bind), .share"
                " (container, pod, shared) and .options (rw, ro), with NAME docker or caisson-toolbox: remove it"
            )
    return annotations


def _check_range(value: str) -> str:
    try:
        IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IPv4 address range such as 10.0.0.0/8: {error}") from error
    return value


def _check_address(value: str) -> str:
    try:
        return str(parse_address(value))
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IP address such as 169.254.169.254 or fd00:ec2::254: {error}") from error


Address = Annotated[str, Field(pattern=r"^[0-9a-fA-F.:]{2,45}$"), AfterValidator(_check_address)]
Amount = Annotated[Quantity, AfterValidator(_check_amount)]
NamePattern = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_pattern)]
AddressRange = Annotated[str, AfterValidator(_check_range)]
Namespace = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
ClassName = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
QualifiedName = Annotated[str, StringConstraints(pattern=f"^{_QUALIFIED_NAME}$")]
LabelKey = Annotated[QualifiedName, AfterValidator(_check_label_key)]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
