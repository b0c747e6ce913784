"""The verb preload: images are pulled outside the session, which ends after the time of --wait."""

import subprocess
from typing import Any

from tests.toolbox.fakepod import POD_UID, FakePod, events, wait_for

CONTINUES = {"event": "continues"}
PULL = "libexec/pull"


def preload(pod: FakePod, *images: str, wait: str = "20") -> list[dict[str, Any]]:
    """Run `sandbox preload` and return its events."""
    arguments = ("preload", "--pod-uid", POD_UID, "--wait", wait, "--", *images)
    return events(pod.script("sandbox", *arguments).stdout)


def pulls(pod: FakePod) -> list[str]:
    """Return the images that were pulled, in order."""
    log = pod.fake / "pulls"
    return log.read_text().split() if log.exists() else []


def test_missing_images_are_pulled_once(pod: FakePod) -> None:
    assert preload(pod, "a", "b") == [{"event": "preloaded"}]
    assert preload(pod, "a", "b") == [{"event": "preloaded"}]
    assert pulls(pod) == ["a", "b"]


def test_long_pull_continues_in_the_next_session(pod: FakePod) -> None:
    (pod.fake / "pull-seconds").write_text("2\n")
    assert preload(pod, "a", wait="0") == [CONTINUES]
    assert preload(pod, "a", wait="0") == [CONTINUES]
    assert preload(pod, "a") == [{"event": "preloaded"}]
    assert pulls(pod) == ["a"]


def test_failure_between_two_sessions_is_reported(pod: FakePod) -> None:
    (pod.fake / "pull-seconds").write_text("1\n")
    (pod.fake / "pull-error").write_text("no such host\n")
    assert preload(pod, "a", wait="0") == [CONTINUES]
    wait_for(lambda: not pod.processes(PULL))
    assert preload(pod, "a") == [{"event": "preloadFailed", "image": "a", "stderr": "no such host\n"}]
    # The failure was reported, so the next session tries again.
    (pod.fake / "pull-error").unlink()
    assert preload(pod, "a") == [{"event": "preloaded"}]


def test_killed_pull_is_reported_and_repeated(pod: FakePod) -> None:
    (pod.fake / "pull-seconds").write_text("60\n")
    assert preload(pod, "a", wait="0") == [CONTINUES]
    pod.kill_and_wait(*pod.processes(PULL))
    (pod.fake / "pull-seconds").write_text("0\n")
    assert preload(pod, "a") == [{"event": "preloaded"}]
    assert pulls(pod) == ["a", "a"]


def test_concurrent_sessions_report_the_same_pull(pod: FakePod) -> None:
    (pod.fake / "pull-seconds").write_text("1\n")
    command = pod.argv("sh", "/opt/caisson/libexec/sandbox", "preload", "--pod-uid", POD_UID, "--", "a")
    sessions = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    outputs = [session.communicate(timeout=20)[0] for session in sessions]

    assert [events(output) for output in outputs] == [[{"event": "preloaded"}]] * 3
    assert pulls(pod) == ["a"]


def test_report_of_a_killed_pull_names_the_image_that_was_pulled(pod: FakePod) -> None:
    assert preload(pod, "a") == [{"event": "preloaded"}]
    (pod.fake / "pull-seconds").write_text("60\n")
    command = pod.argv("sh", "/opt/caisson/libexec/sandbox", "preload", "--pod-uid", POD_UID, "--", "a", "b")
    session = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    wait_for(lambda: pulls(pod) == ["a", "b"])
    pod.kill_and_wait(*pod.processes(PULL))
    output, _ = session.communicate(timeout=10)
    assert events(output) == [{"event": "preloadFailed", "image": "b", "stderr": "the pull was killed"}]
    assert session.returncode == 1
