"""Who is alive: pid and start time, read from a line that a process can write things into."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.toolbox.fakepod import TOOLBOX

LIBRARY = TOOLBOX / "libexec/lib/process.sh"

_NAMED = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
print(flush=True)
time.sleep(1000)
"""

_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print(flush=True)
time.sleep(9)
"""


def shell(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    busybox = shutil.which("busybox")
    assert busybox, "busybox is needed for these tests (Debian: apt-get install busybox-static)"
    command = [busybox, "sh", "-uc", f'. "{LIBRARY}"; {code}', "sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def start_time(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[19]


@pytest.fixture(params=["plain", "a b", "x) Z 1 (", "two\nlines", "((", ") S 1 1"])
def named(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", _NAMED, request.param], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_a_process_may_call_itself_what_it_likes(named: subprocess.Popen[str]) -> None:
    known = start_time(named.pid)

    seen = shell('read_process "$1" && echo "$process_pid $process_start"', str(named.pid))

    assert seen.stdout == f"{named.pid} {known}\n"
    assert shell('is_alive "$1" "$2"', str(named.pid), known).returncode == 0
    assert shell('is_alive "$1" "$2"', str(named.pid), str(int(known) + 1)).returncode == 1


def test_a_zombie_is_dead() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    time.sleep(0.05)
    try:
        assert shell('is_alive "$1" "$2"', str(child), start_time(child)).returncode == 1
    finally:
        os.waitpid(child, 0)


def test_nobody_is_dead() -> None:
    assert shell("is_alive 4194305 1").returncode == 1


def test_a_stranger_with_the_pid_is_not_ended(named: subprocess.Popen[str]) -> None:
    shell('end_process "$1" 1 1', str(named.pid))

    assert named.poll() is None


def test_ending_begins_gently_and_then_insists() -> None:
    with subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        shell('end_process "$1" "$2" 1', str(process.pid), start_time(process.pid))
        assert process.stdout.read() == "asked\n"
        assert process.wait() == -9


@pytest.mark.parametrize("text", ["", "-1", "1a", "1 2", "9" * 19, "0x1", "1\n2"])
def test_not_a_number(text: str) -> None:
    assert shell('is_number "$1"', text).returncode == 1


def test_the_uptime_is_in_hundredths() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    uptime = int(shell("uptime_now; echo $uptime").stdout)

    assert before - 0.02 <= uptime / 100 <= before + 5
