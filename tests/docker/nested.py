"""Run a nested container in a sandbox of any image, with the toolbox's busybox only."""

from tests.e2e.kubectl import Kubectl
from tests.e2e.test_ready import IMPORT

_BUSYBOX = "/opt/caisson/bin/busybox"


def run(kubectl: Kubectl, sandbox: str) -> str:
    """Run a container on the default bridge and return its output."""
    return kubectl.exec(sandbox, _BUSYBOX, "sh", "-ec", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip()
