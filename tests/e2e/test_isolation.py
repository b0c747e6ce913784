"""No code of the user runs on anything but gVisor, and without Docker there is nothing to take."""

from typing import Any

import pytest

from tests.e2e.kubectl import Kubectl, condition, eventually

NO_CAPABILITIES = "0000000000000000"


ON_RUNC = {
    "idle": {"command": ["sh", "-c", "echo the user was here; sleep infinity"]},
    "the-images-own-entrypoint": {"entrypoint": "Image"},
    # Its volumes lie over the gate that is PID 1 of the sandbox.
    "an-image-with-volumes-over-the-toolbox": {"image": "caisson.dev/test/over-toolbox:1"},
    "the-same-without-docker": {"image": "caisson.dev/test/over-toolbox:1", "docker": {"enabled": False}},
}


@pytest.mark.parametrize("spec", ON_RUNC.values(), ids=ON_RUNC)
def test_a_pod_on_runc_ends_before_any_code_of_the_user_runs(kubectl: Kubectl, spec: dict[str, Any]) -> None:
    kubectl.sandbox("demo", runtimeClassName="mislabelled", **spec)
    status = kubectl.until_reason("demo", "NotGVisor")
    assert condition(status, "Isolated")["status"] == "False"
    assert "gVisor" in condition(status, "Isolated")["message"]
    # The gate went first, and the container with the user's image was never made.
    containers = kubectl.get("pod", "demo")["status"]["containerStatuses"]
    assert [container.get("containerID") for container in containers] == [None]
    eventually(lambda: kubectl.get("pod", "demo")["status"]["phase"] == "Failed", lambda: "the pod has not failed")


def test_an_image_with_volumes_over_the_toolbox_fools_its_author_alone(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/over-toolbox:1")
    # On gVisor it may run; what it says of its kernel and its Docker makes no sense.
    status = kubectl.until_reason("demo", "ExecFailed")
    assert condition(status, "Ready")["status"] != "True"


def test_a_plain_sandbox_has_none_of_the_capabilities(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    status = kubectl.until_ready("demo")
    assert condition(status, "Isolated")["status"] == "True"
    assert condition(status, "DockerReady")["reason"] == "DockerDisabled"
    own = dict(
        line.split(":\t") for line in kubectl.exec("demo", "cat", "/proc/self/status").splitlines() if ":\t" in line
    )
    assert {own[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {NO_CAPABILITIES}


def test_a_plain_sandbox_honours_the_images_user(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/non-root:1", docker={"enabled": False})
    kubectl.until_ready("demo")
    assert kubectl.exec("demo", "id", "-u").strip() == "4242"


def test_docker_works_in_an_image_with_a_user(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", image="caisson.dev/test/non-root:1")
    kubectl.until_ready("demo")
    assert kubectl.exec("demo", "id", "-u").strip() == "0"


def test_no_service_account_token_is_there(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    assert kubectl.shell("demo", "ls -A /var/run/secrets 2>/dev/null || true") == ""


def test_orphans_are_reaped(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    kubectl.shell("demo", "(sleep 0.2 & ) ; sleep 1")
    states = kubectl.shell("demo", "cat /proc/[0-9]*/stat | cut -d' ' -f3")
    assert "Z" not in states.split()
