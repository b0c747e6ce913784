"""The operator under test: a process of this machine that connects to the API server through the proxy.

It runs in a separate mount namespace, with the ServiceAccount directory at the path that it has in a pod. Thus it finds
the cluster and renews its token as in a pod.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

_ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
_MOUNT_ACCOUNT = f"mount -t tmpfs none /run && mkdir -p {_ACCOUNT} && mount --bind $0 {_ACCOUNT} && exec $@"
_PATIENCE_SECONDS = 60.0


class OperatorProcess:
    """Starts, kills and restarts one operator process."""

    def __init__(self, directory: Path, config: Path, api_port: int) -> None:
        """Create an operator with this configuration. `directory` contains its ServiceAccount and its log."""
        self.account = directory / "serviceaccount"
        self.log = directory / "operator.log"
        self._config, self._api_port = config, api_port
        self._process: subprocess.Popen[bytes] | None = None
        self._probe_port, self._metrics_port = _free_port(), _free_port()

    @property
    def pid(self) -> int:
        """The process ID."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the operator."""
        assert self._process is None, "the operator is already running"
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        environment |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._api_port)}
        # A home directory without a kubeconfig.
        environment["HOME"] = str(self.account)
        ports = ("--probe-port", str(self._probe_port), "--metrics-port", str(self._metrics_port))
        command = (sys.executable, "-m", "caisson", "--config", str(self._config), *ports)
        inside = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT_ACCOUNT, str(self.account))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*inside, *command], env=environment, stdout=log, stderr=log)

    def wait_until_in_sync(self) -> None:
        """Wait until /readyz succeeds."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.probe_succeeds("readyz"):
            assert self._process is not None
            assert self._process.poll() is None, f"the operator ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"the operator did not become ready: {self.log.read_text()[-2000:]}"
            time.sleep(0.05)

    def probe_succeeds(self, probe: str) -> bool:
        """Return whether a probe succeeds."""
        try:
            with urlopen(f"http://127.0.0.1:{self._probe_port}/{probe}", timeout=5) as response:
                return bool(response.status == 200)
        except (URLError, OSError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the operator."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the operator with SIGKILL, if it is running."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill the operator if it is running, start a new one, and wait until it is in sync."""
        self.kill()
        self.start()
        self.wait_until_in_sync()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
