"""When a changed status is written at once, when it may wait, and what is told beside it."""

from datetime import timedelta

from caisson.api.pool import SandboxPoolStatus
from caisson.api.reasons import ConditionType, Reason
from caisson.api.sandbox import SandboxStatus
from caisson.core.conditions import conditions
from caisson.core.verdict import verdict
from caisson.core.writing import may_wait_until, notices, pool_notices
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
    assert may_wait_until(SandboxStatus(), PENDING, NOW) is None


def test_progress_may_wait_a_moment_from_when_the_status_first_differed() -> None:
    due = may_wait_until(PENDING, STARTING, NOW)
    assert due is not None
    assert timedelta() < due - NOW < timedelta(seconds=10)


def test_what_is_good_or_bad_or_takes_ready_away_is_written_at_once() -> None:
    for old, new in ((PENDING, READY), (STARTING, CRASHED), (READY, STARTING), (CRASHED, READY)):
        assert may_wait_until(old, new, NOW) is None


def test_a_new_generation_is_acknowledged_at_once() -> None:
    assert may_wait_until(PENDING, STARTING.model_copy(update={"observed_generation": 2}), NOW) is None


def test_progress_is_not_told() -> None:
    assert not notices(SandboxStatus(), PENDING)
    assert not notices(CRASHED, STARTING)


def test_ready_is_told_once_as_normal() -> None:
    (told,) = notices(PENDING, READY)
    assert (told.level, told.reason, told.crash) == ("Normal", Reason.READY, None)
    assert not notices(READY, READY)


def test_a_crash_is_told_as_a_warning_with_its_reason() -> None:
    (told,) = notices(STARTING, CRASHED)
    assert (told.level, told.reason, told.crash) == ("Warning", Reason.DOCKERD_KILLED, CRASHED.crash)
    assert len(told.message.encode()) <= 1024


def test_a_second_crash_for_the_same_reason_is_told_again() -> None:
    sandbox = crashed_sandbox(**KILLED)
    decision = choose(sandbox, make_pod(), after(9), session=reported(failed_report(1, **KILLED), after(9)))
    (told,) = notices(sandbox.status, decision.status)
    assert told.crash == decision.status.crash


def test_a_recovery_does_not_tell_the_old_crash_again() -> None:
    sandbox = crashed_sandbox(**KILLED)
    decision = choose(sandbox, make_pod(), after(9), session=reported(ready_report(1), after(9)))
    (told,) = notices(sandbox.status, decision.status)
    assert (told.reason, told.crash) == (Reason.READY, None)
    assert not notices(written(sandbox, decision).status, decision.status)


def pool_status(reason: Reason) -> SandboxPoolStatus:
    found = verdict("True" if reason is Reason.POOL_READY else "False", reason)
    return SandboxPoolStatus(conditions=conditions(SandboxPoolStatus(), {ConditionType.READY: found}, 1, NOW))


def test_what_keeps_a_pool_from_being_full_is_told_once_and_so_is_that_nothing_does_any_more() -> None:
    filling, full = pool_status(Reason.POOL_FILLING), pool_status(Reason.POOL_READY)
    hindered = pool_status(Reason.IMAGE_PULL_FAILED)
    (told,) = pool_notices(filling, hindered, {}, NOW)
    assert (told.level, told.reason) == ("Warning", Reason.IMAGE_PULL_FAILED)
    trouble = {Reason.IMAGE_PULL_FAILED: NOW}
    assert not pool_notices(hindered, hindered, trouble, after(1))
    # On its way there it fills.
    for before in (hindered, filling):
        (told,) = pool_notices(before, full, trouble, after(1))
        assert (told.level, told.reason) == ("Normal", Reason.POOL_READY)
    assert not pool_notices(filling, full, trouble | {Reason.POOL_READY: after(1)}, after(2))


def test_a_trouble_of_a_pool_that_comes_and_goes_is_told_once_in_a_while() -> None:
    filling, hindered = pool_status(Reason.POOL_FILLING), pool_status(Reason.UNSCHEDULABLE)
    told = {Reason.UNSCHEDULABLE: NOW, Reason.POOL_READY: after(1)}
    assert not pool_notices(filling, hindered, told, after(60))
    assert pool_notices(filling, hindered, told, after(600))
    assert pool_notices(filling, pool_status(Reason.IMAGE_PULL_FAILED), told, after(60))


def test_that_a_pool_gives_and_fills_again_is_not_told() -> None:
    filling, full = pool_status(Reason.POOL_FILLING), pool_status(Reason.POOL_READY)
    assert not pool_notices(SandboxPoolStatus(), filling, {}, NOW)
    assert not pool_notices(filling, full, {}, NOW)
    assert not pool_notices(full, filling, {}, NOW)
