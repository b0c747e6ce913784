"""Attacks by root in a sandbox on the in-pod state, dockerd and the machine, with the real toolbox."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.hostile.conftest import assert_safe, batches, cases, is_ready, reason

KILL_DOCKERD = "/opt/caisson/bin/busybox kill -9 $(cut -d' ' -f1 /run/caisson/start-0/daemon)"


def is_ready_again(status: Json) -> bool:
    """Return whether dockerd was restarted and the Sandbox is Ready."""
    return condition(status, "Ready").get("status") == "True" and status["docker"]["restarts"] > 0


def is_crash_reported(status: Json) -> bool:
    """Return whether a crash is reported, and the Sandbox is not Ready or was restarted."""
    return "crash" in status and (condition(status, "Ready").get("status") == "False" or is_ready_again(status))


def is_ready_again_or_reported(status: Json) -> bool:
    """Return whether dockerd was restarted or a failure is reported."""
    return is_ready_again(status) or is_failure_reported(status)


def is_failure_reported(status: Json) -> bool:
    """Return whether a crash or an invalid report of the in-pod script is reported."""
    return reason(status) == "ExecFailed" or is_crash_reported(status)


def container_ended(status: Json) -> bool:
    """Return whether the pod's container has ended, or the pod is terminating."""
    return condition(status, "PodRunning").get("reason") in {"ContainerExited", "SandboxOOMKilled", "PodTerminating"}


@dataclass(frozen=True)
class Attack:
    """A script that root runs in a Sandbox that is Ready, and a predicate for the final status."""

    script: str
    predicate: Callable[[Json], bool]
    spec: dict[str, Any] = field(default_factory=dict)
    wait: bool = True
    """Whether to wait until the script ends."""


ATTACKS: dict[str, Attack] = {
    # Attacks on the state.
    # The record of the first dockerd and its crash is lost, but there must be exactly one dockerd.
    "state-deleted": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson", is_ready),
    "state-is-a-file": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson; echo x >/run/caisson", is_failure_reported),
    "state-is-a-link": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson; ln -s /proc /run/caisson", is_failure_reported),
    "state-is-a-link-to-nothing": Attack(
        f"{KILL_DOCKERD}; rm -rf /run/caisson; ln -s /nowhere /run/caisson", is_failure_reported
    ),
    "state-is-a-fifo": Attack(f"{KILL_DOCKERD}; rm -rf /run/caisson; mkfifo /run/caisson", is_failure_reported),
    "daemon-is-a-fifo": Attack(
        f"{KILL_DOCKERD}; rm /run/caisson/start-0/daemon; mkfifo /run/caisson/start-0/daemon", is_failure_reported
    ),
    "lock-is-held": Attack(
        f"{KILL_DOCKERD}; /opt/caisson/bin/busybox setsid /opt/caisson/bin/busybox flock /run/caisson/lock"
        " /opt/caisson/bin/busybox sleep 100000 >/dev/null 2>&1 </dev/null &",
        is_failure_reported,
    ),
    "lock-is-a-directory": Attack(
        f"{KILL_DOCKERD}; rm /run/caisson/lock; mkdir /run/caisson/lock", is_failure_reported
    ),
    "attempt-without-end": Attack(
        f"{KILL_DOCKERD}; mkdir /run/caisson/start-99999999999999999999999999", is_failure_reported
    ),
    "hundreds-of-attempts": Attack(
        f"{KILL_DOCKERD}; cd /run/caisson; i=1; while [ $i -lt 400 ]; do mkdir start-9$i; i=$((i+1)); done",
        is_ready_again_or_reported,
    ),
    "a-pid-of-fifty-megabytes": Attack(
        f"{KILL_DOCKERD}; head -c 50000000 /dev/zero | tr '\\0' 1 >/run/caisson/start-0/daemon", is_failure_reported
    ),
    "forged-as-alive": Attack(
        # The PID and start time of init, which never ends.
        f"{KILL_DOCKERD}; read -r a b c d </run/caisson/start-0/daemon; rm -f /run/caisson/start-0/exit;"
        " echo \"1 $(cut -d' ' -f22 /proc/1/stat) $c $d\" >/run/caisson/start-0/daemon",
        # The attacker affects only its own Sandbox.
        is_ready,
    ),
    "forged-exit-code": Attack(
        f"{KILL_DOCKERD}; sleep 0.5; echo '-99999999999' >/run/caisson/start-0/exit", is_failure_reported
    ),
    "log-is-a-device": Attack(
        f"rm -f /run/caisson/start-0/stderr; ln -s /dev/zero /run/caisson/start-0/stderr; {KILL_DOCKERD}",
        is_failure_reported,
    ),
    "log-of-two-hundred-megabytes": Attack(
        f"head -c 200000000 /dev/urandom >>/run/caisson/start-0/stderr; {KILL_DOCKERD}", is_failure_reported
    ),
    # Attacks on dockerd.
    "dockerd-killed": Attack(KILL_DOCKERD, is_ready_again),
    "socket-deleted": Attack(f"rm -f /var/run/docker.sock; {KILL_DOCKERD}", is_ready_again),
    "socket-without-daemon": Attack(
        f"{KILL_DOCKERD}; rm -f /var/run/docker.sock; mkdir -p /var/run/docker.sock/x", is_failure_reported
    ),
    "docker-data-deleted": Attack(f"{KILL_DOCKERD}; rm -rf /var/lib/docker/*", is_failure_reported),
    "network-disabled": Attack(
        f"echo 0 >/proc/sys/net/ipv4/ip_forward; /opt/caisson/bin/busybox ip link set lo down; {KILL_DOCKERD}",
        is_crash_reported,
    ),
    # Attacks on the machine.
    "init-killed": Attack(
        "for p in $(ls /proc | grep '^[0-9]*$'); do [ $p = $$ ] || kill -9 $p; done", container_ended, wait=False
    ),
    "disk-full": Attack(
        f"dd if=/dev/zero of=/var/lib/docker/full bs=1M 2>/dev/null; {KILL_DOCKERD}",
        is_crash_reported,
        {"docker": {"storage": {"memory": {"sizeLimit": "64Mi"}}, "restart": {"maxRetries": 0}}},
    ),
    "memory-hog": Attack("head -c 2000000000 /dev/zero | tail -c 2000000000 >/dev/null", container_ended, wait=False),
    # Only a thousand processes, because the machine runs other tests.
    "fork-bomb": Attack(
        f"i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done 2>/dev/null; {KILL_DOCKERD}",
        is_failure_reported,
        wait=False,
    ),
}
IN_MAKE_TEST = (
    "state-deleted",
    "state-is-a-link",
    "state-is-a-fifo",
    "lock-is-held",
    "hundreds-of-attempts",
    "socket-without-daemon",
    "init-killed",
    "disk-full",
)


@pytest.fixture(scope="module")
def attacked(arena: Kubectl, request: pytest.FixtureRequest) -> Kubectl:
    """One Sandbox for each attack. Each becomes Ready before it is attacked."""
    for batch in batches(request):
        for name in batch:
            limits = {"limits": {"memory": "1Gi"}, "requests": {"cpu": "10m", "memory": "64Mi"}}
            docker = {"startTimeoutSeconds": 15, "restart": {"maxRetries": 2}}
            arena.sandbox(name, **{"docker": docker, "resources": limits} | ATTACKS[name].spec)
        for name in batch:
            arena.until_ready(name)
        for name in batch:
            attack = ATTACKS[name]
            script = attack.script if attack.wait else f"({attack.script}) >/dev/null 2>&1 </dev/null &"
            arena("exec", name, "--", "sh", "-c", f"{script}\nexit 0", timeout=180)
    return arena


@pytest.mark.parametrize("name", cases(ATTACKS, IN_MAKE_TEST))
def test_attack_from_inside_affects_only_its_sandbox(attacked: Kubectl, name: str) -> None:
    status = attacked.until(name, ATTACKS[name].predicate, "the expected status", 240)
    assert_safe(status)
    if is_ready(status) and name != "forged-as-alive":
        # The status may predate the attack until the next readiness probe.
        eventually(lambda: len(attacked.dockerds(name)) == 1, lambda: f"{name} has {attacked.dockerds(name)}", 120)
    for event in attacked.events(name):
        assert_safe(event)
    attacked("delete", "sbx", name, "--wait=false")


def test_attacked_sandboxes_can_be_deleted(attacked: Kubectl) -> None:
    attacked("delete", "sbx", "--all", "--wait=false")
    eventually(lambda: not attacked.get_all("pods"), lambda: "pods of attacked Sandboxes still exist", 240)
