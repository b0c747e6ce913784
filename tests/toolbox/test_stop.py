"""The pod's preStop hook: dockerd is asked to end and waited for, not longer than was said."""

import time

import pytest

from tests.toolbox.fakepod import LIBEXEC, FakePod, wait_for

DOCKERD = r"/bin/dockerd"


def stop(pod: FakePod, seconds: int) -> float:
    """Return how long it took."""
    begin = time.monotonic()
    done = pod.run("env", f"{LIBEXEC}/stop", str(seconds))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return time.monotonic() - begin


def test_without_a_dockerd_there_is_nothing_to_wait_for(pod: FakePod) -> None:
    assert stop(pod, 20) < 2

    pod.start(0, "--fake-crash")
    assert stop(pod, 20) < 2


def test_dockerd_and_its_containerd_have_ended_afterwards(pod: FakePod) -> None:
    pod.start(profile="GVisor")
    wait_for(lambda: pod.runs("containerd") == 1)

    assert stop(pod, 20) < 5

    assert not pod.processes(DOCKERD)
    assert not pod.processes("containerd")
    assert pod.start()[-1]["detail"] == "libexec/stop asked dockerd to end\n"


def test_also_where_their_supervisor_was_killed(pod: FakePod) -> None:
    pod.start(profile="GVisor")
    wait_for(lambda: pod.runs("containerd") == 1)
    keeper = int((pod.state / "start-0/containerd").read_text().split()[0])
    for supervisor in pod.processes("libexec/supervise"):
        if supervisor != keeper:
            pod.kill(supervisor)

    assert stop(pod, 20) < 5

    assert not pod.processes(DOCKERD)
    assert not pod.processes("containerd")


def test_a_dockerd_that_takes_longer_is_not_waited_for(pod: FakePod) -> None:
    pod.start(0, "--fake-stubborn")

    assert 1 <= stop(pod, 1) < 3

    assert pod.processes(DOCKERD)


@pytest.mark.parametrize("arguments", [[], ["soon"], ["-1"]])
def test_a_wrong_call_stops_nothing(pod: FakePod, arguments: list[str]) -> None:
    pod.start()

    assert pod.run("env", f"{LIBEXEC}/stop", *arguments).returncode == 2
    assert pod.processes(DOCKERD)
