"""What root in a sandbox can do to the in-pod state, to dockerd and to its machine, with the real toolbox in place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.faults.outcome import dockerds
from tests.hostile.conftest import batches, cases, fit, reason

KILL_DOCKERD = "/opt/caisson/bin/busybox kill -9 $(cut -d' ' -f1 /run/caisson/start-0/daemon)"


def is_ready_again(status: Json) -> bool:
    """Tell whether dockerd was restarted, and answers."""
    return condition(status, "Ready").get("status") == "True" and status["docker"]["restarts"] > 0


def is_ready(status: Json) -> bool:
    """Tell whether the Sandbox is Ready, whatever happened."""
    return condition(status, "Ready").get("status") == "True"


def is_told(status: Json) -> bool:
    """Tell whether the Sandbox is not Ready, with a crash to show for it, or was mended."""
    return "crash" in status and (condition(status, "Ready").get("status") == "False" or is_ready_again(status))


def is_ready_again_or_told(status: Json) -> bool:
    """Tell whether dockerd was restarted, told with its crash or, where its story is forged, without."""
    return is_ready_again(status) or is_lost_or_told(status)


def is_lost_or_told(status: Json) -> bool:
    """Tell whether the sandbox could not be made sense of, or the crash was told."""
    return reason(status) == "ExecFailed" or is_told(status)


def container_ended(status: Json) -> bool:
    """Tell whether the pod's container has ended, or the pod that followed is there."""
    return condition(status, "PodRunning").get("reason") in {"ContainerExited", "SandboxOOMKilled", "PodTerminating"}


@dataclass(frozen=True)
class Attack:
    """A script that root runs in a Sandbox that is Ready, and what the status says in the end."""

    script: str
    wanted: Callable[[Json], bool]
    spec: dict[str, Any] = field(default_factory=dict)
    waits: bool = True
    """Whether to wait for the script's end."""


ATTACKS: dict[str, Attack] = {
    # The state.
    # With the story of the first dockerd goes its crash. What matters is that there is one again, and one only.
    "state-deleted": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson", is_ready),
    "state-is-a-file": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson; echo x >/run/caisson", is_lost_or_told),
    "state-is-a-link": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson; ln -s /proc /run/caisson", is_lost_or_told),
    "state-is-a-link-to-nothing": Attack(
        f"{KILL_DOCKERD}; rm -rf /run/caisson; ln -s /nowhere /run/caisson", is_lost_or_told
    ),
    "state-is-a-fifo": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson; mkfifo /run/caisson", is_lost_or_told),
    "daemon-is-a-fifo": Attack(
        f"{KILL_DOCKERD}; rm /run/caisson/start-0/daemon; mkfifo /run/caisson/start-0/daemon", is_lost_or_told
    ),
    "lock-is-held": Attack(
        f"{KILL_DOCKERD}; /opt/caisson/bin/busybox setsid /opt/caisson/bin/busybox flock /run/caisson/lock"
        " /opt/caisson/bin/busybox sleep 100000 >/dev/null 2>&1 </dev/null &",
        is_lost_or_told,
    ),
    "lock-is-a-directory": Attack(f"{KILL_DOCKERD}; rm /run/caisson/lock; mkdir /run/caisson/lock", is_lost_or_told),
    "attempt-without-end": Attack(
        f"{KILL_DOCKERD}; mkdir /run/caisson/start-99999999999999999999999999", is_lost_or_told
    ),
    "attempts-by-the-hundred": Attack(
        f"{KILL_DOCKERD}; cd /run/caisson; i=1; while [ $i -lt 400 ]; do mkdir start-9$i; i=$((i+1)); done",
        is_ready_again_or_told,
    ),
    "a-pid-of-fifty-megabytes": Attack(
        f"{KILL_DOCKERD}; head -c 50000000 /dev/zero | tr '\\0' 1 >/run/caisson/start-0/daemon", is_lost_or_told
    ),
    "forged-as-alive": Attack(
        # Of init, which never ends.
        f"{KILL_DOCKERD}; read -r a b c d </run/caisson/start-0/daemon; rm -f /run/caisson/start-0/exit;"
        " echo \"1 $(cut -d' ' -f22 /proc/1/stat) $c $d\" >/run/caisson/start-0/daemon",
        # It fools its author, and nobody else.
        is_ready,
    ),
    "forged-exit-code": Attack(
        f"{KILL_DOCKERD}; sleep 0.5; echo '-99999999999' >/run/caisson/start-0/exit", is_lost_or_told
    ),
    "log-is-a-device": Attack(
        f"rm -f /run/caisson/start-0/stderr; ln -s /dev/zero /run/caisson/start-0/stderr; {KILL_DOCKERD}",
        is_lost_or_told,
    ),
    "log-of-two-hundred-megabytes": Attack(
        f"head -c 200000000 /dev/urandom >>/run/caisson/start-0/stderr; {KILL_DOCKERD}", is_lost_or_told
    ),
    # The daemon.
    "dockerd-killed": Attack(KILL_DOCKERD, is_ready_again),
    "socket-deleted": Attack(f"rm -f /var/run/docker.sock; {KILL_DOCKERD}", is_ready_again),
    "socket-is-a-liar": Attack(
        f"{KILL_DOCKERD}; rm -f /var/run/docker.sock; mkdir -p /var/run/docker.sock/x", is_lost_or_told
    ),
    "dockers-data-deleted": Attack(f"{KILL_DOCKERD}; rm -rf /var/lib/docker/*", is_lost_or_told),
    "its-hands-are-tied": Attack(
        f"echo 0 >/proc/sys/net/ipv4/ip_forward; /opt/caisson/bin/busybox ip link set lo down; {KILL_DOCKERD}", is_told
    ),
    # The machine.
    "init-killed": Attack(
        "for p in $(ls /proc | grep '^[0-9]*$'); do [ $p = $$ ] || kill -9 $p; done", container_ended, waits=False
    ),
    "disk-full": Attack(
        f"dd if=/dev/zero of=/var/lib/docker/full bs=1M 2>/dev/null; {KILL_DOCKERD}",
        is_told,
        {"docker": {"storage": {"memory": {"sizeLimit": "64Mi"}}, "restart": {"maxRetries": 0}}},
    ),
    "memory-hog": Attack("head -c 2000000000 /dev/zero | tail -c 2000000000 >/dev/null", container_ended, waits=False),
    # A thousand and no more: this machine has other work.
    "fork-bomb": Attack(
        f"i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done 2>/dev/null; {KILL_DOCKERD}",
        is_lost_or_told,
        waits=False,
    ),
}
IN_MAKE_TEST = (
    "state-deleted",
    "state-is-a-link",
    "state-is-a-fifo",
    "lock-is-held",
    "attempts-by-the-hundred",
    "socket-is-a-liar",
    "init-killed",
    "disk-full",
)


@pytest.fixture(scope="module")
def attacked(arena: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """A Sandbox for each attack, each Ready first, and then attacked."""
    for batch in batches(request):
        for name in batch:
            limits = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "64Mi"}}
            docker = {"startTimeoutSeconds": 15, "restart": {"maxRetries": 2}}
            arena.sandbox(name, **{"docker": docker, "resources": limits} | ATTACKS[name].spec)
        for name in batch:
            arena.until_ready(name)
        for name in batch:
            attack = ATTACKS[name]
            script = attack.script if attack.waits else f"({attack.script}) >/dev/null 2>&1 </dev/null &"
            arena("exec", name, "--", "sh", "-c", f"{script}\nexit 0", timeout=180)
    return arena


@pytest.mark.parametrize("name", cases(ATTACKS, IN_MAKE_TEST))
def test_an_attack_from_inside_costs_nobody_but_its_author(attacked: Kubectl, name: str) -> None:
    status = attacked.until(name, ATTACKS[name].wanted, "what this attack comes to", 240)
    fit(status)
    if is_ready(status) and name != "forged-as-alive":
        # Ready may be from before the attack: the probe is yet to come.
        eventually(lambda: len(dockerds(attacked, name)) == 1, lambda: f"{name} has {dockerds(attacked, name)}", 120)
    for event in attacked.events(name):
        fit(event)
    attacked("delete", "sbx", name, "--wait=false")


def test_what_was_attacked_can_be_deleted(attacked: Kubectl) -> None:
    attacked("delete", "sbx", "--all", "--wait=false")
    eventually(lambda: not attacked.get_all("pods"), lambda: "pods of attacked Sandboxes are there still", 240)
