"""What a user does, with what a user has: kubectl."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

Json = dict[str, Any]

PATIENCE_SECONDS = 120.0
"""Generous: machines are noisy, and no test asserts a speed."""


class Refused(Exception):  # noqa: N818
    """kubectl ended with an error; the message is what it printed."""


def _run(kubeconfig: Path, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
    command = ["kubectl", "--kubeconfig", str(kubeconfig), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if done.returncode != 0:
        raise Refused(f"{' '.join(arguments)}: {done.stderr.strip()}{done.stdout.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace of the local cluster."""

    kubeconfig: Path
    namespace: str

    def as_controller(self, *arguments: str) -> str:
        """Run kubectl as one of the cluster's own controllers, which the policies let change what others can't."""
        account = "--as=system:serviceaccount:kube-system:e2e-controller"
        groups = ("system:masters", "system:serviceaccounts:kube-system")
        return self(*arguments, account, *(f"--as-group={group}" for group in groups))

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
        """Run kubectl and return its output. Raises Refused."""
        return _run(self.kubeconfig, "--namespace", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def apply(self, manifest: Json) -> None:
        """Apply an object."""
        self("apply", "-f", "-", stdin=json.dumps(manifest))

    def sandbox(self, name: str, **spec: Any) -> None:
        """Apply a Sandbox; the image is Debian, without Docker, unless told otherwise."""
        body = {"image": "debian:trixie-slim"} | spec
        self.apply({"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": body})

    def get(self, kind: str, name: str) -> Json:
        """Return an object. Raises Refused when it is not there."""
        return dict(json.loads(self("get", kind, name, "-o", "json")))

    def get_all(self, kind: str) -> list[Json]:
        """Return all objects of a kind."""
        return list(json.loads(self("get", kind, "-o", "json"))["items"])

    def exists(self, kind: str, name: str) -> bool:
        """Tell whether an object is there."""
        return bool(self("get", kind, name, "-o", "name", "--ignore-not-found"))

    def status(self, name: str) -> Json:
        """Return a Sandbox's status."""
        return dict(self.get("sbx", name).get("status", {}))

    def exec(self, name: str, *command: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a command in a pod and return its output."""
        return self("exec", name, "--", *command, timeout=timeout)

    def shell(self, name: str, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a script by the sh of the pod's image."""
        return self.exec(name, "sh", "-ec", script, timeout=timeout)

    def until(
        self, name: str, wanted: Callable[[Json], object], what: str = "", seconds: float = PATIENCE_SECONDS
    ) -> Json:
        """Wait until a Sandbox's status is as wanted, and return it. Fails with the last status seen."""
        status: Json = {}

        def holds() -> bool:
            nonlocal status
            status = self.status(name)
            return bool(wanted(status))

        eventually(holds, lambda: f"{what or 'status'} of {name}: {json.dumps(status, indent=1)}", seconds)
        return status

    def until_ready(self, name: str, seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait until a Sandbox is Ready, and return its status."""
        return self.until(name, lambda status: condition(status, "Ready").get("status") == "True", "Ready", seconds)

    def until_reason(self, name: str, reason: str) -> Json:
        """Wait until a Sandbox is not Ready for this reason, and return its status."""
        return self.until(name, lambda status: condition(status, "Ready").get("reason") == reason, reason)

    @contextmanager
    def watch(self, kind: str) -> Iterator[Callable[[], list[Json]]]:
        """Watch the objects of a kind meanwhile; the yielded function returns the watch events until then."""
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]
        command += ["get", kind, "--watch", "--output-watch-events", "-o", "json"]
        with TemporaryFile("w+") as output:
            watching = subprocess.Popen(command, stdout=output)
            try:
                yield lambda: _documents(output)
            finally:
                watching.terminate()
                watching.wait()

    def events(self, name: str) -> list[Json]:
        """Return the Events of a Sandbox."""
        selector = f"involvedObject.kind=Sandbox,involvedObject.name={name}"
        return list(json.loads(self("get", "events", "--field-selector", selector, "-o", "json"))["items"])


def _documents(output: IO[str]) -> list[Json]:
    # Whoever writes shares the position, which this leaves alone.
    written = os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0).decode(errors="ignore")
    text, decoder, found = written.strip(), json.JSONDecoder(), []
    while text:
        try:
            document, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            break  # the last one is being written
        found.append(document)
        text = text[end:].lstrip()
    return found


def eventually(holds: Callable[[], bool], otherwise: Callable[[], str], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds; fail with a message when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {otherwise()}"
        time.sleep(0.2)


def condition(status: Json, type_: str) -> Json:
    """Return a condition of a status, empty when it is not there."""
    return next((c for c in status.get("conditions", ()) if c["type"] == type_), {})
