"""`--pod-log yes`: dockerd's stderr is copied once to the pod's log, without blocking dockerd."""

import os

from tests.toolbox.fakepod import FakePod, wait_for

COPIER = r"busybox tail|^tail"


def copiers(pod: FakePod) -> list[int]:
    return pod.processes(COPIER)


def append_stderr(pod: FakePod, text: str) -> None:
    with (pod.state / "start-0/stderr").open("a") as stderr:
        stderr.write(text)


def read_log(pod: FakePod, end: str) -> str:
    """Read the log until it ends with `end`, and return it."""
    text = ""

    def complete() -> bool:
        nonlocal text
        text += pod.logged()
        return text.endswith(end)

    wait_for(complete)
    return text


def test_stderr_is_not_copied_by_default(pod: FakePod) -> None:
    pod.start()

    assert not copiers(pod)
    assert not (pod.state / "start-0/copier").exists()


def test_copy_follows_dockerd(pod: FakePod) -> None:
    pod.start(pod_log="yes")
    wait_for(lambda: copiers(pod))

    append_stderr(pod, "one\n")
    append_stderr(pod, "two\n")

    assert read_log(pod, "two\n") == "one\ntwo\n"


def test_output_of_every_attempt_is_copied_once(pod: FakePod) -> None:
    for attempt in (0, 1):
        (pod.fake / "last-words").write_text(f"boom {attempt}\n")
        pod.start(attempt, "--fake-crash", pod_log="yes")

    wait_for(lambda: not copiers(pod))
    assert sorted(pod.logged().splitlines()) == ["boom 0", "boom 1"]


def test_log_rotation_does_not_repeat_output(pod: FakePod) -> None:
    pod.start(pod_log="yes")
    append_stderr(pod, "before\n")
    read_log(pod, "before\n")
    with (pod.state / "start-0/stderr").open("r+b") as stderr:
        stderr.truncate(9 << 20)
    wait_for(lambda: not pod.logged().rstrip("\0") and _is_at_the_end(pod), seconds=60)

    pod.script("probe")
    append_stderr(pod, "after\n")

    assert read_log(pod, "after\n").lstrip("\0") == "after\n"


def _is_at_the_end(pod: FakePod) -> bool:
    (copier,) = copiers(pod)
    position = pod.run("grep", "pos", f"/proc/{copier}/fdinfo/3").stdout.split()
    return bool(position) and int(position[1]) == 9 << 20


def test_blocked_pod_log_does_not_block_dockerd(pod: FakePod) -> None:
    pod.start(pod_log="yes")
    append_stderr(pod, "x" * (1 << 20))

    pod.kill(pod.processes("/bin/dockerd")[0])

    wait_for((pod.state / "start-0/exit").exists)
    wait_for(lambda: not copiers(pod))


def test_closed_pod_log_does_not_affect_readiness(pod: FakePod) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, pod.log)
    os.close(null)

    assert pod.start(pod_log="yes")[-1]["event"] == "ready"
    append_stderr(pod, "lost\n")
    wait_for(lambda: not copiers(pod))
    assert pod.script("probe").returncode == 0


def test_next_attempt_ends_the_copy_of_a_killed_supervisor(pod: FakePod) -> None:
    pid = pod.start(pod_log="yes")[-1]["pid"]
    wait_for((pod.state / "start-0/copier").exists)
    assert copiers(pod)
    for process in [*pod.processes("libexec/supervise"), pid]:
        pod.kill(process)

    pod.start(1, pod_log="no")

    wait_for(lambda: not copiers(pod))
