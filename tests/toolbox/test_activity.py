"""Idle detection: exec'd commands, nested containers and outside connections are use; our own processes are not."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.toolbox.fakepod import BUSYBOX, POD_UID, FakePod, events, wait_for

LONG_AGO = 6_000
"""In 1/100 s, as in the activity record. The clock starts at boot, which may have been only minutes ago."""


@pytest.fixture
def watched_pod(pod: FakePod) -> FakePod:
    """A pod with a running dockerd and idle detection, after two probes without use."""
    pod.start(idle="yes")
    probe(pod)
    probe(pod)
    return pod


def probe(pod: FakePod) -> None:
    assert pod.script("probe").returncode == 0


def idle_seconds(pod: FakePod) -> int:
    result = pod.script("sandbox", "idle", "--pod-uid", POD_UID)
    (event,) = events(result.stdout)
    assert event["event"] == "idle"
    return int(event["seconds"])


def age_last_use(pod: FakePod) -> None:
    """Set the last use to a time long ago, so that any later use can be detected."""
    record = pod.state / "activity"
    last, *rest = record.read_text().split()
    record.write_text(" ".join([str(max(0, int(last) - LONG_AGO)), *rest]) + "\n")


def is_used(pod: FakePod) -> bool:
    """Return whether the next probe detects use of the sandbox."""
    age_last_use(pod)
    probe(pod)
    return idle_seconds(pod) < LONG_AGO // 200


@contextmanager
def running(pod: FakePod, *command: str) -> Iterator[None]:
    """Run a command in the pod by exec inside the context."""
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
    """Run a script in the pod's network namespace, but outside its PID namespace."""
    subprocess.run(["nsenter", f"--target={pod.init}", "--net", "sh", "-c", _NETWORK], check=True)
    command = ["nsenter", f"--target={pod.init}", "--net", sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), "the script failed"
        yield
        process.kill()


def test_activity_is_not_recorded_by_default(pod: FakePod) -> None:
    pod.start()
    probe(pod)

    assert not (pod.state / "activity").exists()


def test_probes_and_idle_queries_are_not_use(watched_pod: FakePod) -> None:
    age_last_use(watched_pod)
    for _ in range(3):
        probe(watched_pod)
        idle_seconds(watched_pod)
    probe(watched_pod)

    assert idle_seconds(watched_pod) >= LONG_AGO // 100


def test_waiting_for_a_ready_dockerd_is_not_use(watched_pod: FakePod) -> None:
    age_last_use(watched_pod)
    assert watched_pod.start(idle="yes")[-1]["event"] == "ready"
    probe(watched_pod)
    probe(watched_pod)

    assert idle_seconds(watched_pod) >= LONG_AGO // 100


def test_first_idle_query_counts_as_use_and_starts_recording(pod: FakePod) -> None:
    pod.start()

    assert idle_seconds(pod) == 0
    assert not is_used(pod)


def test_invalid_activity_record_is_replaced(watched_pod: FakePod) -> None:
    (watched_pod.state / "activity").write_text("no number\n")

    assert idle_seconds(watched_pod) == 0
    assert not is_used(watched_pod)


def test_second_start_is_not_use(watched_pod: FakePod) -> None:
    age_last_use(watched_pod)
    watched_pod.start(1, idle="yes")

    assert idle_seconds(watched_pod) >= LONG_AGO // 100


def test_idle_query_for_another_pod_fails(pod: FakePod) -> None:
    result = pod.script("sandbox", "idle", "--pod-uid", "another")

    assert events(result.stdout)[-1]["cause"] == "WrongPod"
    assert result.returncode == 1


def test_exec_command_is_use_while_it_runs(watched_pod: FakePod) -> None:
    with running(watched_pod, "cat"):
        wait_for(lambda: watched_pod.processes("cat$"))
        probe(watched_pod)  # detects that a process was started
        assert is_used(watched_pod)
        age_last_use(watched_pod)
        assert idle_seconds(watched_pod) == 0
    probe(watched_pod)
    assert not is_used(watched_pod)


def test_exec_command_between_two_probes_is_use(watched_pod: FakePod) -> None:
    age_last_use(watched_pod)
    watched_pod.run("true")
    probe(watched_pod)

    assert idle_seconds(watched_pod) < LONG_AGO // 200


def test_exec_command_before_an_idle_query_is_use(watched_pod: FakePod) -> None:
    age_last_use(watched_pod)
    watched_pod.run("true")

    assert idle_seconds(watched_pod) == 0


def test_orphaned_exec_process_that_only_waits_is_not_use(watched_pod: FakePod) -> None:
    watched_pod.run("sh", "-c", f"{BUSYBOX} setsid {BUSYBOX} sleep 600 </dev/null >/dev/null 2>&1 &")
    wait_for(lambda: watched_pod.processes("sleep 600"))
    probe(watched_pod)

    assert not is_used(watched_pod)


@pytest.mark.parametrize("name", ["containerd-shim-runc-v2", "runc"])
def test_nested_container_is_use_while_it_runs(watched_pod: FakePod, name: str) -> None:
    (watched_pod.root / "fake" / name).write_bytes((watched_pod.root / "opt/caisson/bin/busybox").read_bytes())
    (watched_pod.root / "fake" / name).chmod(0o755)
    # The kernel's process name is the name of the executable; busybox selects its applet by argv[0].
    watched_pod.run("sh", "-c", f"{BUSYBOX} setsid {BUSYBOX} sh -c 'exec -a sleep /fake/{name} 600' >/dev/null 2>&1 &")
    wait_for(lambda: watched_pod.processes("^sleep 600|sleep 600$"))
    probe(watched_pod)

    assert is_used(watched_pod)


def test_connection_between_two_probes_is_use(watched_pod: FakePod) -> None:
    with outside(watched_pod, LISTEN):
        assert not is_used(watched_pod)
        age_last_use(watched_pod)
        with outside(watched_pod, CONNECT, "127.0.0.1"):
            pass
        probe(watched_pod)

        assert idle_seconds(watched_pod) < LONG_AGO // 200


@pytest.mark.parametrize("listen", [LISTEN, LISTEN6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(("address", "is_use"), [("10.9.8.7", True), ("127.0.0.1", False)])
def test_open_connection_is_use_if_it_comes_from_outside(
    watched_pod: FakePod, listen: str, address: str, is_use: bool
) -> None:
    with outside(watched_pod, listen), outside(watched_pod, CONNECT, address):
        probe(watched_pod)  # detects that the connection was accepted

        assert is_used(watched_pod) is is_use


def test_connection_to_a_port_without_listener_is_not_use(watched_pod: FakePod) -> None:
    """Connections that the sandbox itself opened look like this."""
    with outside(watched_pod, ACCEPT), outside(watched_pod, CONNECT, "10.9.8.7"):
        probe(watched_pod)

        assert not is_used(watched_pod)
