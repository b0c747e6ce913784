"""Sandboxes whose root has mounted a toolbox of its own over ours, so that the in-pod script says what it likes.

Such lies may fool their author. They must not cost the operator, or anybody else, anything.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition
from tests.hostile.conftest import batches, cases, fit, reason

READY = (
    '{"event":"isolated","kernel64":"Z1Zpc29y"}\n'
    '{"event":"ready","attempt":0,"pid":PID,"retryCount":0,"readyAfterMilliseconds":1,"startedAt":1700000000,'
    '"info64":"INFO"}'
)


def say(text: str) -> str:
    """Return a script that prints a text, and ends well."""
    return f"printf '%s\\n' {shlex.quote(text)}"


def ready(pid: str = "7", info: str = "eyJzZXJ2ZXJWZXJzaW9uIjoiMjYifQ==") -> str:
    """Return a script that claims to be ready."""
    return say(READY.replace("PID", pid).replace("INFO", info))


def failed(stderr: str) -> str:
    """Return a script that claims a crash; `stderr` is a command that prints what dockerd is to have said."""
    begin = shlex.quote('{"event":"failed","cause":"Exited","attempt":0,"pid":7,"exitCode":1,"stderr64":"')
    return f"printf '%s' {begin}; {stderr} | base64 -w 0; echo '\"}}'; exit 1"


def is_lost(status: Json) -> bool:
    """Tell whether the operator says that it can't make sense of the sandbox."""
    return reason(status) == "ExecFailed"


def is_ready(status: Json) -> bool:
    """Tell whether the Sandbox is Ready."""
    return condition(status, "Ready").get("status") == "True"


def has_crash(status: Json) -> bool:
    """Tell whether a crash was reported."""
    return "crash" in status


@dataclass(frozen=True)
class Lie:
    """What the script does, and what the status says in the end."""

    script: str
    wanted: Callable[[Json], bool]
    seconds: float = 120.0


BILLION = "1" + "0" * 400
LIES: dict[str, Lie] = {
    "nothing-at-all": Lie("exit 0", is_lost),
    "no-json": Lie(say("hello"), is_lost),
    "another-json": Lie(say('["event", "ready"]'), is_lost),
    "half-a-line": Lie('printf \'{"event":"rea\'', is_lost),
    "a-hundred-megabytes": Lie("head -c 104857600 /dev/zero", is_lost),
    "a-hundred-megabytes-of-errors": Lie("head -c 104857600 /dev/zero >&2", is_lost),
    "a-hundred-thousand-brackets": Lie("head -c 100000 /dev/zero | tr '\\0' '['; echo", is_lost),
    "numbers-without-end": Lie(ready(pid=BILLION), is_lost),
    "a-negative-pid": Lie(ready(pid="-1"), is_lost),
    "words-for-numbers": Lie(ready(pid='"seven"'), is_lost),
    "no-base64": Lie(ready(info="%%%"), is_lost),
    "exit-code-of-a-wrong-call": Lie("printf '\\033[31mwrong\\n' >&2; exit 2", is_lost),
    "exit-code-of-a-signal": Lie("kill -9 $$", is_lost),
    "never-ends": Lie("sleep 100000", is_lost, 240),
    "drips-for-ever": Lie("while :; do echo; sleep 1; done", is_lost, 240),
    "many-lines": Lie('i=0; while [ $i -lt 5000 ]; do echo "{\\"event\\":\\"progress\\"}"; i=$((i+1)); done', is_lost),
    # Each line in a frame of its own, and each of them JSON.
    "many-numbers-one-by-one": Lie("i=0; while [ $i -lt 20000 ]; do echo 1; i=$((i+1)); done", is_lost),
    "ready-without-a-daemon": Lie(ready(), is_ready),
    # {"serverVersion": ESC [ 2 J + 100 letters + a lone surrogate}
    "a-version-with-escapes": Lie(
        'info=$(printf \'{"serverVersion":"\\\\u001b[2J%0100d\\\\ud800"}\' 0 | base64 -w 0); '
        + ready(info="INFO64").replace("INFO64", "'\"$info\"'"),
        lambda status: is_ready(status) or is_lost(status),
    ),
    "another-kernel": Lie(
        say('{"event":"failed","cause":"NotGVisor","detail64":"TGludXg="}') + "; exit 1",
        lambda status: is_lost(status) and condition(status, "Isolated").get("status") == "True",
    ),
    "another-pod": Lie(say('{"event":"failed","cause":"WrongPod","detail64":""}') + "; exit 1", is_lost),
    "an-unknown-cause": Lie(say('{"event":"failed","cause":"Aliens"}') + "; exit 1", is_lost),
    "a-crash-with-escapes": Lie(
        failed("printf '\\033[2J\\033]0;owned\\007\\000\\377\\376\\342\\200\\256no\\n'"), has_crash
    ),
    "a-crash-with-a-megabyte": Lie(failed("head -c 1048576 /dev/zero"), is_lost),
    "a-crash-in-an-unknown-attempt": Lie(
        say('{"event":"failed","cause":"Exited","attempt":2147483647,"exitCode":1}') + "; exit 1", has_crash
    ),
}
assert len(LIES) >= 20
IN_MAKE_TEST = (
    "nothing-at-all",
    "half-a-line",
    "a-hundred-megabytes",
    "numbers-without-end",
    "many-numbers-one-by-one",
    "exit-code-of-a-signal",
    "ready-without-a-daemon",
    "another-kernel",
    "a-crash-with-escapes",
)

FROM_NOW_ON = json.dumps({"spec": {"docker": {"startTimeoutSeconds": 5, "restart": {"policy": "Never"}}}})
"""For those that never end. The first start, which is an honest one, may take its time."""
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
def liars(arena: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """A Sandbox for each lie, each Ready first, and lying from then on."""
    for batch in batches(request):
        for name in batch:
            resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}
            arena.sandbox(name, resources=resources)
        for name in batch:
            arena.until_ready(name)
            arena("patch", "sbx", name, "--type=merge", "-p", FROM_NOW_ON)
            arena("exec", "-i", name, "--", "sh", "-c", REPLACE, stdin=LIES[name].script + "\n")
    return arena


@pytest.mark.parametrize("name", cases(LIES, IN_MAKE_TEST))
def test_a_lie_costs_nobody_but_its_author(liars: Kubectl, name: str) -> None:
    lie = LIES[name]
    status = liars.until(name, lie.wanted, "what this lie comes to", lie.seconds)
    fit(status)
    for event in liars.events(name):
        fit(event)
    # Its pod is left alone: nothing a sandbox says makes the operator delete it.
    assert liars.get("pod", name)["metadata"]["uid"] == status["podUID"]
    liars("delete", "sbx", name, "--wait=false")
