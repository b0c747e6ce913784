"""`--pod-log yes`: what dockerd says on stderr is in the pod's log as well, once, and nobody waits for it."""

import os

from tests.toolbox.fakepod import FakePod, wait_for

COPIER = r"busybox tail|^tail"


def copiers(pod: FakePod) -> list[int]:
    return pod.processes(COPIER)


def say(pod: FakePod, text: str) -> None:
    with (pod.state / "start-0/stderr").open("a") as stderr:
        stderr.write(text)


def collected(pod: FakePod, end: str) -> str:
    """Return the log up to what it is expected to end with."""
    text = ""

    def complete() -> bool:
        nonlocal text
        text += pod.logged()
        return text.endswith(end)

    wait_for(complete)
    return text


def test_only_where_it_is_wanted(pod: FakePod) -> None:
    pod.start()

    assert not copiers(pod)
    assert not (pod.state / "start-0/copier").exists()


def test_it_follows_dockerd(pod: FakePod) -> None:
    pod.start(pod_log="yes")
    wait_for(lambda: copiers(pod))

    say(pod, "one\n")
    say(pod, "two\n")

    assert collected(pod, "two\n") == "one\ntwo\n"


def test_every_attempt_is_there_once_with_its_last_words(pod: FakePod) -> None:
    for attempt in (0, 1):
        (pod.fake / "last-words").write_text(f"boom {attempt}\n")
        pod.start(attempt, "--fake-crash", pod_log="yes")

    wait_for(lambda: not copiers(pod))
    assert sorted(pod.logged().splitlines()) == ["boom 0", "boom 1"]


def test_a_cut_of_the_files_repeats_nothing(pod: FakePod) -> None:
    pod.start(pod_log="yes")
    say(pod, "before\n")
    collected(pod, "before\n")
    with (pod.state / "start-0/stderr").open("r+b") as stderr:
        stderr.truncate(9 << 20)
    wait_for(lambda: not pod.logged().rstrip("\0") and _is_at_the_end(pod), seconds=60)

    pod.script("probe")
    say(pod, "after\n")

    assert collected(pod, "after\n").lstrip("\0") == "after\n"


def _is_at_the_end(pod: FakePod) -> bool:
    (copier,) = copiers(pod)
    position = pod.run("grep", "pos", f"/proc/{copier}/fdinfo/3").stdout.split()
    return bool(position) and int(position[1]) == 9 << 20


def test_a_log_that_nobody_takes_holds_nobody_up(pod: FakePod) -> None:
    pod.start(pod_log="yes")
    say(pod, "x" * (1 << 20))

    pod.kill(pod.processes("/bin/dockerd")[0])

    wait_for((pod.state / "start-0/exit").exists)
    wait_for(lambda: not copiers(pod))


def test_a_closed_log_is_none(pod: FakePod) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, pod.log)
    os.close(null)

    assert pod.start(pod_log="yes")[-1]["event"] == "ready"
    say(pod, "lost\n")
    wait_for(lambda: not copiers(pod))
    assert pod.script("probe").returncode == 0


def test_it_ends_with_a_former_attempt_whose_supervisor_was_killed(pod: FakePod) -> None:
    pid = pod.start(pod_log="yes")[-1]["pid"]
    wait_for((pod.state / "start-0/copier").exists)
    assert copiers(pod)
    for process in [*pod.processes("libexec/supervise"), pid]:
        pod.kill(process)

    pod.start(1, pod_log="no")

    wait_for(lambda: not copiers(pod))
