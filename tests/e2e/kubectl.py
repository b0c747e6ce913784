"""kubectl, as a user would run it."""

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
"""Long enough for a slow machine. No test asserts a speed."""


class KubectlError(Exception):
    """kubectl failed. The message is its output."""


def _run(kubeconfig: Path, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
    command = ["kubectl", "--kubeconfig", str(kubeconfig), *arguments]
    result = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    if result.returncode != 0:
        raise KubectlError(f"{' '.join(arguments)}: {result.stderr.strip()}{result.stdout.strip()}")
    return result.stdout


@dataclass(frozen=True)
class Kubectl:
    """kubectl in one namespace of the local cluster."""

    kubeconfig: Path
    namespace: str

    def as_controller(self, *arguments: str) -> str:
        """Run kubectl as a controller of the cluster, which may change objects that the policies protect from users."""
        account = "--as=system:serviceaccount:kube-system:e2e-controller"
        groups = ("system:masters", "system:serviceaccounts:kube-system")
        return self(*arguments, account, *(f"--as-group={group}" for group in groups))

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = PATIENCE_SECONDS) -> str:
        """Run kubectl and return its output. Raises KubectlError."""
        return _run(self.kubeconfig, "--namespace", self.namespace, *arguments, stdin=stdin, timeout=timeout)

    def apply(self, manifest: Json) -> None:
        """Apply an object."""
        self("apply", "-f", "-", stdin=json.dumps(manifest))

    def sandbox(self, name: str, **spec: Any) -> None:
        """Apply a Sandbox. The default image is Debian, without Docker."""
        body = {"image": "debian:trixie-slim"} | spec
        self.apply({"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "metadata": {"name": name}, "spec": body})

    def get(self, kind: str, name: str) -> Json:
        """Return an object. Raises KubectlError if it does not exist."""
        return dict(json.loads(self("get", kind, name, "-o", "json")))

    def get_all(self, kind: str) -> list[Json]:
        """Return all objects of a kind."""
        return list(json.loads(self("get", kind, "-o", "json"))["items"])

    def exists(self, kind: str, name: str) -> bool:
        """Return whether an object exists."""
        return bool(self("get", kind, name, "-o", "name", "--ignore-not-found"))

    def status(self, name: str) -> Json:
        """Return a Sandbox's status."""
        return dict(self.get("sbx", name).get("status", {}))

    def exec(self, name: str, *command: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a command in a pod and return its output."""
        return self("exec", name, "--", *command, timeout=timeout)

    def shell(self, name: str, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a script with the sh of the pod's image and return its output."""
        return self.exec(name, "sh", "-ec", script, timeout=timeout)

    def dockerds(self, name: str) -> list[str]:
        """Return the PIDs of all dockerds in a pod, in its PID namespace."""
        lines = self.exec(name, "/opt/caisson/bin/busybox", "ps", "-o", "pid,comm").splitlines()
        return [line.split()[0] for line in lines if line.split()[1] == "dockerd"]

    def until(
        self, name: str, predicate: Callable[[Json], object], description: str = "", seconds: float = PATIENCE_SECONDS
    ) -> Json:
        """Wait until a Sandbox's status matches the predicate, and return it. Fails with the last status."""
        status: Json = {}

        def matches() -> bool:
            nonlocal status
            status = self.status(name)
            return bool(predicate(status))

        eventually(matches, lambda: f"{description or 'status'} of {name}: {json.dumps(status, indent=1)}", seconds)
        return status

    def until_ready(self, name: str, seconds: float = PATIENCE_SECONDS) -> Json:
        """Wait until a Sandbox is Ready, and return its status."""
        return self.until(name, lambda status: condition(status, "Ready").get("status") == "True", "Ready", seconds)

    def until_reason(self, name: str, reason: str) -> Json:
        """Wait until a Sandbox's condition Ready has this reason, and return its status."""
        return self.until(name, lambda status: condition(status, "Ready").get("reason") == reason, reason)

    @contextmanager
    def watch(self, kind: str) -> Iterator[Callable[[], list[Json]]]:
        """Watch the objects of a kind inside the context. The yielded function returns the events so far."""
        command = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace]
        command += ["get", kind, "--watch", "--output-watch-events", "-o", "json"]
        with TemporaryFile("w+") as output:
            process = subprocess.Popen(command, stdout=output)
            try:
                yield lambda: _documents(output)
            finally:
                process.terminate()
                process.wait()

    def events(self, name: str) -> list[Json]:
        """Return the Events of a Sandbox."""
        selector = f"involvedObject.kind=Sandbox,involvedObject.name={name}"
        return list(json.loads(self("get", "events", "--field-selector", selector, "-o", "json"))["items"])


def _documents(output: IO[str]) -> list[Json]:
    # kubectl shares the file position, so read without changing it.
    text = os.pread(output.fileno(), os.fstat(output.fileno()).st_size, 0).decode(errors="ignore")
    text, decoder, documents = text.strip(), json.JSONDecoder(), []
    while text:
        try:
            document, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            break  # the last document is incomplete
        documents.append(document)
        text = text[end:].lstrip()
    return documents


def eventually(predicate: Callable[[], bool], describe: Callable[[], str], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until the predicate is true. Fails with the description after `seconds`."""
    deadline = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < deadline, f"timed out after {seconds:.0f} s: {describe()}"
        time.sleep(0.2)


def condition(status: Json, type_: str) -> Json:
    """Return a condition of a status. Empty if it does not exist."""
    return next((c for c in status.get("conditions", ()) if c["type"] == type_), {})
