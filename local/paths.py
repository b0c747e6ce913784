"""The directories on the machine: the checkout, the cache shared by all checkouts, and this checkout's state."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATE_ROOT = Path("/var/lib/caisson")


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return the build cache: `CAISSON_CACHE`, otherwise `caisson` in the XDG cache directory."""
    if explicit := environment.get("CAISSON_CACHE"):
        return Path(explicit).absolute()
    if xdg := environment.get("XDG_CACHE_HOME"):
        return Path(xdg) / "caisson"
    return Path(environment.get("HOME", "/")) / ".cache" / "caisson"


def identify(checkout: Path) -> str:
    """Return a short name for a checkout, so that the clusters of two checkouts share nothing."""
    return hashlib.sha256(os.fsencode(checkout)).hexdigest()[:10]


@dataclass(frozen=True)
class Paths:
    """The directories that everything else is derived from."""

    checkout: Path
    cache: Path
    state: Path

    @classmethod
    def of(cls, checkout: Path, environment: Mapping[str, str]) -> "Paths":
        """Return the paths of the checkout at `checkout` for a user with this environment."""
        real = checkout.resolve()
        return cls(checkout=real, cache=cache_directory(environment), state=STATE_ROOT / identify(real))

    @property
    def cgroup(self) -> str:
        """The cgroup that holds all pods of this cluster, relative to the root of every hierarchy."""
        return f"caisson-{self.state.name}"

    @property
    def modules(self) -> Path:
        """The pinned Go modules."""
        return self.checkout / "local" / "modules"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig for clients on the machine, outside the cluster's namespaces."""
        return self.state / "kubeconfig"

    @property
    def kubeconfig_inside(self) -> Path:
        """The kubeconfig for clients inside the cluster's namespaces, which reach the API server directly."""
        return self.state / "config" / "admin.kubeconfig"

    @property
    def bin(self) -> Path:
        """Links to the binaries of the running cluster."""
        return self.state / "bin"

    @property
    def config(self) -> Path:
        """Rendered configuration of the cluster's processes."""
        return self.state / "config"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """The audit log: the requests of the operator's account to the API server, one JSON object per line."""
        return self.logs / "audit.log"
