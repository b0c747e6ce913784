"""Build image archives in the cache with debootstrap and buildah, without a registry or a Docker daemon."""

import os
import resource
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from local.cache import KEY_LENGTH, cached, locked
from local.command import run
from local.errors import LocalError
from local.images import BASE, Base, Image, base_key, image_key
from local.paths import Paths
from local.progress import Progress

_RECIPE = "1"  # change it if the output of _make_root_file_system changes
_MAX_ARCHIVES = 4
_KEY_LABEL = "dev.caisson.key"
_EMPTIED_DIRECTORIES = (
    *("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man"),
    *("var/cache/apt", "var/lib/apt/lists"),
)
_MACHINE_FILES = ("etc/hostname", "etc/resolv.conf")
_CA_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def build_images(paths: Paths, images: Iterable[Image | Base], binaries: Mapping[str, Path]) -> dict[str, Path]:
    """Return the path of every image's archive, by reference. Builds the images that are not in the cache."""
    selected = list(images)
    builder = _Builder(paths, binaries)
    progress = Progress("image", len(selected))
    archives: dict[str, Path] = {}
    for image in selected:
        with progress.step(image.reference) as step:
            archives[image.reference], was_cached = builder.build(image)
            step.outcome = "cached" if was_cached else "built"
    return archives


class _Builder:
    def __init__(self, paths: Paths, binaries: Mapping[str, Path]) -> None:
        self._paths = paths
        self._binaries = binaries
        self._locks = paths.cache / "locks"
        self._base_key = base_key(BASE, _RECIPE)

    def build(self, image: Image | Base) -> tuple[Path, bool]:
        """Return the path of the image's archive, and whether it was in the cache."""
        if isinstance(image, Base):
            entry = self._entry(image, self._base_key)
            was_cached = cached(entry, self._locks, self._make_base)
        else:
            entry = self._entry(image, image_key(image, self._paths.checkout, self._binaries, self._base_key))
            was_cached = cached(entry, self._locks, lambda output: self._make(image, output))
        with locked(self._locks / "images.lock", "old images"):
            entry.touch()
            for old in outdated_archives(entry.parent.glob(f"{image.name}-{'?' * KEY_LENGTH}.tar")):
                old.unlink()
        return entry, was_cached

    def _entry(self, image: Image | Base, key: str) -> Path:
        return self._paths.cache / "images" / f"{image.name}-{key}.tar"

    def _make(self, image: Image, output: Path) -> None:
        dockerfile = self._paths.checkout / image.dockerfile
        if not dockerfile.is_file():
            raise LocalError(f"{image.dockerfile} does not exist", "check out the whole repository")
        self._provide_base()
        with tempfile.TemporaryDirectory(prefix="caisson-context-") as context:
            self._stage(image, Path(context))
            options = ["--pull=never", "--layers", "--file", str(dockerfile), "--tag", image.reference]
            if image.target:
                options += ["--target", image.target]
            self._buildah("build", *options, *_ulimit_options(), *_ca_options(), *_package_source_options(), context)
        self._export(image.reference, output)

    def _stage(self, image: Image, context: Path) -> None:
        for source in image.sources:
            origin, copy = self._paths.checkout / source, context / source
            copy.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                shutil.copytree(origin, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(origin, copy)
        for name in image.binaries:
            shutil.copy2(self._binaries[name], context / name)

    def _provide_base(self) -> None:
        """Ensure that buildah's storage contains the base image, so that FROM can refer to it."""
        archive, _ = self.build(BASE)
        with locked(self._locks / "base-image.lock", "the base image"):
            images = self._buildah("images", "--filter", f"label={_KEY_LABEL}={self._base_key}", "--quiet")
            if not images.strip():
                self._buildah("pull", f"docker-archive:{archive}")

    def _make_base(self, output: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="caisson-debian-", dir=self._scratch()) as scratch:
            root, archive = Path(scratch) / "root", Path(scratch) / "root.tar"
            _make_root_file_system(root, BASE.suite)
            # An archive, because buildah preserves its file owners; files added from a directory belong to root.
            run(["tar", "--create", "--numeric-owner", "--sort=name", "--file", archive, "--directory", root, "."])
            container = self._buildah("from", "scratch").strip()
            try:
                self._buildah("add", container, str(archive), "/")
                self._buildah("config", "--cmd", "bash", "--label", f"{_KEY_LABEL}={self._base_key}", container)
                self._buildah("commit", container, BASE.reference)
            finally:
                self._buildah("rm", container)
        self._export(BASE.reference, output)

    def _export(self, reference: str, output: Path) -> None:
        self._buildah("push", reference, f"docker-archive:{output}:{reference}")

    def _scratch(self) -> Path:
        directory = self._paths.cache / "scratch"
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def _buildah(self, *arguments: str) -> str:
        storage = self._paths.cache / "storage"
        # Mounts that buildah leaves behind end with its mount namespace, so its records of mounts must end too.
        with tempfile.TemporaryDirectory(prefix="caisson-buildah-") as run_root:
            return run(
                [
                    *("unshare", "--mount"),
                    *("buildah", "--root", storage, "--runroot", run_root, "--storage-driver", "overlay"),
                    *arguments,
                ],
                # This isolation requires no init system, cgroup or network namespace.
                env={"BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self._scratch())},
                shown=shlex.join(["buildah", *arguments]),
            )


def outdated_archives(archives: Iterable[Path]) -> list[Path]:
    """Return the archives of one image to delete: all except those that a checkout used most recently."""
    return sorted(archives, key=lambda archive: archive.stat().st_mtime, reverse=True)[_MAX_ARCHIVES:]


def _make_root_file_system(root: Path, suite: str) -> None:
    run(
        ["debootstrap", "--variant=minbase", suite, root],
        fix="check the network and, behind a proxy, http_proxy; then run the command again",
    )
    for name in _MACHINE_FILES:
        (root / name).unlink(missing_ok=True)
    for name in _EMPTIED_DIRECTORIES:
        directory = root / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)


def _ulimit_options() -> list[str]:
    """Return limits that are not above the current ones: raising them requires a capability that root may lack."""
    options: list[str] = []
    for name, number, usual in (
        ("nofile", resource.RLIMIT_NOFILE, 1048576),
        ("nproc", resource.RLIMIT_NPROC, 32768),  # some versions of buildah lower their own limit to this
    ):
        _, hard = resource.getrlimit(number)
        limit = usual if hard == resource.RLIM_INFINITY else min(hard, usual)
        options += ["--ulimit", f"{name}={limit}:{limit}"]
    return options


def _ca_options() -> list[str]:
    """Make pip and go in a build trust this machine's CAs. A Dockerfile opts in with an ARG of their variable."""
    bundle = Path(os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or _CA_CERTIFICATES)
    if not bundle.is_file():
        return []
    mounted = "/run/ca.crt"
    arguments = ["--volume", f"{bundle}:{mounted}:ro"]
    for name in ("PIP_CERT", "SSL_CERT_FILE"):
        arguments += ["--build-arg", f"{name}={mounted}"]
    return arguments


def _package_source_options() -> list[str]:
    """Pass this machine's GOPROXY and apt's tolerance of old indexes to a build. A Dockerfile opts in with an ARG."""
    arguments: list[str] = []
    if proxy := os.environ.get("GOPROXY"):
        arguments += ["--build-arg", f"GOPROXY={proxy}"]
    if shutil.which("apt-config") and "'false'" in run(["apt-config", "shell", "CHECK", "Acquire::Check-Valid-Until"]):
        arguments += ["--build-arg", "APT_CHECK_VALID_UNTIL=false"]
    return arguments
