"""Defaults of the fields that a spec does not set."""

from decimal import Decimal

from caisson.api.quantity import parse_quantity
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.template import ResourceList, Resources
from caisson.config.model import Config
from caisson.config.sandboxes import Amounts
from caisson.timing import DEFAULT_MEMORY_STORAGE_BYTES

RESOURCE_NAMES = {"cpu": "cpu", "memory": "memory", "ephemeral_storage": "ephemeral-storage"}


def effective_resources(spec: SandboxSpec, config: Config) -> Resources:
    """Return the resources of the container: each from the spec, otherwise from the default, otherwise the maximum."""
    default, maximum = config.sandboxes.resources.default, config.sandboxes.resources.maximum
    limits = _filled(spec.resources.limits, default.limits, maximum)
    requests = _filled(spec.resources.requests, default.requests)
    capped_requests = {
        name: getattr(limits, name)
        for name in RESOURCE_NAMES
        if amount(getattr(spec.resources.requests, name, None)) is None
        and is_above(getattr(requests, name), getattr(limits, name))
    }
    requests = requests.model_copy(update=capped_requests)
    nothing = ResourceList()
    return Resources(
        limits=limits if limits != nothing else None,
        requests=requests if requests != nothing else None,
    )


def memory_storage_bytes(spec: SandboxSpec, config: Config) -> int:
    """Return the size of the tmpfs for Docker, in bytes: from the spec, otherwise half of the memory limit."""
    size_limit = spec.docker.storage.memory.size_limit if spec.docker.storage.memory is not None else None
    if size_limit is not None:
        return int(parse_quantity(size_limit))
    limits = effective_resources(spec, config).limits
    size = DEFAULT_MEMORY_STORAGE_BYTES
    if limits is not None and limits.memory is not None:
        # Apply the bounds of sizeLimit: a tmpfs of size 0 has no limit.
        size = min(max(int(parse_quantity(limits.memory) / Decimal(2)), 2**20), 16 * 2**40)
    most = amount(config.sandboxes.storage.maximum.memory)
    return size if most is None else min(size, int(most))


def disk_storage_limit(spec: SandboxSpec, config: Config) -> str | int | None:
    """Return the size limit of the emptyDir for Docker, or None if it is unlimited."""
    size_limit = spec.docker.storage.disk.size_limit if spec.docker.storage.disk is not None else None
    return size_limit if size_limit is not None else config.sandboxes.storage.maximum.disk


def _filled(own: ResourceList | None, *defaults: Amounts) -> ResourceList:
    """Return the amounts, each from the first source that sets it."""
    sources = (own, *defaults)
    candidates = {name: [getattr(source, name) for source in sources if source is not None] for name in RESOURCE_NAMES}
    return ResourceList(
        **{name: next((v for v in values if v is not None), None) for name, values in candidates.items()}
    )


def amount(value: str | int | None) -> Decimal | None:
    """Return a quantity as a number, or None if it is not set."""
    return None if value is None else parse_quantity(value)


def is_above(value: str | int | None, most: str | int | None) -> bool:
    """Report whether a quantity exceeds another quantity. False if either is not set."""
    return value is not None and most is not None and parse_quantity(value) > parse_quantity(most)
