"""Where things live on the machine: the checkout, the cache shared by all checkouts, this checkout's state."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATE_ROOT = Path("/var/lib/caisson")


def cache_directory(environment: Mapping[str, str]) -> Path:
    """The build cache: `CAISSON_CACHE`, else the XDG cache directory's `caisson`."""
    if explicit := environment.get("CAISSON_CACHE"):
        return Path(explicit).absolute()
    if xdg := environment.get("XDG_CACHE_HOME"):
        return Path(xdg) / "caisson"
    return Path(environment.get("HOME", "/")) / ".cache" / "caisson"


def identify(checkout: Path) -> str:
    """A short name for a checkout, so that clusters of two clones have nothing in common."""
    return hashlib.sha256(os.fsencode(checkout)).hexdigest()[:10]


@dataclass(frozen=True)
class Paths:
    """The directories that everything else is derived from."""

    checkout: Path
    cache: Path
    state: Path

    @classmethod
    def of(cls, checkout: Path, environment: Mapping[str, str]) -> "Paths":
        """The paths of the checkout at `checkout` for a user with this environment."""
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
        """For kubectl on the machine, outside of the cluster's namespaces."""
        return self.state / "kubeconfig"

    @property
    def kubeconfig_inside(self) -> Path:
        """For a client inside the cluster's namespaces, straight to the API server."""
        return self.state / "config" / "admin.kubeconfig"

    @property
    def bin(self) -> Path:
        """Links to the binaries of the running cluster."""
        return self.state / "bin"

    @property
    def config(self) -> Path:
        """Rendered configuration of the parts."""
        return self.state / "config"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """One log file per part."""
        return self.state / "logs"

    @property
    def audit_log(self) -> Path:
        """What the operator's account asked of the API server, a JSON object a line."""
        return self.logs / "audit.log"
