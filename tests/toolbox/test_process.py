"""Process identification by PID and start time, from /proc/PID/stat, whose name field a process can choose."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.toolbox.fakepod import TOOLBOX

LIBRARY = TOOLBOX / "libexec/lib/process.sh"

_RENAMED = """
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)
print(flush=True)
time.sleep(1000)
"""

_STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("terminated", flush=True))
print(flush=True)
time.sleep(9)
"""


def shell(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    busybox = shutil.which("busybox")
    assert busybox, "these tests require busybox (Debian: apt-get install busybox-static)"
    command = [busybox, "sh", "-uc", f'. "{LIBRARY}"; {code}', "sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)


def start_time(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        return stat.read().rpartition(")")[2].split()[19]


@pytest.fixture(params=["plain", "a b", "x) Z 1 (", "two\nlines", "((", ") S 1 1"])
def renamed_process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", _RENAMED, request.param], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_process_name_does_not_confuse_the_parser(renamed_process: subprocess.Popen[str]) -> None:
    started_at = start_time(renamed_process.pid)

    process_info = shell('read_process "$1" && echo "$process_pid $process_start"', str(renamed_process.pid))

    assert process_info.stdout == f"{renamed_process.pid} {started_at}\n"
    assert shell('is_alive "$1" "$2"', str(renamed_process.pid), started_at).returncode == 0
    assert shell('is_alive "$1" "$2"', str(renamed_process.pid), str(int(started_at) + 1)).returncode == 1


def test_zombie_is_not_alive() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    try:
        assert shell('is_alive "$1" "$2"', str(child), start_time(child)).returncode == 1
    finally:
        os.waitpid(child, 0)


def test_nonexistent_process_is_not_alive() -> None:
    assert shell("is_alive 4194305 1").returncode == 1


def test_another_process_with_the_same_pid_is_not_ended(renamed_process: subprocess.Popen[str]) -> None:
    shell('end_process "$1" 1 1', str(renamed_process.pid))

    assert renamed_process.poll() is None


def test_process_is_terminated_then_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _STUBBORN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        shell('end_process "$1" "$2" 1', str(process.pid), start_time(process.pid))
        assert process.stdout.read() == "terminated\n"
        assert process.wait() == -9


@pytest.mark.parametrize("text", ["", "-1", "1a", "1 2", "9" * 19, "0x1", "1\n2"])
def test_is_number_rejects(text: str) -> None:
    assert shell('is_number "$1"', text).returncode == 1


def test_uptime_is_in_hundredths_of_a_second() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    uptime = int(shell("uptime_now; echo $uptime").stdout)

    assert before - 0.02 <= uptime / 100 <= before + 5
