"""When a changed status is written at once, when it may wait, and what is told beside it."""

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


def test_the_first_status_is_written_at_once() -> None:
    assert defer_write_until(SandboxStatus(), PENDING, NOW) is None


def test_progress_may_wait_a_moment_from_when_the_status_first_differed() -> None:
    due = defer_write_until(PENDING, STARTING, NOW)
    assert due is not None
    assert timedelta() < due - NOW < timedelta(seconds=10)


def test_what_is_good_or_bad_or_takes_ready_away_is_written_at_once() -> None:
    for old, new in ((PENDING, READY), (STARTING, CRASHED), (READY, STARTING), (CRASHED, READY)):
        assert defer_write_until(old, new, NOW) is None


def test_a_new_generation_is_acknowledged_at_once() -> None:
    assert defer_write_until(PENDING, STARTING.model_copy(update={"observed_generation": 2}), NOW) is None


def test_progress_is_not_told() -> None:
    assert not transition_events(SandboxStatus(), PENDING)
    assert not transition_events(CRASHED, STARTING)


def test_ready_is_told_once_as_normal() -> None:
    (reported_value,) = transition_events(PENDING, READY)
    assert (reported_value.level, reported_value.reason, reported_value.crash) == ("Normal", Reason.READY, None)
    assert not transition_events(READY, READY)


def test_a_crash_is_told_as_a_warning_with_its_reason() -> None:
    (reported_value,) = transition_events(STARTING, CRASHED)
    assert (reported_value.level, reported_value.reason, reported_value.crash) == (
        "Warning",
        Reason.DOCKERD_KILLED,
        CRASHED.crash,
    )
    assert len(reported_value.message.encode()) <= 1024


def test_a_second_crash_for_the_same_reason_is_told_again() -> None:
    sandbox = crashed_sandbox(**KILLED)
    decision = choose(sandbox, make_pod(), after(9), session=reported(failed_report(1, **KILLED), after(9)))
    (reported_value,) = transition_events(sandbox.status, decision.status)
    assert reported_value.crash == decision.status.crash


def test_a_recovery_does_not_tell_the_old_crash_again() -> None:
    sandbox = crashed_sandbox(**KILLED)
    decision = choose(sandbox, make_pod(), after(9), session=reported(ready_report(1), after(9)))
    (reported_value,) = transition_events(sandbox.status, decision.status)
    assert (reported_value.reason, reported_value.crash) == (Reason.READY, None)
    assert not transition_events(written(sandbox, decision).status, decision.status)


def pool_status(reason: Reason) -> SandboxPoolStatus:
    result = condition_result("True" if reason is Reason.POOL_READY else "False", reason)
    return SandboxPoolStatus(conditions=build_conditions(SandboxPoolStatus(), {ConditionType.READY: result}, 1, NOW))


def test_what_keeps_a_pool_from_being_full_is_told_once_and_so_is_that_nothing_does_any_more() -> None:
    filling, full = pool_status(Reason.POOL_FILLING), pool_status(Reason.POOL_READY)
    hindered = pool_status(Reason.IMAGE_PULL_FAILED)
    (reported_value,) = pool_events(filling, hindered, {}, NOW)
    assert (reported_value.level, reported_value.reason) == ("Warning", Reason.IMAGE_PULL_FAILED)
    trouble = {Reason.IMAGE_PULL_FAILED: NOW}
    assert not pool_events(hindered, hindered, trouble, after(1))
    # On its way there it fills.
    for before in (hindered, filling):
        (reported_value,) = pool_events(before, full, trouble, after(1))
        assert (reported_value.level, reported_value.reason) == ("Normal", Reason.POOL_READY)
    assert not pool_events(filling, full, trouble | {Reason.POOL_READY: after(1)}, after(2))


def test_a_trouble_of_a_pool_that_comes_and_goes_is_told_once_in_a_while() -> None:
    filling, hindered = pool_status(Reason.POOL_FILLING), pool_status(Reason.UNSCHEDULABLE)
    reported_value = {Reason.UNSCHEDULABLE: NOW, Reason.POOL_READY: after(1)}
    assert not pool_events(filling, hindered, reported_value, after(60))
    assert pool_events(filling, hindered, reported_value, after(600))
    assert pool_events(filling, pool_status(Reason.IMAGE_PULL_FAILED), reported_value, after(60))


def test_that_a_pool_gives_and_fills_again_is_not_told() -> None:
    filling, full = pool_status(Reason.POOL_FILLING), pool_status(Reason.POOL_READY)
    assert not pool_events(SandboxPoolStatus(), filling, {}, NOW)
    assert not pool_events(filling, full, {}, NOW)
    assert not pool_events(full, filling, {}, NOW)
