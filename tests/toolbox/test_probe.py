"""The readiness probe: its exit code and the rotation of logs."""

from tests.toolbox.fakepod import FakePod, wait_for


def is_ready(pod: FakePod) -> bool:
    return pod.script("probe").returncode == 0


def test_pod_is_not_ready_before_a_start(pod: FakePod) -> None:
    assert not is_ready(pod)


def test_pod_is_ready_until_dockerd_dies(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]
    assert is_ready(pod)

    pod.kill(pid)
    wait_for(lambda: not is_ready(pod))


def test_pod_is_not_ready_during_the_next_attempt(pod: FakePod) -> None:
    pod.start()
    (pod.state / "start-1").mkdir()

    assert not is_ready(pod)


def test_another_process_with_the_same_pid_is_not_dockerd(pod: FakePod) -> None:
    pod.start()
    record = pod.state / "start-0/daemon"
    pid, start_time, *rest = record.read_text().split()
    record.write_text(" ".join([pid, str(int(start_time) - 1), *rest]) + "\n")

    assert not is_ready(pod)


def test_long_log_is_truncated_in_place_and_its_end_saved(pod: FakePod) -> None:
    pod.start()
    log = pod.state / "start-0/stderr"
    inode = log.stat().st_ino
    log.write_bytes(b"x" * (9 << 20) + b"the end\n")

    assert is_ready(pod)

    assert (log.stat().st_size, log.stat().st_ino) == (0, inode)
    earlier = log.with_name("stderr.earlier").read_bytes()
    assert len(earlier) == 1 << 20
    assert earlier.endswith(b"the end\n")


def test_report_includes_output_from_before_the_rotation(pod: FakePod) -> None:
    pid = pod.start()[-1]["pid"]
    log = pod.state / "start-0/stderr"
    log.write_bytes(b"x" * (9 << 20) + b"before the cut\n")
    is_ready(pod)
    log.write_text("after it\n")
    pod.kill(pid)
    wait_for((pod.state / "start-0/exit").exists)

    stderr = pod.start()[-1]["stderr"]

    assert len(stderr) == 4096
    assert stderr.endswith("xbefore the cut\nafter it\n")


def test_short_log_is_not_truncated(pod: FakePod) -> None:
    pod.start()
    log = pod.state / "start-0/stdout"
    log.write_bytes(b"x" * (1 << 20))

    is_ready(pod)

    assert log.stat().st_size == 1 << 20
