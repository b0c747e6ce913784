"""The program of `helm test`: creates a Sandbox, waits until it is Ready, queries its Docker, and deletes it."""

import os
import sys
import time
from typing import Any, NoReturn

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

GROUP, VERSION, PLURAL = "caisson.dev", "v1alpha1", "sandboxes"
NAME, NAMESPACE, IMAGE = os.environ["SANDBOX_NAME"], os.environ["SANDBOX_NAMESPACE"], os.environ["SANDBOX_IMAGE"]
OPERATOR_LOGS_COMMAND = os.environ["OPERATOR_LOGS_COMMAND"]
TIMEOUT_SECONDS = float(os.environ["TIMEOUT_SECONDS"])
END_SECONDS = 30.0

Json = dict[str, Any]


class Sandboxes:
    """The Sandbox of the test."""

    def __init__(self) -> None:
        """Use the ServiceAccount of this pod."""
        config.load_incluster_config()
        self._api = client.CustomObjectsApi()

    def create(self) -> None:
        """Create the Sandbox."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Sandbox",
            "metadata": {"name": NAME},
            "spec": {"image": IMAGE},
        }
        self._api.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURAL, body)

    def get(self) -> Json | None:
        """Return the Sandbox, or None if it does not exist."""
        try:
            return dict(self._api.get_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURAL, NAME))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def delete(self) -> None:
        """Delete the Sandbox and wait until it is gone."""
        if self.get() is None:
            return
        self._api.delete_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURAL, NAME)
        deadline = time.monotonic() + END_SECONDS
        while self.get() is not None:
            if time.monotonic() > deadline:
                fail(
                    f"sbx/{NAME} was not deleted after {END_SECONDS:.0f} seconds",
                    f"kubectl get sbx {NAME} --namespace {NAMESPACE} --output yaml",
                )
            time.sleep(1)


def say(text: str) -> None:
    """Print a line and flush it."""
    print(text, flush=True)


def fail(problem: str, *commands: str) -> NoReturn:
    """End the test with the problem and commands to investigate it."""
    say(f"FAILED: {problem}")
    for command in commands:
        say(f"  next step: {command}")
    sys.exit(1)


def wait_until_ready(sandboxes: Sandboxes) -> Json:
    """Wait until the Sandbox is Ready and return its status. Prints every change of the reason."""
    deadline, progress = time.monotonic() + TIMEOUT_SECONDS, ""
    while time.monotonic() < deadline:
        status = (sandboxes.get() or {}).get("status", {})
        ready: Json = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
        if ready.get("status") == "True":
            return dict(status)
        now = f"{ready['reason']}: {ready.get('message', '')}" if ready else "no status yet"
        if now != progress:
            say(now)
            progress = now
        time.sleep(1)
    if progress == "no status yet":
        fail(f"sbx/{NAME} has no status: is {NAMESPACE} in config.namespaces?", OPERATOR_LOGS_COMMAND)
    describe = f"kubectl describe sbx {NAME} --namespace {NAMESPACE}"
    fail(f"sbx/{NAME} is not Ready after {TIMEOUT_SECONDS:.0f} seconds: {progress}", describe, OPERATOR_LOGS_COMMAND)


def docker_version() -> str:
    """Return the server version that docker in the sandbox reports."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    api = client.CoreV1Api()
    options: Json = {"container": "sandbox", "command": command, "stdout": True, "stderr": True}
    return str(stream(api.connect_get_namespaced_pod_exec, NAME, NAMESPACE, **options)).strip()


def main() -> None:
    """Run the test."""
    sandboxes = Sandboxes()
    sandboxes.delete()
    sandboxes.create()
    say(f"created sbx/{NAME} in {NAMESPACE} with image {IMAGE}")
    reported = wait_until_ready(sandboxes)["docker"]
    say(f"Ready: Docker {reported['version']} after {reported['readyAfterMilliseconds']} ms")
    version = docker_version()
    if version != reported["version"]:
        command = f"kubectl exec {NAME} --namespace {NAMESPACE} -- docker version"
        fail(f"`docker version` reports {version!r}, but the status {reported['version']!r}", command)
    say(f"`docker version` in the sandbox reports the same version: {version}")
    sandboxes.delete()
    say("deleted")


if __name__ == "__main__":
    try:
        main()
    except ApiException as error:
        fail(f"the API server responded {error.status} {error.reason}: {error.body}", OPERATOR_LOGS_COMMAND)
