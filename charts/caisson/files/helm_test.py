"""What `helm test` runs: apply a Sandbox, wait until it is Ready, ask its Docker, delete it."""

import os
import sys
import time
from typing import Any, NoReturn

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

GROUP, VERSION, PLURAL = "caisson.dev", "v1alpha1", "sandboxes"
NAME, NAMESPACE, IMAGE = os.environ["SANDBOX_NAME"], os.environ["SANDBOX_NAMESPACE"], os.environ["SANDBOX_IMAGE"]
LOOK_AT_OPERATOR = os.environ["LOOK_AT_OPERATOR"]
TIMEOUT_SECONDS = float(os.environ["TIMEOUT_SECONDS"])
END_SECONDS = 30.0

Json = dict[str, Any]


class Sandboxes:
    """The one Sandbox of the test."""

    def __init__(self) -> None:
        """Speak as the service account of this pod."""
        config.load_incluster_config()
        self._api = client.CustomObjectsApi()

    def create(self) -> None:
        """Create it."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": "Sandbox",
            "metadata": {"name": NAME},
            "spec": {"image": IMAGE},
        }
        self._api.create_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURAL, body)

    def get(self) -> Json | None:
        """Return it, or nothing when it is not there."""
        try:
            return dict(self._api.get_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURAL, NAME))
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def delete(self) -> None:
        """Delete it, and wait until it is gone."""
        if self.get() is None:
            return
        self._api.delete_namespaced_custom_object(GROUP, VERSION, NAMESPACE, PLURAL, NAME)
        deadline = time.monotonic() + END_SECONDS
        while self.get() is not None:
            if time.monotonic() > deadline:
                fail(f"sbx/{NAME} does not go away", f"kubectl get sbx {NAME} --namespace {NAMESPACE} --output yaml")
            time.sleep(1)


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def fail(what: str, *look_at: str) -> NoReturn:
    """End the test, with where to look."""
    say(f"FAILED: {what}")
    for command in look_at:
        say(f"  look at: {command}")
    sys.exit(1)


def wait_until_ready(sandboxes: Sandboxes) -> Json:
    """Return the status of the Sandbox once it is Ready, and say what keeps it until then."""
    deadline, said = time.monotonic() + TIMEOUT_SECONDS, ""
    while time.monotonic() < deadline:
        status = (sandboxes.get() or {}).get("status", {})
        ready: Json = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), {})
        if ready.get("status") == "True":
            return dict(status)
        now = f"{ready['reason']}: {ready.get('message', '')}" if ready else "no status yet"
        if now != said:
            say(now)
            said = now
        time.sleep(1)
    if said == "no status yet":
        fail(f"the operator has not looked at sbx/{NAME}: is {NAMESPACE} in config.namespaces?", LOOK_AT_OPERATOR)
    describe = f"kubectl describe sbx {NAME} --namespace {NAMESPACE}"
    fail(f"sbx/{NAME} is not Ready after {TIMEOUT_SECONDS:.0f} seconds: {said}", describe, LOOK_AT_OPERATOR)


def docker_version() -> str:
    """Return what the sandbox's own docker says about its daemon."""
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
    answer = docker_version()
    if answer != reported["version"]:
        shown = f"kubectl exec {NAME} --namespace {NAMESPACE} -- docker version"
        fail(f"`docker version` says {answer!r}, the status {reported['version']!r}", shown)
    say(f"`docker version` in it says the same: {answer}")
    sandboxes.delete()
    say("deleted")


if __name__ == "__main__":
    try:
        main()
    except ApiException as error:
        fail(f"the API server says {error.status} {error.reason}: {error.body}", LOOK_AT_OPERATOR)
