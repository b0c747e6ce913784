"""The readiness probe: what the kubelet is told, and how long the logs may get."""

from tests.toolbox.fakepod import FakePod, wait_for


def is_ready(pod: FakePod) -> bool:
    return pod.script("probe").returncode == 0


def test_not_before_a_start(pod: FakePod) -> None:
    assert not is_ready(pod)


def test_from_the_first_good_answer_until_dockerd_dies(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]
    assert is_ready(pod)

    pod.kill(pid)
    wait_for(lambda: not is_ready(pod))


def test_not_while_the_next_attempt_is_on_its_way(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-1").mkdir()

    assert not is_ready(pod)


def test_another_process_with_that_pid_is_not_dockerd(pod: FakePod) -> None:
    pod.start()
    record = pod.state / "start-0/daemon"
    pid, start_time, *rest = record.read_text().split()
    record.write_text(" ".join([pid, str(int(start_time) - 1), *rest]) + "\n")

    assert not is_ready(pod)


def test_long_logs_are_cut_in_place_and_keep_their_end(pod: FakePod) -> None:
    pod.start()
    log = pod.state / "start-0/stderr"
    inode = log.stat().st_ino
    log.write_bytes(b"x" * (9 << 20) + b"the end\n")

    assert is_ready(pod)

    assert (log.stat().st_size, log.stat().st_ino) == (0, inode)
    kept = log.with_name("stderr.earlier").read_bytes()
    assert len(kept) == 1 << 20
    assert kept.endswith(b"the end\n")


def test_a_report_does_not_mind_the_cut(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]
    log = pod.state / "start-0/stderr"
    log.write_bytes(b"x" * (9 << 20) + b"before the cut\n")
    is_ready(pod)
    log.write_text("after it\n")
    pod.kill(pid)
    wait_for((pod.state / "start-0/exit").exists)

    told = pod.start()[-1]["stderr"]

    assert len(told) == 4096
    assert told.endswith("xbefore the cut\nafter it\n")


def test_short_logs_are_left_alone(pod: FakePod) -> None:
    pod.start()
    log = pod.state / "start-0/stdout"
    log.write_bytes(b"x" * (1 << 20))

    is_ready(pod)

    assert log.stat().st_size == 1 << 20
