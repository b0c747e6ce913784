"""`libexec/stop`, the pod's preStop hook: terminates dockerd and waits for it with a time limit."""

import time

import pytest

from tests.toolbox.fakepod import LIBEXEC, FakePod, wait_for

DOCKERD = r"/bin/dockerd"


def stop(pod: FakePod, seconds: int) -> float:
    """Run the hook and return its duration in seconds."""
    begin = time.monotonic()
    result = pod.run("env", f"{LIBEXEC}/stop", str(seconds))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return time.monotonic() - begin


def test_stop_without_dockerd_returns_immediately(pod: FakePod) -> None:
    assert stop(pod, 20) < 2

    pod.start(0, "--fake-crash")
    assert stop(pod, 20) < 2


def test_stop_ends_dockerd_and_its_containerd(pod: FakePod) -> None:
    pod.start(profile="GVisor")
    wait_for(lambda: pod.runs("containerd") == 1)

    assert stop(pod, 20) < 5

    assert not pod.processes(DOCKERD)
    assert not pod.processes("containerd")
    assert pod.start()[-1]["detail"] == "libexec/stop asked dockerd to end\n"


def test_stop_ends_both_after_the_supervisor_was_killed(pod: FakePod) -> None:
    pod.start(profile="GVisor")
    wait_for(lambda: pod.runs("containerd") == 1)
    keeper = int((pod.state / "start-0/containerd").read_text().split()[0])
    for supervisor in pod.processes("libexec/supervise"):
        if supervisor != keeper:
            pod.kill(supervisor)

    assert stop(pod, 20) < 5

    assert not pod.processes(DOCKERD)
    assert not pod.processes("containerd")


def test_stop_returns_at_the_time_limit(pod: FakePod) -> None:
    pod.start(0, "--fake-stubborn")

    assert 1 <= stop(pod, 1) < 3

    assert pod.processes(DOCKERD)


@pytest.mark.parametrize("arguments", [[], ["soon"], ["-1"]])
def test_invalid_arguments_stop_nothing(pod: FakePod, arguments: list[str]) -> None:
    pod.start()

    assert pod.run("env", f"{LIBEXEC}/stop", *arguments).returncode == 2
    assert pod.processes(DOCKERD)
