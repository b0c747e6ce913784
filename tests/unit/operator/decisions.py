"""Helpers for the tests of decisions."""

from typing import Any

from caisson.api.reasons import ConditionType, Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.sandbox import SandboxSpec
from caisson.model.actions import OpenSession
from caisson.model.condition import condition_result
from caisson.sandbox.state import Decision
from caisson.status.patch import as_json
from caisson.util.merge_patch import merge_patch
from tests.unit.operator.builders import (
    choose,
    failed_report,
    make_pod,
    make_sandbox,
    make_spec,
    ready_sandbox,
    reported,
    written,
)


def reason(decision: Decision, type_: ConditionType = ConditionType.READY) -> tuple[str, str]:
    """Return the status and the reason of a condition."""
    result = decision.status.condition(type_)
    assert result is not None
    return result.status, result.reason


def message(decision: Decision, type_: str) -> str:
    """Return the message of a condition."""
    result = decision.status.condition(type_)
    assert result is not None
    return result.message


def with_spec(sandbox: Sandbox, *, generation: int, **spec: Any) -> Sandbox:
    """Return a Sandbox with another spec and generation."""
    metadata = sandbox.metadata.model_copy(update={"generation": generation})
    return sandbox.model_copy(update={"metadata": metadata, "spec": make_spec(**spec)})


SKEW: dict[str, Any] = {"spec_hash": "0123456789abcdef"}


SKEWED = make_pod(**SKEW)
"""A pod created by another version of Caisson, which reads the same spec differently."""


def skewed_sandbox() -> Sandbox:
    """Return a Sandbox with a skewed pod, after a decision of this version."""
    before = ready_sandbox()
    return written(before, choose(before, SKEWED))


def pod_unreadable_for_a_moment(sandbox: Sandbox, **pod: Any) -> Sandbox:
    """Return a Sandbox with its status while its pod can't be read."""
    problem = condition_result("Unknown", Reason.NAMESPACE_OVER_LIMIT, external_message="Pod demo")
    return written(sandbox, choose(sandbox, make_pod(**pod), unreadable=problem))


def attempt(decision: Decision) -> int:
    """Return the number of the start in a decision."""
    action = decision.plan.action
    assert isinstance(action, OpenSession)
    return int(action.command[action.command.index("--attempt") + 1])


def settled(sandbox: Sandbox, decision: Decision) -> bool:
    """Report whether a decision would write nothing."""
    return not merge_patch(as_json(sandbox.status), as_json(decision.status))


def _failed_times(times: int, spec: SandboxSpec) -> Sandbox:
    """Return a Sandbox whose dockerd failed `times` times in a row, the last time at NOW."""
    sandbox = make_sandbox(spec)
    for number in range(times):
        decision = choose(sandbox, make_pod(spec), session=reported(failed_report(number)))
        sandbox = written(sandbox, decision)
    return sandbox


def _crash_restart(sandbox: Sandbox) -> int:
    assert sandbox.status.crash is not None
    return sandbox.status.crash.restart
