"""When a changed status is written, and which Events are recorded."""

from datetime import timedelta

from caisson.api.reasons import ConditionType, Reason
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.condition import build_conditions, condition_result
from caisson.status.events import pool_events, transition_events
from caisson.status.patch import defer_write_until
from tests.unit.operator.builders import (
    KILLED,
    NOW,
    RUNNING,
    after,
    choose,
    crashed_sandbox,
    failed_report,
    make_pod,
    make_sandbox,
    pending_pod,
    ready_report,
    ready_sandbox,
    reported,
    written,
)

PENDING = choose(make_sandbox(), pending_pod()).status
STARTING = choose(make_sandbox(), make_pod(), session=RUNNING).status
READY = ready_sandbox().status
CRASHED = crashed_sandbox(**KILLED).status


def test_first_status_is_written_immediately() -> None:
    assert defer_write_until(SandboxStatus(), PENDING, NOW) is None


def test_write_of_progress_is_deferred_briefly() -> None:
    due = defer_write_until(PENDING, STARTING, NOW)
    assert due is not None
    assert timedelta() < due - NOW < timedelta(seconds=10)


def test_success_and_failure_are_written_immediately() -> None:
    for old, new in ((PENDING, READY), (STARTING, CRASHED), (READY, STARTING), (CRASHED, READY)):
        assert defer_write_until(old, new, NOW) is None


def test_new_generation_is_acknowledged_immediately() -> None:
    assert defer_write_until(PENDING, STARTING.model_copy(update={"observed_generation": 2}), NOW) is None


def test_progress_records_no_event() -> None:
    assert not transition_events(SandboxStatus(), PENDING)
    assert not transition_events(CRASHED, STARTING)


def test_ready_records_one_normal_event() -> None:
    (event,) = transition_events(PENDING, READY)
    assert (event.level, event.reason, event.crash) == ("Normal", Reason.READY, None)
    assert not transition_events(READY, READY)


def test_crash_records_a_warning_with_its_reason() -> None:
    (event,) = transition_events(STARTING, CRASHED)
    assert (event.level, event.reason, event.crash) == (
        "Warning",
        Reason.DOCKERD_KILLED,
        CRASHED.crash,
    )
    assert len(event.message.encode()) <= 1024


def test_second_crash_with_the_same_reason_records_an_event() -> None:
    sandbox = crashed_sandbox(**KILLED)
    decision = choose(sandbox, make_pod(), after(9), session=reported(failed_report(1, **KILLED), after(9)))
    (event,) = transition_events(sandbox.status, decision.status)
    assert event.crash == decision.status.crash


def test_recovery_does_not_record_the_old_crash_again() -> None:
    sandbox = crashed_sandbox(**KILLED)
    decision = choose(sandbox, make_pod(), after(9), session=reported(ready_report(1), after(9)))
    (event,) = transition_events(sandbox.status, decision.status)
    assert (event.reason, event.crash) == (Reason.READY, None)
    assert not transition_events(written(sandbox, decision).status, decision.status)


def pool_status(reason: Reason) -> SandboxPoolStatus:
    result = condition_result("True" if reason is Reason.POOL_READY else "False", reason)
    return SandboxPoolStatus(conditions=build_conditions(SandboxPoolStatus(), {ConditionType.READY: result}, 1, NOW))


def test_pool_problem_and_its_recovery_are_recorded_once() -> None:
    filling, ready = pool_status(Reason.POOL_FILLING), pool_status(Reason.POOL_READY)
    failing = pool_status(Reason.IMAGE_PULL_FAILED)
    (event,) = pool_events(filling, failing, {}, NOW)
    assert (event.level, event.reason) == ("Warning", Reason.IMAGE_PULL_FAILED)
    recorded = {Reason.IMAGE_PULL_FAILED: NOW}
    assert not pool_events(failing, failing, recorded, after(1))
    # It may be filling in between.
    for before in (failing, filling):
        (event,) = pool_events(before, ready, recorded, after(1))
        assert (event.level, event.reason) == ("Normal", Reason.POOL_READY)
    assert not pool_events(filling, ready, recorded | {Reason.POOL_READY: after(1)}, after(2))


def test_recurring_pool_problem_is_recorded_at_intervals() -> None:
    filling, failing = pool_status(Reason.POOL_FILLING), pool_status(Reason.UNSCHEDULABLE)
    recorded = {Reason.UNSCHEDULABLE: NOW, Reason.POOL_READY: after(1)}
    assert not pool_events(filling, failing, recorded, after(60))
    assert pool_events(filling, failing, recorded, after(600))
    assert pool_events(filling, pool_status(Reason.IMAGE_PULL_FAILED), recorded, after(60))


def test_claims_and_refills_of_a_pool_record_no_event() -> None:
    filling, ready = pool_status(Reason.POOL_FILLING), pool_status(Reason.POOL_READY)
    assert not pool_events(SandboxPoolStatus(), filling, {}, NOW)
    assert not pool_events(filling, ready, {}, NOW)
    assert not pool_events(ready, filling, {}, NOW)
