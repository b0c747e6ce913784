"""The images of the local cluster: a table, and the cache key of each."""

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
    """An image that is built from a Dockerfile of this repository."""

    name: str
    reference: str
    dockerfile: str
    use: Use
    target: str = ""
    sources: tuple[str, ...] = ()
    """The complete build context, so that the cache key covers every file that the Dockerfile copies."""
    binaries: tuple[str, ...] = ()
    """Components whose binaries are copied to the root of the build context."""


@dataclass(frozen=True)
class Base:
    """The base image of the Dockerfiles. It is built with debootstrap, because there may be no registry."""

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
            sources=("toolbox/build/gather", "toolbox/build/attest", "toolbox/agent", "toolbox/libexec", *sources),
        )
        for version, use, sources in (
            ("26", Use.PRODUCT, ()),
            ("28", Use.PRODUCT, ()),
            # Compiling this toolbox would take longer than building all other images for `make demo`.
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

ALL_IMAGES: tuple[Image | Base, ...] = (BASE, *IMAGES)


def select(names: list[str]) -> tuple[Image | Base, ...]:
    """Return the images with these names; without names, the base image and the product's images."""
    table = {image.name: image for image in ALL_IMAGES}
    if not names:
        return tuple(image for image in table.values() if image.use is not Use.NAMED)
    return tuple(table[name] for name in names)


def base_key(base: Base, recipe: str) -> str:
    """Return the cache key of the base image. `recipe` identifies the code that builds it."""
    return digest([base.reference, base.suite, recipe])


def image_key(image: Image, checkout: Path, binaries: Mapping[str, Path], base: str) -> str:
    """Return the cache key of an image: a digest of its Dockerfile, its build context and the base image's key."""
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
