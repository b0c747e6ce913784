"""Properties of all decisions, for any sequence of observations."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from caisson.api.reasons import CRASH_REASONS, ConditionType, Reason
from caisson.api.resources import Sandbox
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.actions import (
    CreatePod,
    DeletePod,
    OpenSession,
    QueryIdleTime,
)
from caisson.model.failure import FailureStreak
from caisson.model.pod_snapshot import PodSnapshot
from caisson.model.report import FailureCause, Report
from caisson.model.session import (
    IdleAnswer,
    Session,
    SessionLost,
    SessionReported,
)
from caisson.sandbox.state import Decision
from caisson.status.events import transition_events
from caisson.status.patch import as_json, defer_write_until
from caisson.util.merge_patch import merge_patch
from tests.unit.operator.builders import (
    KILLED,
    NOW,
    POD_UID,
    RUNNING,
    choose,
    ended_pod,
    failed_report,
    make_pod,
    make_sandbox,
    make_spec,
    pending_pod,
    plain,
    ready_report,
    with_restart,
)

PODS = [
    None,
    make_pod(),
    make_pod(ready=False, ready_changed_at=NOW + timedelta(seconds=50)),
    make_pod(uid="another"),
    make_pod(owner_uid="somebody"),
    make_pod(owner_uid=None),
    make_pod(terminating=True),
    make_pod(phase="Unknown"),
    pending_pod(),
    ended_pod(3),
    ended_pod(137, "OOMKilled"),
    ended_pod(86, message="caisson-gate: NotGVisor: Linux"),
    replace(ended_pod(), terminated=None, reason="Evicted", message="The node was low on memory."),
]
SPECS = [
    make_spec(),
    plain(),
    with_restart("Never"),
    with_restart(max_retries=1),
    make_spec(image="alpine"),
    make_spec(suspend=True),
    make_spec(lifetime={"ttlSeconds": 20}),
    make_spec(lifetime={"ttlSeconds": 700, "onExpiry": "Suspend"}),
    make_spec(lifetime={"idleSeconds": 60}),
    make_spec(lifetime={"idleSeconds": 60, "onExpiry": "Suspend"}, suspend=True),
    make_spec(lifetime={"idleSeconds": 60, "ttlSeconds": 1000, "onExpiry": "Suspend"}),
]
REPORTS = [
    ready_report(),
    ready_report(1),
    ready_report(2**31 - 1, started_at_epoch_seconds=2**33),
    failed_report(),
    failed_report(1, **KILLED),
    failed_report(2**31 - 1, stderr="x" * 4096),
    failed_report(cause=FailureCause.NOT_GVISOR),
    replace(failed_report(), kernel=None),
    Report("gVisor"),
]


def session_of(value: object, at: datetime) -> Session | None:
    """Return the session of the pod for a drawn value."""
    if isinstance(value, int):
        return SessionLost(POD_UID, "it broke", at, value)
    return SessionReported(POD_UID, value, at) if isinstance(value, Report) else (RUNNING if value == "runs" else None)


@dataclass(frozen=True)
class Moment:
    """One observation, some seconds after the previous one."""

    seconds: float
    pod: PodSnapshot | None
    session: object
    spec: int
    failure: FailureStreak | None
    idle: int | None
    is_recorded: bool


_MOMENTS = st.builds(
    Moment,
    seconds=st.sampled_from([0, 0.1, 1, 5, 29, 700]),
    pod=st.sampled_from(PODS),
    session=st.sampled_from([None, "runs", 1, 3, 40, *REPORTS]),
    spec=st.sampled_from([0] * 5 + list(range(len(SPECS)))),
    failure=st.sampled_from([None, FailureStreak(Reason.POD_REJECTED, "no", 1, NOW, 3)]),
    idle=st.sampled_from([None, 0, 59, 60, 10**6, 2**31 - 1]),
    is_recorded=st.sampled_from([True, True, False]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_MOMENTS, max_size=8))
def test_decisions_are_valid_and_settle_once_written(moments: list[Moment]) -> None:
    sandbox, now, spec = make_sandbox(creation_timestamp=NOW), NOW, 0
    for moment in moments:
        now += timedelta(seconds=moment.seconds)
        generation = sandbox.metadata.generation + (moment.spec != spec)
        metadata, spec = sandbox.metadata.model_copy(update={"generation": generation}), moment.spec
        sandbox = sandbox.model_copy(update={"spec": SPECS[spec], "metadata": metadata})
        session = session_of(moment.session, now)
        is_ours = moment.pod is not None and moment.pod.uid == POD_UID
        answer = IdleAnswer(POD_UID, now, now - timedelta(seconds=moment.idle)) if moment.idle is not None else None
        observed: dict[str, Any] = {"session": session if is_ours else None, "idle": answer if is_ours else None}
        decision = choose(sandbox, moment.pod, now, create_failure=moment.failure, **observed)
        _check(sandbox, decision, now)
        if moment.is_recorded:
            sandbox = sandbox.model_copy(update={"status": _stored(decision.status)})
            if not isinstance(observed["session"], SessionReported):
                rest = choose(sandbox, moment.pod, now, create_failure=moment.failure, **observed)
                assert not merge_patch(as_json(sandbox.status), as_json(rest.status))
            elif decision.status.docker is not None:
                # The status contains the report of the session, so it must not change without the session.
                rest = choose(sandbox, moment.pod, now, idle=observed["idle"])
                assert not merge_patch(as_json(sandbox.status), as_json(rest.status))


def _stored(status: SandboxStatus) -> SandboxStatus:
    """Return a status after a round trip through JSON, as the API server stores it."""
    return SandboxStatus.model_validate(as_json(status))


def _check(sandbox: Sandbox, decision: Decision, now: datetime) -> None:
    status, plan = decision.status, decision.plan
    assert [c.type for c in status.conditions] == [str(type_) for type_ in ConditionType]
    assert as_json(_stored(status)) == as_json(status)
    assert all(len(c.message) < 4096 for c in status.conditions)
    ready = status.condition(ConditionType.READY)
    assert ready is not None
    if ready.status == "True":
        isolated = status.condition(ConditionType.ISOLATED)
        assert isolated is not None
        assert isolated.status == "True"
    if plan.requeue_at is not None:
        assert plan.requeue_at > now or plan.action is not None
    if status.crash is not None:
        assert status.crash.reason in CRASH_REASONS
    if isinstance(plan.action, OpenSession) and "--attempt" in plan.action.command:
        _check_attempt(status, plan.action)
    _check_end(sandbox, status, decision)
    defer_write_until(sandbox.status, status, now)
    transition_events(sandbox.status, status)


def _check_end(sandbox: Sandbox, status: SandboxStatus, decision: Decision) -> None:
    """Check that an expired Sandbox remains expired, and that a stopped Sandbox gets no pod."""
    before, after = (_has_expired(s) for s in (sandbox.status, status))
    assert after or not before
    if after or status.suspension is not None:
        assert not isinstance(decision.plan.action, CreatePod | OpenSession | QueryIdleTime)
    if after or (status.suspension is not None and status.suspension != sandbox.status.suspension):
        # The status is written before the pod is deleted.
        assert before or not isinstance(decision.plan.action, DeletePod)
    assert not (after and status.suspension)


def _has_expired(status: SandboxStatus) -> bool:
    ready = status.condition(ConditionType.READY)
    return ready is not None and ready.reason == Reason.EXPIRED


def _check_attempt(status: SandboxStatus, action: OpenSession) -> None:
    """Check that a start has a new number only after a crash."""
    attempt = int(action.command[action.command.index("--attempt") + 1])
    restarts = status.docker.restarts if status.docker is not None else 0
    restart = {status.crash.restart} if status.crash is not None and status.docker is not None else set()
    assert attempt in {restarts} | restart
