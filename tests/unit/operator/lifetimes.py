"""Helpers for the tests of lifetimes."""

from typing import Any

from caisson.api.reasons import ConditionType
from caisson.api.resources import Sandbox
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.actions import ChildKind
from caisson.model.session import IdleAnswer
from caisson.sandbox.state import Decision
from caisson.status.patch import as_json
from caisson.util.merge_patch import merge_patch
from tests.unit.operator.builders import (
    NOW,
    POD_UID,
    after,
    choose,
    ended_pod,
    make_pod,
    make_sandbox,
    make_spec,
    pending_pod,
    policy_of,
    ready_report,
    reported,
    written,
)

PORTS = [{"name": "web", "containerPort": 80}]


def sandbox_of(generation: int = 1, status: SandboxStatus | None = None, **spec: Any) -> Sandbox:
    """Make a Sandbox that was created NOW."""
    return make_sandbox(make_spec(**spec), status, creation_timestamp=NOW, generation=generation)


def ready(**spec: Any) -> Sandbox:
    """Make a Sandbox whose Docker became ready NOW."""
    sandbox = sandbox_of(**spec)
    return written(sandbox, choose(sandbox, make_pod(sandbox.spec), session=reported(ready_report())))


def edited(sandbox: Sandbox, **spec: Any) -> Sandbox:
    """Return the Sandbox with another spec."""
    return sandbox_of(sandbox.metadata.generation + 1, sandbox.status, **spec)


def reason(decision: Decision, type_: ConditionType = ConditionType.READY) -> str:
    """Return the reason of a condition that is False."""
    result = decision.status.condition(type_)
    assert result is not None
    assert result.status == "False"
    return result.reason


def message(decision: Decision) -> str:
    """Return the message of the condition Ready."""
    result = decision.status.condition(ConditionType.READY)
    assert result is not None
    return result.message


def answer(idle_seconds: float, at: float, **fields: Any) -> IdleAnswer:
    """Make an answer `at` seconds after NOW that reports the idle time."""
    return IdleAnswer(POD_UID, after(at), after(at - idle_seconds), **fields)


def settles(sandbox: Sandbox, decision: Decision) -> bool:
    """Report whether a decision would write nothing."""
    return not merge_patch(as_json(sandbox.status), as_json(decision.status))


ENDED = [
    make_pod(),
    pending_pod(),
    pending_pod(node=None, unschedulable="0/1 nodes are available"),
    ended_pod(),
    ended_pod(137, "OOMKilled"),
]


def both(sandbox: Sandbox, service: dict[str, Any] | None) -> dict[ChildKind, dict[str, Any]]:
    """Return the child objects of a Sandbox with a Service."""
    assert service is not None
    return {ChildKind.NETWORK_POLICY: policy_of(sandbox), ChildKind.SERVICE: service}
