"""Sandboxes whose root has mounted another toolbox over Caisson's, so that the in-pod script sends false reports.

False reports may affect only their own Sandbox, not the operator or other Sandboxes.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition
from tests.hostile.conftest import assert_safe, batches, cases, is_ready, reason

READY = (
    '{"event":"isolated","kernel64":"Z1Zpc29y"}\n'
    '{"event":"ready","attempt":0,"pid":PID,"retryCount":0,"readyAfterMilliseconds":1,"startedAt":1700000000,'
    '"info64":"INFO"}'
)


def print_text(text: str) -> str:
    """Return a script that prints a text and succeeds."""
    return f"printf '%s\\n' {shlex.quote(text)}"


def ready(pid: str = "7", info: str = "eyJzZXJ2ZXJWZXJzaW9uIjoiMjYifQ==") -> str:
    """Return a script that reports that dockerd is ready."""
    return print_text(READY.replace("PID", pid).replace("INFO", info))


def failed(stderr: str) -> str:
    """Return a script that reports a crash. `stderr` is a command that prints the alleged stderr of dockerd."""
    begin = shlex.quote('{"event":"failed","cause":"Exited","attempt":0,"pid":7,"exitCode":1,"stderr64":"')
    return f"printf '%s' {begin}; {stderr} | base64 -w 0; echo '\"}}'; exit 1"


def is_invalid(status: Json) -> bool:
    """Return whether the operator reports that the report is invalid."""
    return reason(status) == "ExecFailed"


def has_crash(status: Json) -> bool:
    """Return whether a crash is reported."""
    return "crash" in status


@dataclass(frozen=True)
class FalseReport:
    """A script that replaces the in-pod script, and a predicate for the final status."""

    script: str
    predicate: Callable[[Json], bool]
    seconds: float = 120.0


BILLION = "1" + "0" * 400
FALSE_REPORTS: dict[str, FalseReport] = {
    "nothing-at-all": FalseReport("exit 0", is_invalid),
    "no-json": FalseReport(print_text("hello"), is_invalid),
    "another-json": FalseReport(print_text('["event", "ready"]'), is_invalid),
    "half-a-line": FalseReport('printf \'{"event":"rea\'', is_invalid),
    "a-hundred-megabytes": FalseReport("head -c 104857600 /dev/zero", is_invalid),
    "a-hundred-megabytes-of-errors": FalseReport("head -c 104857600 /dev/zero >&2", is_invalid),
    "a-hundred-thousand-brackets": FalseReport("head -c 100000 /dev/zero | tr '\\0' '['; echo", is_invalid),
    "endless-numbers": FalseReport(ready(pid=BILLION), is_invalid),
    "a-negative-pid": FalseReport(ready(pid="-1"), is_invalid),
    "text-instead-of-numbers": FalseReport(ready(pid='"seven"'), is_invalid),
    "no-base64": FalseReport(ready(info="%%%"), is_invalid),
    "exit-code-of-invalid-arguments": FalseReport("printf '\\033[31mwrong\\n' >&2; exit 2", is_invalid),
    "exit-code-of-a-signal": FalseReport("kill -9 $$", is_invalid),
    "never-ends": FalseReport("sleep 100000", is_invalid, 240),
    "slow-endless-output": FalseReport("while :; do echo; sleep 1; done", is_invalid, 240),
    "many-lines": FalseReport(
        'i=0; while [ $i -lt 5000 ]; do echo "{\\"event\\":\\"progress\\"}"; i=$((i+1)); done', is_invalid
    ),
    # Each line is valid JSON in a separate frame.
    "many-numbers-one-by-one": FalseReport("i=0; while [ $i -lt 20000 ]; do echo 1; i=$((i+1)); done", is_invalid),
    "ready-without-a-daemon": FalseReport(ready(), is_ready),
    # {"serverVersion": ESC [ 2 J + 100 letters + a lone surrogate}
    "a-version-with-escapes": FalseReport(
        'info=$(printf \'{"serverVersion":"\\\\u001b[2J%0100d\\\\ud800"}\' 0 | base64 -w 0); '
        + ready(info="INFO64").replace("INFO64", "'\"$info\"'"),
        lambda status: is_ready(status) or is_invalid(status),
    ),
    "another-kernel": FalseReport(
        print_text('{"event":"failed","cause":"NotGVisor","detail64":"TGludXg="}') + "; exit 1",
        lambda status: is_invalid(status) and condition(status, "Isolated").get("status") == "True",
    ),
    "another-pod": FalseReport(
        print_text('{"event":"failed","cause":"WrongPod","detail64":""}') + "; exit 1", is_invalid
    ),
    "an-unknown-cause": FalseReport(print_text('{"event":"failed","cause":"Aliens"}') + "; exit 1", is_invalid),
    "a-crash-with-escapes": FalseReport(
        failed("printf '\\033[2J\\033]0;owned\\007\\000\\377\\376\\342\\200\\256no\\n'"), has_crash
    ),
    "a-crash-with-a-megabyte": FalseReport(failed("head -c 1048576 /dev/zero"), is_invalid),
    "a-crash-in-an-unknown-attempt": FalseReport(
        print_text('{"event":"failed","cause":"Exited","attempt":2147483647,"exitCode":1}') + "; exit 1", has_crash
    ),
}
assert len(FALSE_REPORTS) >= 20
IN_MAKE_TEST = (
    "nothing-at-all",
    "half-a-line",
    "a-hundred-megabytes",
    "endless-numbers",
    "many-numbers-one-by-one",
    "exit-code-of-a-signal",
    "ready-without-a-daemon",
    "another-kernel",
    "a-crash-with-escapes",
)

SHORT_TIMEOUT = json.dumps({"spec": {"docker": {"startTimeoutSeconds": 5, "restart": {"policy": "Never"}}}})
"""For scripts that never end. The first, genuine start has the default timeout."""
REPLACE = """
set -e
mkdir -p /evil/bin /evil/libexec
cp /opt/caisson/bin/busybox /evil/bin/
for tool in head tr printf base64 sleep kill echo; do ln -s busybox /evil/bin/$tool; done
{ echo 'export PATH=/evil/bin'; cat; } >/evil/libexec/sandbox
echo 'exit 1' >/evil/libexec/probe
mount --bind /evil /opt/caisson
"""


@pytest.fixture(scope="module")
def lying_sandboxes(arena: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """One Sandbox for each false report. Each becomes Ready before its in-pod script is replaced."""
    for batch in batches(request):
        for name in batch:
            resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
            arena.sandbox(name, resources=resources)
        for name in batch:
            arena.until_ready(name)
            arena("patch", "sbx", name, "--type=merge", "-p", SHORT_TIMEOUT)
            arena("exec", "-i", name, "--", "sh", "-c", REPLACE, stdin=FALSE_REPORTS[name].script + "\n")
    return arena


@pytest.mark.parametrize("name", cases(FALSE_REPORTS, IN_MAKE_TEST))
def test_false_report_affects_only_its_sandbox(lying_sandboxes: Kubectl, name: str) -> None:
    false_report = FALSE_REPORTS[name]
    status = lying_sandboxes.until(name, false_report.predicate, "the expected status", false_report.seconds)
    assert_safe(status)
    for event in lying_sandboxes.events(name):
        assert_safe(event)
    # No report of a sandbox makes the operator delete its pod.
    assert lying_sandboxes.get("pod", name)["metadata"]["uid"] == status["podUID"]
    lying_sandboxes("delete", "sbx", name, "--wait=false")
