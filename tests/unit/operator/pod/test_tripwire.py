"""A pod that does not run on gVisor is deleted, and the next pod is delayed until the cause may be fixed."""

from pathlib import Path
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.config.model import Isolation, ToolboxDelivery
from caisson.kube.exec import ExecResult
from caisson.model.actions import (
    CreatePod,
    DeletePod,
    OpenSession,
    SessionPurpose,
)
from caisson.model.observed import ObservedState, PodEvents
from caisson.model.pod_snapshot import PodEvent, PodSnapshot
from caisson.model.report import FailureCause
from caisson.model.session import SessionLost, SessionReported
from caisson.model.tripwire import tripwire
from caisson.pod.manifest import render_pod
from caisson.pod.template_annotation import PodTemplateRecord
from caisson.pool.revision import placeholder_sandbox
from caisson.pool.warm_pod import PreloadState, WarmPodPhase, decide_warm_pod
from tests.unit.operator.builders import (
    CONFIG,
    NOW,
    POD_UID,
    after,
    choose,
    choose_by,
    ended_pod,
    failed_report,
    make_pod,
    make_sandbox,
    make_spec,
    pending_pod,
    ready_sandbox,
    reported,
    written,
)
from tests.unit.operator.model.test_report import b64, line
from tests.unit.operator.sessions import make_executor, make_sessions, settled

CHECKOUT = Path(__file__).parents[4]

EVENT = PodEvent("FailedCreatePodSandBox", "write /proc/sys/kernel/shm_rmid_forced: invalid argument", NOW)
TRIPPED: dict[str, Any] = {"pod_events": PodEvents(POD_UID, (EVENT,), after(2))}
RETRY_SECONDS = 600


def ready(sandbox: Sandbox) -> tuple[str, str]:
    """Return the status and the reason of the condition Ready."""
    condition = sandbox.status.condition("Ready")
    assert condition is not None
    return condition.status, condition.reason


def not_isolated(spec: dict[str, Any] | None = None) -> Sandbox:
    """Return a Sandbox whose status reports that its pod did not run on gVisor, observed 2 s after NOW."""
    sandbox = make_sandbox(make_spec(**(spec or {})))
    return written(sandbox, choose(sandbox, pending_pod(spec=sandbox.spec), after(2), **TRIPPED))


def test_status_is_written_before_the_pod_is_deleted() -> None:
    pod = pending_pod()
    first = choose(make_sandbox(), pod, after(2), **TRIPPED)
    assert first.plan.action is None
    sandbox = written(make_sandbox(), first)
    assert ready(sandbox) == ("False", Reason.NOT_GVISOR)
    isolated = sandbox.status.condition("Isolated")
    assert isolated is not None
    assert (isolated.status, isolated.reason) == ("False", Reason.NOT_GVISOR)
    assert choose(sandbox, pod, after(2), **TRIPPED).plan.action == DeletePod("demo", POD_UID)


def test_reason_remains_while_the_pod_terminates() -> None:
    sandbox = not_isolated()
    decision = choose(sandbox, pending_pod(terminating=True, deletion_deadline=after(33)), after(3))
    assert decision.status == sandbox.status
    assert decision.plan.action is None


def test_no_pod_is_created_until_the_retry_is_due() -> None:
    sandbox = not_isolated()
    decision = choose(sandbox, None, after(3))
    assert decision.status.conditions == sandbox.status.conditions
    assert decision.status.isolation_failure == sandbox.status.isolation_failure
    assert (decision.plan.action, decision.plan.requeue_at) == (None, after(2 + RETRY_SECONDS))
    due = choose(sandbox, None, after(2 + RETRY_SECONDS))
    assert isinstance(due.plan.action, CreatePod)
    assert due.status.isolation_failure is None


def test_changed_spec_creates_a_pod_immediately() -> None:
    sandbox = not_isolated()
    changed = sandbox.model_copy(update={"metadata": sandbox.metadata.model_copy(update={"generation": 2})})
    assert isinstance(choose(changed, None, after(3)).plan.action, CreatePod)


def test_other_runtime_class_creates_a_pod_immediately() -> None:
    """The spec sets none, and the administrator changes the default."""
    other = CONFIG.model_copy(update={"allowed_runtime_classes": ("gvisor-second",)})
    assert isinstance(choose_by(other, not_isolated(), None, after(3)).plan.action, CreatePod)
    named = not_isolated({"runtimeClassName": "gvisor-second"})
    assert choose_by(other, named, None, after(3)).plan.action is None


def test_failure_of_a_second_pod_is_recorded() -> None:
    sandbox = not_isolated()
    second = pending_pod(uid="second", created_at=after(700))
    tripped = PodEvents("second", (EVENT,), after(702))
    result = choose(sandbox, second, after(702), pod_events=tripped).status.isolation_failure
    assert result is not None
    assert (result.pod_uid, result.at) == ("second", after(702))


def test_pod_with_another_kernel_is_deleted() -> None:
    session = reported(failed_report(cause=FailureCause.NOT_GVISOR))
    sandbox = written(make_sandbox(), choose(make_sandbox(), make_pod(), session=session))
    assert ready(sandbox) == ("False", Reason.NOT_GVISOR)
    assert choose(sandbox, make_pod(), session=session).plan.action == DeletePod("demo", POD_UID)


def test_session_states_whether_the_kernel_was_verified() -> None:
    first = choose(make_sandbox(), make_pod()).plan.action
    assert isinstance(first, OpenSession)
    assert not first.is_verified
    unready = make_pod(ready=False, ready_changed_at=after(30))
    later = choose(ready_sandbox(), unready, after(3600)).plan.action
    assert isinstance(later, OpenSession)
    assert later.is_verified
    another = choose(ready_sandbox(), make_pod(uid="another"), after(3600)).plan.action
    assert isinstance(another, OpenSession)
    assert not another.is_verified


@pytest.mark.parametrize(("is_verified", "expected"), [(False, SessionReported), (True, SessionLost)])
async def test_report_of_a_different_kernel_is_a_lost_session(is_verified: bool, expected: type) -> None:
    executor = make_executor("demo")
    executor.answer("demo", ExecResult(1, line("failed", cause="NotGVisor", detail64=b64("Linux")), b""))
    sessions = make_sessions(executor)
    action = OpenSession("demo", POD_UID, "node", ("start",), 1, SessionPurpose.START, is_verified=is_verified)
    sessions.open("default", action)
    await settled(sessions)
    assert isinstance(sessions.of(POD_UID).session, expected)


def test_events_are_fetched_after_scheduling() -> None:
    """An autoscaler may take minutes to provide a node."""
    pod = pending_pod(scheduled_at=after(120))
    assert choose(make_sandbox(), pod, after(121)).plan.requeue_at == after(122)
    observed = PodEvents(POD_UID, (), after(122))
    assert choose(make_sandbox(), pod, after(122), pod_events=observed).plan.requeue_at == after(124)


def test_pod_stopped_by_its_gate_is_replaced_after_the_same_delay() -> None:
    pod = ended_pod(86, message="caisson-gate: NotGVisor: Linux 6.1")
    first = choose(make_sandbox(), pod)
    sandbox = written(make_sandbox(), first)
    assert ready(sandbox) == ("False", Reason.NOT_GVISOR)
    assert choose(sandbox, pod, after(RETRY_SECONDS - 1)).plan.action is None
    assert choose(sandbox, pod, after(RETRY_SECONDS)).plan.action == DeletePod("demo", POD_UID)


def test_pool_counts_such_a_pod_as_a_failure() -> None:
    sandbox = placeholder_sandbox("default", "demo", "pool", make_spec())
    pod: PodSnapshot = pending_pod(owner_uid="pool", pool="warm")
    observed = ObservedState(sandbox, pod, **TRIPPED)
    decision = decide_warm_pod(observed, PodTemplateRecord(make_spec(), ()), PreloadState(), CONFIG, after(2))
    assert decision.phase is WarmPodPhase.FAILED
    assert decision.problem is not None
    assert decision.problem.reason is Reason.NOT_GVISOR


def test_copied_toolbox_has_the_tripwire_and_the_gate() -> None:
    copied = CONFIG.model_copy(update={"toolbox_delivery": ToolboxDelivery.COPY})
    inner = render_pod(make_sandbox(), copied)["spec"]
    assert inner["securityContext"]["sysctls"] == tripwire()
    assert [container["name"] for container in inner["initContainers"]] == ["gate"]
    without = copied.model_copy(update={"isolation": Isolation.INIT_CONTAINER})
    assert "securityContext" not in render_pod(make_sandbox(), without)["spec"]


def test_admission_policies_compare_the_same_list() -> None:
    expected = str(tripwire())
    policies = (CHECKOUT / "manifests" / "install.yaml").read_text(encoding="utf-8")
    assert policies.count(expected) == policies.count("kernel.shm_rmid_forced") > 0
