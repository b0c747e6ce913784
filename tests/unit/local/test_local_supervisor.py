"""The supervisor. It runs in a separate process, because it reaps every child process."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local.supervisor import restart_delay

CHECKOUT = Path(__file__).parents[3]

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys, threading
    from pathlib import Path
    from local.parts import Part
    from local.supervisor import Supervisor

    logs = Path(sys.argv[1])
    parts = [
        Part("steady", ("/bin/sh", "-c", "echo up; exec sleep 60")),
        Part("crashing", ("/bin/sh", "-c", "exit 3")),
        Part("later", ("/bin/sh", "-c", "exec sleep 60"), after_api=True),
    ]
    answers = iter([False, False, True])
    signal.setitimer(signal.ITIMER_REAL, 60)  # ends the process if the test hangs
    if os.fork() == 0:
        import time
        time.sleep(1.2)
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(0)
    Supervisor(parts, logs=logs, environment={}, listener=0, api_is_ready=lambda: next(answers)).run()
    """
)


@pytest.mark.parametrize(("failures", "delay"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 10.0), (5000, 10.0)])
def test_restart_delay_doubles_up_to_a_limit(failures: int, delay: float) -> None:
    assert restart_delay(failures) == delay


def test_parts_start_in_order_restart_and_log(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path], cwd=CHECKOUT, capture_output=True, text=True, timeout=30, check=True
    )
    events = [json.loads(line) for line in result.stdout.splitlines()]
    reported = [(event["event"], event.get("part")) for event in events]
    assert reported[:2] == [("started", "steady"), ("started", "crashing")]
    assert reported.index(("API server ready", None)) < reported.index(("started", "later"))
    assert reported.count(("started", "steady")) == 1
    assert reported.count(("started", "crashing")) == 2
    assert {event["code"] for event in events if event["event"] == "ended"} == {3}
    assert reported[-1] == ("ending", None)
    assert (tmp_path / "steady.log").read_text() == "up\n"
