"""`libexec/log`: all that dockerd said, for whoever may exec into the sandbox."""

import pytest

from tests.toolbox.fakepod import LIBEXEC, FakePod, wait_for

LOG = f"{LIBEXEC}/log"


@pytest.fixture
def tried(pod: FakePod) -> FakePod:
    """A pod after two attempts."""
    for attempt in (0, 1):
        (pod.fake / "last-words").write_text(f"boom {attempt}\n" * 10000)
        pod.start(attempt, "--fake-crash")
    return pod


def test_it_is_run_by_its_name_and_prints_the_latest_attempt_in_full(tried: FakePod) -> None:
    done = tried.run("env", LOG)

    assert (done.returncode, done.stdout) == (0, "said on stdout\n" + "boom 1\n" * 10000)


def test_a_former_attempt_can_be_had_too(tried: FakePod) -> None:
    assert tried.run("env", LOG, "0").stdout == "said on stdout\n" + "boom 0\n" * 10000


def test_what_was_before_a_cut_comes_first(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-0/stderr").write_bytes(b"x" * (9 << 20) + b"earlier\n")
    pod.script("probe")
    (pod.state / "start-0/stderr").write_text("later\n")

    assert pod.run("env", LOG).stdout.endswith("xearlier\nlater\n")


@pytest.mark.parametrize("attempt", ["7", "", "../lock", "-1"])
def test_an_attempt_that_there_was_not(tried: FakePod, attempt: str) -> None:
    done = tried.run("env", LOG, attempt)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"log: there is no attempt {attempt}; there are: 0 1\n"


def test_before_any_attempt(pod: FakePod) -> None:
    done = pod.run("env", LOG)

    assert (done.returncode, done.stderr) == (1, "log: nobody has tried to start dockerd here yet\n")


def test_an_attempt_that_did_not_get_to_dockerd_says_why(pod: FakePod) -> None:
    pod.start(profile="GVisor", drop="net_raw")

    done = pod.run("env", LOG)

    assert done.returncode == 1
    assert done.stderr.startswith(
        "log: attempt 0 has no log, because dockerd was not started. the container has no CAP"
    )


def test_a_dockerd_that_runs_may_be_looked_at(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-0/stderr").write_text("so far\n")

    assert wait_for(lambda: pod.run("env", LOG).stdout) == "so far\n"
