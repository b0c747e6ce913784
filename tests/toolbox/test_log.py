"""`libexec/log`: prints the complete output of dockerd."""

import pytest

from tests.toolbox.fakepod import LIBEXEC, FakePod, wait_for

LOG = f"{LIBEXEC}/log"


@pytest.fixture
def pod_with_attempts(pod: FakePod) -> FakePod:
    """A pod after two failed attempts."""
    for attempt in (0, 1):
        (pod.fake / "last-words").write_text(f"boom {attempt}\n" * 10000)
        pod.start(attempt, "--fake-crash")
    return pod


def test_log_prints_the_latest_attempt_in_full(pod_with_attempts: FakePod) -> None:
    result = pod_with_attempts.run("env", LOG)

    assert (result.returncode, result.stdout) == (0, "said on stdout\n" + "boom 1\n" * 10000)


def test_log_prints_an_earlier_attempt(pod_with_attempts: FakePod) -> None:
    assert pod_with_attempts.run("env", LOG, "0").stdout == "said on stdout\n" + "boom 0\n" * 10000


def test_log_prints_rotated_output_first(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-0/stderr").write_bytes(b"x" * (9 << 20) + b"earlier\n")
    pod.script("probe")
    (pod.state / "start-0/stderr").write_text("later\n")

    assert pod.run("env", LOG).stdout.endswith("xearlier\nlater\n")


@pytest.mark.parametrize("attempt", ["7", "", "../lock", "-1"])
def test_unknown_attempt_is_an_error(pod_with_attempts: FakePod, attempt: str) -> None:
    result = pod_with_attempts.run("env", LOG, attempt)

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"log: there is no attempt {attempt}; there are: 0 1\n"


def test_log_before_the_first_attempt_is_an_error(pod: FakePod) -> None:
    result = pod.run("env", LOG)

    assert (result.returncode, result.stderr) == (1, "log: there has been no attempt to start dockerd\n")


def test_log_explains_why_dockerd_was_not_started(pod: FakePod) -> None:
    pod.start(profile="GVisor", drop="net_raw")

    result = pod.run("env", LOG)

    assert result.returncode == 1
    assert result.stderr.startswith(
        "log: attempt 0 has no log, because dockerd was not started. the container has no CAP"
    )


def test_log_prints_the_output_of_a_running_dockerd(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-0/stderr").write_text("so far\n")

    assert wait_for(lambda: pod.run("env", LOG).stdout) == "so far\n"
