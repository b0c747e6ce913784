"""The images of the local cluster: a table, and the key under which each is cached."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from local.cache import digest, digest_files
from local.render import PAUSE_IMAGE


class Use(Enum):
    """When an image is built and loaded."""

    CLUSTER = "with the cluster"
    PRODUCT = "by `images`"
    NAMED = "by `images` with its name"


@dataclass(frozen=True)
class Image:
    """An image made from a Dockerfile of this repository."""

    name: str
    reference: str
    dockerfile: str
    use: Use
    target: str = ""
    sources: tuple[str, ...] = ()
    """All that the Dockerfile may copy: its build context holds nothing else, so the cache key can't miss a file."""
    binaries: tuple[str, ...] = ()
    """Components that are copied into the root of the build context."""


@dataclass(frozen=True)
class Base:
    """The image that the Dockerfiles build on, made by debootstrap because there may be no registry."""

    name: str
    reference: str
    suite: str
    use: Use = Use.CLUSTER


BASE = Base("debian", "docker.io/library/debian:trixie-slim", suite="trixie")

OPERATOR = Image(
    "operator",
    "caisson.dev/operator:dev",
    dockerfile="Dockerfile",
    use=Use.PRODUCT,
    target="operator",
    sources=("operator/caisson", "requirements/operator.txt"),
)

IMAGES: tuple[Image, ...] = (
    Image(
        "pause",
        PAUSE_IMAGE,
        dockerfile="local/images/pause.Dockerfile",
        use=Use.CLUSTER,
        binaries=("pause",),
    ),
    OPERATOR,
    *(
        Image(
            f"toolbox-{version}",
            f"caisson.dev/toolbox:{version}",
            dockerfile="Dockerfile",
            use=use,
            target=f"toolbox-{version}",
            sources=("toolbox/build/gather", "toolbox/build/attest", "toolbox/libexec", *sources),
        )
        for version, use, sources in (
            ("26", Use.PRODUCT, ()),
            ("28", Use.PRODUCT, ()),
            # Compiling it takes longer than all else that `make demo` builds beside the cluster's parts.
            ("29", Use.NAMED, ("toolbox/build/compile", "toolbox/docker-29")),
        )
    ),
    Image(
        "registry",
        "caisson.dev/test/registry:1",
        dockerfile="tests/docker/images/registry.Dockerfile",
        use=Use.NAMED,
        target="registry",
        sources=("tests/docker/images/registry",),
    ),
    *(
        Image(
            name,
            f"caisson.dev/test/{name}:1",
            dockerfile="tests/e2e/images/Dockerfile",
            use=Use.NAMED,
            target=name,
            sources=sources,
        )
        for name, sources in (
            ("non-root", ()),
            ("own-docker", ()),
            ("hanging-docker", ()),
            ("over-toolbox", ("tests/e2e/images/impostor",)),
            ("lying-docker", ("tests/e2e/images/lying-dockerd", "tests/e2e/images/lying-docker")),
            ("musl", ()),
            ("distroless", ()),
            ("exits", ()),
        )
    ),
    *(
        Image(
            name,
            f"caisson.dev/test/{name}:1",
            dockerfile="tests/docker/images/Dockerfile",
            use=Use.NAMED,
            target=name,
            sources=tuple(f"tests/docker/images/{source}" for source in sources),
        )
        for name, sources in (
            ("workload", ("database", "web", "visits")),
            ("outside", ("requirements.txt",)),
        )
    ),
)

EVERY: tuple[Image | Base, ...] = (BASE, *IMAGES)


def select(names: list[str]) -> tuple[Image | Base, ...]:
    """The images of these names; the base and the product's own if there are none."""
    table = {image.name: image for image in EVERY}
    if not names:
        return tuple(image for image in table.values() if image.use is not Use.NAMED)
    return tuple(table[name] for name in names)


def base_key(base: Base, recipe: str) -> str:
    """What decides the base image; `recipe` identifies the code that makes it."""
    return digest([base.reference, base.suite, recipe])


def image_key(image: Image, checkout: Path, binaries: Mapping[str, Path], base: str) -> str:
    """Everything that decides the image: its Dockerfile, its build context, and the base image's key."""
    return digest(
        [
            image.reference,
            image.target,
            (checkout / image.dockerfile).read_bytes(),
            digest_files(checkout, [checkout / source for source in image.sources]),
            *(binaries[name].name for name in image.binaries),
            base,
        ]
    )
