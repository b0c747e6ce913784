"""Nested containers, in a sandbox of whatever image: by the toolbox's busybox and none of the image's programs."""

from tests.e2e.kubectl import Kubectl
from tests.e2e.test_ready import IMPORT

_BUSYBOX = "/opt/caisson/bin/busybox"


def run(kubectl: Kubectl, sandbox: str) -> str:
    """Run a container on the default bridge, and return what it printed."""
    return kubectl.exec(sandbox, _BUSYBOX, "sh", "-ec", f"{IMPORT}; docker run --rm hello /busybox echo it ran").strip()
