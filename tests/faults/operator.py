"""The operator under test: this checkout's, as a process of this machine that sees the API server through the proxy.

It believes that it is in a pod: its service account's directory is mounted over the usual place, in a mount namespace
of its own. So it finds the cluster, and renews its token, as it does in its pod.
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
_INTO_A_POD = f"mount -t tmpfs none /run && mkdir -p {_ACCOUNT} && mount --bind $0 {_ACCOUNT} && exec $@"
_PATIENCE_SECONDS = 60.0


class OperatorProcess:
    """One operator at a time: started, killed, and started anew with nothing remembered."""

    def __init__(self, directory: Path, config: Path, api_port: int) -> None:
        """Have an operator with this configuration; `directory` holds its service account and its log."""
        self.account = directory / "serviceaccount"
        self.log = directory / "operator.log"
        self._config, self._api_port = config, api_port
        self._process: subprocess.Popen[bytes] | None = None
        self._probe_port, self._metrics_port = _free_port(), _free_port()

    @property
    def pid(self) -> int:
        """Its process ID."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it."""
        assert self._process is None, "it runs already"
        environment = {name: value for name, value in os.environ.items() if name != "KUBECONFIG"}
        environment |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._api_port)}
        # A home without a kubeconfig.
        environment["HOME"] = str(self.account)
        ports = ("--probe-port", str(self._probe_port), "--metrics-port", str(self._metrics_port))
        command = (sys.executable, "-m", "caisson", "--config", str(self._config), *ports)
        inside = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _INTO_A_POD, str(self.account))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([*inside, *command], env=environment, stdout=log, stderr=log)

    def wait_until_in_sync(self) -> None:
        """Wait until /readyz says so."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.answers("readyz"):
            assert self._process is not None
            assert self._process.poll() is None, f"the operator ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline, f"the operator does not get ready: {self.log.read_text()[-2000:]}"
            time.sleep(0.05)

    def answers(self, probe: str) -> bool:
        """Tell whether a probe is answered with success."""
        try:
            with urlopen(f"http://127.0.0.1:{self._probe_port}/{probe}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it as `kill -9` does, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it if it runs, start it anew, and wait until it is in sync."""
        self.kill()
        self.start()
        self.wait_until_in_sync()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
