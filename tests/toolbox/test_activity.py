"""For how long nobody has made use of a sandbox: what counts as use, and what of our own does not."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.toolbox.fakepod import BUSYBOX, POD_UID, FakePod, events, wait_for

LONG_AGO = 6_000
"""In 1/100 s, as the record of the last use has it. The clock begins with the machine, which may be minutes old."""


@pytest.fixture
def watched(pod: FakePod) -> FakePod:
    """A pod whose dockerd runs, in which use is watched, and which two probes have seen unused."""
    pod.start(idle="yes")
    probe(pod)
    probe(pod)
    return pod


def probe(pod: FakePod) -> None:
    assert pod.script("probe").returncode == 0


def idle_seconds(pod: FakePod) -> int:
    done = pod.script("sandbox", "idle", "--pod-uid", POD_UID)
    (event,) = events(done.stdout)
    assert event["event"] == "idle"
    return int(event["seconds"])


def last_used_long_ago(pod: FakePod) -> None:
    """Make a sign of use that comes from now on stand out."""
    record = pod.state / "activity"
    last, *rest = record.read_text().split()
    record.write_text(" ".join([str(max(0, int(last) - LONG_AGO)), *rest]) + "\n")


def is_seen(pod: FakePod) -> bool:
    """Tell whether the next probe takes the sandbox for used."""
    last_used_long_ago(pod)
    probe(pod)
    return idle_seconds(pod) < LONG_AGO // 200


@contextmanager
def running(pod: FakePod, *command: str) -> Iterator[None]:
    """Have a command run in the pod that came by exec."""
    process = subprocess.Popen(pod.argv(*command), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


_NETWORK = "ip link set lo up; ip addr replace 10.9.8.7/32 dev lo"
_READY = "print(flush=True); input()"
_SOCKET = "import socket; s = socket.socket(socket.{}); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)"
LISTEN = f"{_SOCKET.format('AF_INET')}; s.bind(('', 8080)); s.listen(); {_READY}"
LISTEN6 = f"{_SOCKET.format('AF_INET6')}; s.bind(('', 8080)); s.listen(); {_READY}"
ACCEPT = f"{_SOCKET.format('AF_INET')}; s.bind(('', 8080)); s.listen(); print(flush=True); c = s.accept(); s.close()"
ACCEPT += "; input()"
CONNECT = f"import sys; {_SOCKET.format('AF_INET')}; s.connect((sys.argv[1], 8080)); {_READY}"


@contextmanager
def outside(pod: FakePod, script: str, *arguments: str) -> Iterator[None]:
    """Run a script that has the pod's network, and is none of its processes."""
    subprocess.run(["nsenter", f"--target={pod.init}", "--net", "sh", "-c", _NETWORK], check=True)
    command = ["nsenter", f"--target={pod.init}", "--net", sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "it has failed"
        yield
        process.kill()


def test_unless_it_is_asked_for_nothing_is_watched(pod: FakePod) -> None:
    pod.start()
    probe(pod)

    assert not (pod.state / "activity").exists()


def test_our_own_probes_and_questions_are_no_use(watched: FakePod) -> None:
    last_used_long_ago(watched)
    for _ in range(3):
        probe(watched)
        idle_seconds(watched)
    probe(watched)

    assert idle_seconds(watched) >= LONG_AGO // 100


def test_a_look_of_our_own_at_dockerd_is_no_use(watched: FakePod) -> None:
    last_used_long_ago(watched)
    assert watched.start(idle="yes")[-1]["event"] == "ready"
    probe(watched)
    probe(watched)

    assert idle_seconds(watched) >= LONG_AGO // 100


def test_where_nobody_watched_it_was_in_use_just_now_and_is_watched_from_then_on(pod: FakePod) -> None:
    pod.start()

    assert idle_seconds(pod) == 0
    assert not is_seen(pod)


def test_a_record_that_makes_no_sense_is_made_anew(watched: FakePod) -> None:
    (watched.state / "activity").write_text("no number\n")

    assert idle_seconds(watched) == 0
    assert not is_seen(watched)


def test_a_second_start_does_not_count_as_use(watched: FakePod) -> None:
    last_used_long_ago(watched)
    watched.start(1, idle="yes")

    assert idle_seconds(watched) >= LONG_AGO // 100


def test_another_pod_is_not_asked(pod: FakePod) -> None:
    done = pod.script("sandbox", "idle", "--pod-uid", "another")

    assert events(done.stdout)[-1]["cause"] == "WrongPod"
    assert done.returncode == 1


def test_a_command_that_came_by_exec_is_use_while_it_runs(watched: FakePod) -> None:
    with running(watched, "cat"):
        wait_for(lambda: watched.processes("cat$"))
        probe(watched)  # which sees that a process was started
        assert is_seen(watched)
        last_used_long_ago(watched)
        assert idle_seconds(watched) == 0
    probe(watched)
    assert not is_seen(watched)


def test_a_command_that_was_over_between_two_probes_is_use(watched: FakePod) -> None:
    last_used_long_ago(watched)
    watched.run("true")
    probe(watched)

    assert idle_seconds(watched) < LONG_AGO // 200


def test_a_command_that_was_over_before_the_question_is_use(watched: FakePod) -> None:
    last_used_long_ago(watched)
    watched.run("true")

    assert idle_seconds(watched) == 0


def test_what_an_exec_has_left_behind_is_no_use_once_it_only_waits(watched: FakePod) -> None:
    watched.run("sh", "-c", f"{BUSYBOX} setsid {BUSYBOX} sleep 600 </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: watched.processes("sleep 600"))
    probe(watched)

    assert not is_seen(watched)


@pytest.mark.parametrize("name", ["containerd-shim-runc-v2", "runc"])
def test_a_nested_container_is_use_while_it_runs(watched: FakePod, name: str) -> None:
    (watched.root / "fake" / name).write_bytes((watched.root / "opt/caisson/bin/busybox").read_bytes())
    (watched.root / "fake" / name).chmod(0o755)
    # The name that the kernel has of it is what it was started as; busybox goes by the name that it is given.
    watched.run("sh", "-c", f"{BUSYBOX} setsid {BUSYBOX} sh -c 'exec -a sleep /fake/{name} 600' >/dev/null 2>&1 &")
    wait_for(lambda: watched.processes("^sleep 600|sleep 600$"))
    probe(watched)

    assert is_seen(watched)


def test_a_connection_that_was_over_between_two_probes_is_use(watched: FakePod) -> None:
    with outside(watched, LISTEN):
        assert not is_seen(watched)
        last_used_long_ago(watched)
        with outside(watched, CONNECT, "127.0.0.1"):
            pass
        probe(watched)

        assert idle_seconds(watched) < LONG_AGO // 200


@pytest.mark.parametrize("listen", [LISTEN, LISTEN6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("address", "is_use"), [("10.9.8.7", True), ("127.0.0.1", False)])
def test_an_open_connection_is_use_where_it_comes_from_outside(
    watched: FakePod, listen: str, address: str, is_use: bool
) -> None:
    with outside(watched, listen), outside(watched, CONNECT, address):
        probe(watched)  # which sees that it was made

        assert is_seen(watched) is is_use


def test_a_connection_to_a_port_that_nothing_listens_on_any_more_is_no_use(watched: FakePod) -> None:
    """As those are that the sandbox itself has opened."""
    with outside(watched, ACCEPT), outside(watched, CONNECT, "10.9.8.7"):
        probe(watched)

        assert not is_seen(watched)
