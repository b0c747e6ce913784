"""The state of dockerd: starts, crashes, checks of a ready daemon, and lost sessions."""

from typing import Any

import pytest

from caisson.api.reasons import EXPLANATIONS, ConditionType, Reason, guidance
from caisson.api.spec.sandbox import SandboxSpec
from caisson.model.actions import DeletePod
from caisson.model.report import FailureCause, Report, StartFailed
from caisson.status.patch import as_json
from tests.unit.operator.builders import (
    KILLED,
    POD_UID,
    RUNNING,
    after,
    choose,
    crashed_sandbox,
    failed_report,
    lost,
    make_pod,
    make_sandbox,
    make_spec,
    ready_report,
    ready_sandbox,
    reported,
    with_restart,
    written,
)
from tests.unit.operator.decisions import _crash_restart, _failed_times, attempt, message, reason, settled

NO_IDEA = ": failed to start daemon: no idea"


class TestStart:
    """The start of dockerd, which must never happen twice."""

    def test_first_start_is_attempt_0(self) -> None:
        decision = choose(make_sandbox(), make_pod())
        assert attempt(decision) == 0
        assert reason(decision, ConditionType.DOCKER_READY) == ("False", Reason.DOCKER_STARTING)
        assert reason(decision, ConditionType.ISOLATED) == ("Unknown", Reason.NOT_VERIFIED)

    def test_running_session_blocks_other_actions(self) -> None:
        decision = choose(make_sandbox(), make_pod(), session=RUNNING)
        assert decision.plan.action is None
        assert reason(decision, ConditionType.DOCKER_READY) == ("False", Reason.DOCKER_STARTING)

    def test_successful_report_makes_the_sandbox_ready(self) -> None:
        decision = choose(make_sandbox(), make_pod(), session=reported(ready_report(retry_count=3)))
        assert [reason(decision, type_) for type_ in ConditionType] == [
            ("True", Reason.POD_RUNNING),
            ("True", Reason.GVISOR),
            ("True", Reason.DOCKER_READY),
            ("True", Reason.READY),
        ]
        docker = decision.status.docker
        assert docker is not None
        assert (docker.version, docker.storage_driver, docker.pid) == ("28.5.1", "overlay2", 40)
        assert (docker.retry_count, docker.ready_after_milliseconds, docker.restarts) == (3, 700, 0)
        assert decision.status.crash is None

    def test_ready_sandbox_needs_no_action(self) -> None:
        sandbox = ready_sandbox()
        decision = choose(sandbox, make_pod(), after(3600))
        assert decision.plan.action is None
        assert decision.plan.requeue_at is None
        assert settled(sandbox, decision)

    def test_restarted_operator_continues_the_same_attempt(self) -> None:
        sandbox = make_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), session=RUNNING))
        assert attempt(choose(sandbox, make_pod())) == 0

    def test_docker_is_not_started_without_gvisor(self) -> None:
        sandbox = make_sandbox()
        report = Report(None, StartFailed(FailureCause.NOT_GVISOR))
        first = choose(sandbox, make_pod(), session=reported(report))
        later = choose(written(sandbox, first), make_pod(), after(999))
        assert reason(first) == reason(later) == ("False", Reason.NOT_GVISOR)
        assert first.plan.action is None
        assert later.plan.action == DeletePod("demo", POD_UID)

    def test_new_pod_starts_with_attempt_0_and_keeps_the_crash(self) -> None:
        sandbox = crashed_sandbox(**KILLED)
        decision = choose(sandbox, make_pod(uid="another"), after(60))
        assert attempt(decision) == 0
        assert decision.status.crash == sandbox.status.crash
        assert decision.status.docker is None


class TestCrash:
    """A failed dockerd is reported immediately, and restarted if that can help."""

    def test_crash_reports_all_details(self) -> None:
        decision = choose(make_sandbox(), make_pod(), session=reported(failed_report(), after(0.7)))
        crash = decision.status.crash
        assert crash is not None
        assert (crash.reason, crash.exit_code, crash.pid, crash.restart) == (Reason.DOCKERD_EXITED, 1, 40, 1)
        assert crash.stderr == "failed to start daemon: no idea\n"
        assert crash.hint == guidance(Reason.DOCKERD_EXITED)
        assert reason(decision) == reason(decision, ConditionType.DOCKER_READY) == ("False", Reason.DOCKERD_EXITED)

    @pytest.mark.parametrize(
        ("spec", "report", "quote", "detail"),
        [
            (None, {}, NO_IDEA, "Exit code 1. Restart 1 of 5 follows after a back-off."),
            (None, KILLED, "", "Exit code 137. Restart 1 of 5 follows after a back-off."),
            (None, KILLED | {"stderr": "unrelated"}, "", "Exit code 137. Restart 1 of 5 follows after a back-off."),
            (None, {"exit_code": None, "stderr": ""}, "", "Restart 1 of 5 follows after a back-off."),
            (
                with_restart("Never"),
                {},
                NO_IDEA,
                "Exit code 1. No restart follows: spec.docker.restart.policy is Never.",
            ),
            (
                with_restart(max_retries=0),
                {},
                NO_IDEA,
                "Exit code 1. No restart follows: spec.docker.restart.maxRetries is 0.",
            ),
            (None, {"stderr": "unknown flag: --nonsense"}, ": unknown flag: --nonsense", "Exit code 1."),
            (
                None,
                {"stderr": "", "stdout": "a wrapper"},
                ": a wrapper",
                "Exit code 1. Restart 1 of 5 follows after a back-off.",
            ),
        ],
        ids=["restart", "killed", "killed-with-stderr", "no-exit-code", "never", "no-retries", "permanent", "stdout"],
    )
    def test_message_reports_what_failed_and_what_follows(
        self, spec: SandboxSpec | None, report: dict[str, Any], quote: str, detail: str
    ) -> None:
        decision = choose(make_sandbox(spec), make_pod(spec), session=reported(failed_report(**report)))
        explanation = EXPLANATIONS[Reason(reason(decision, ConditionType.DOCKER_READY)[1])]
        expected = f"{explanation.meaning.removesuffix('.')}{quote}. {detail} {explanation.next_step}"
        assert message(decision, ConditionType.DOCKER_READY) == expected.strip()

    def test_restart_in_progress_reports_its_number(self) -> None:
        decision = choose(crashed_sandbox(), make_pod(), after(1), session=RUNNING)
        assert "After" not in message(decision, ConditionType.DOCKER_READY)
        second = choose(crashed_sandbox(), make_pod(), after(2), session=reported(failed_report(1, **KILLED), after(2)))
        running = choose(written(crashed_sandbox(), second), make_pod(), after(5), session=RUNNING)
        assert "After 1 restarts." in message(running, ConditionType.DOCKER_READY)

    def test_same_report_counts_once(self) -> None:
        observed = reported(failed_report())
        first = choose(make_sandbox(), make_pod(), session=observed)
        again = choose(make_sandbox(), make_pod(), after(0.5), session=observed)
        assert first.status.docker is not None
        assert first.status.docker.failures == 1
        assert as_json(first.status) == as_json(again.status)

    def test_restart_waits_for_the_back_off_and_has_the_next_number(self) -> None:
        sandbox = crashed_sandbox()
        early, late = choose(sandbox, make_pod(), after(0.9)), choose(sandbox, make_pod(), after(1))
        assert (early.plan.action, early.plan.requeue_at) == (None, after(1))
        assert settled(sandbox, early)
        assert attempt(late) == 1

    @pytest.mark.parametrize(("failures", "pause"), [(1, 1), (2, 2), (5, 16), (30, 300)])
    def test_back_off_doubles_up_to_five_minutes(self, failures: int, pause: int) -> None:
        sandbox = _failed_times(failures, with_restart(max_retries=100))
        assert choose(sandbox, make_pod()).plan.requeue_at == after(pause)

    def test_last_failed_retry_is_final(self) -> None:
        spec = with_restart(max_retries=2)
        second, third = _failed_times(2, spec), _failed_times(3, spec)
        assert _crash_restart(second) == 2
        assert _crash_restart(third) == 0
        decision = choose(third, make_pod(spec), after(86400))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, None)

    def test_raised_max_retries_applies_in_place(self) -> None:
        final = _failed_times(3, with_restart(max_retries=2))
        raised = final.model_copy(update={"spec": with_restart(max_retries=3)})
        decision = choose(raised, make_pod(raised.spec), after(86400))
        assert attempt(decision) == 3

    @pytest.mark.parametrize(
        ("spec", "stderr"),
        [
            (with_restart("Never"), "no idea"),
            (with_restart(max_retries=0), "no idea"),
            (make_spec(), "unknown flag: --nonsense"),
        ],
        ids=["policy-never", "no-retries", "permanent-failure"],
    )
    def test_no_restart_follows(self, spec: SandboxSpec, stderr: str) -> None:
        sandbox = crashed_sandbox(spec=spec, stderr=stderr)
        assert _crash_restart(sandbox) == 0
        decision = choose(sandbox, make_pod(spec), after(86400))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, None)
        assert settled(sandbox, decision)

    def test_recovery_keeps_the_crash_and_counts_the_restart(self) -> None:
        sandbox = crashed_sandbox()
        decision = choose(sandbox, make_pod(), after(5), session=reported(ready_report(1), after(5)))
        assert reason(decision) == ("True", Reason.READY)
        assert decision.status.crash == sandbox.status.crash
        assert decision.status.docker is not None
        assert (decision.status.docker.restarts, decision.status.docker.failures) == (1, 1)

    @pytest.mark.parametrize(("seconds", "failures"), [(540, 2), (600, 2), (601, 1)])
    def test_more_than_ten_ready_minutes_reset_the_count(self, seconds: int, failures: int) -> None:
        sandbox = crashed_sandbox()
        recovered = ready_report(1, started_at_epoch_seconds=int(after(1).timestamp()))
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(2), session=reported(recovered, after(2))))
        failed_at = after(2 + seconds)
        decision = choose(sandbox, make_pod(), failed_at, session=reported(failed_report(1, **KILLED), failed_at))
        assert decision.status.docker is not None
        assert decision.status.docker.failures == failures
        assert decision.status.crash is not None
        assert (decision.status.crash.reason, decision.status.crash.signal) == (Reason.DOCKERD_KILLED, 9)
        assert decision.status.crash.restart == 2

    def test_sandbox_can_not_forge_ready_minutes(self) -> None:
        sandbox = ready_sandbox(started_at_epoch_seconds=0)
        for number in range(1, 4):
            decision = choose(sandbox, make_pod(), after(30), session=reported(failed_report(**KILLED), after(30)))
            assert decision.status.docker is not None
            assert decision.status.docker.failures == number
            forged = reported(ready_report(started_at_epoch_seconds=0), after(31))
            sandbox = written(sandbox, decision)
            sandbox = written(sandbox, choose(sandbox, make_pod(), after(31), session=forged))

    def test_restarted_operator_continues_a_restart_with_its_number(self) -> None:
        """The status records that the restart began, so the next operator must not query the failed attempt."""
        sandbox = crashed_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(4), session=RUNNING))
        assert attempt(choose(sandbox, make_pod(), after(5))) == 1

    def test_lost_session_retries_a_restart_with_its_number(self) -> None:
        sandbox = crashed_sandbox()
        decision = choose(sandbox, make_pod(), after(10), session=lost(1, after(5)))
        assert attempt(decision) == 1

    def test_start_of_a_restarted_daemon_has_its_own_number(self) -> None:
        """The daemon that became ready was the restart: a later check is about this one, not about another."""
        sandbox = crashed_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(5), session=reported(ready_report(1), after(5))))
        decision = choose(sandbox, make_pod(ready=False, ready_changed_at=after(100)), after(110))
        assert attempt(decision) == 1

    def test_crash_is_written_before_the_restart(self) -> None:
        """While the API server rejected writes, the restart became due. The report must be written first."""
        decision = choose(make_sandbox(), make_pod(), after(60), session=reported(failed_report()))
        assert decision.plan.action is None


class TestAfterReady:
    """A ready dockerd is checked when the kubelet reports it as unready."""

    def test_unready_pod_is_checked_soon(self) -> None:
        sandbox = ready_sandbox()
        pod = make_pod(ready=False, ready_changed_at=after(100))
        decision = choose(sandbox, pod, after(101))
        assert attempt(decision) == 0
        assert reason(decision) == ("True", Reason.READY)

    @pytest.mark.parametrize(("changed", "delay"), [(100, 5), (-3, 15), (None, 15)])
    def test_unready_pod_is_checked_sooner_after_a_failed_probe(self, changed: int | None, delay: int) -> None:
        pod = make_pod(ready=False, ready_changed_at=after(changed) if changed is not None else None)
        decision = choose(ready_sandbox(), pod, after(91), looked_at=after(90))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(90 + delay))

    def test_unready_pod_is_not_checked_in_a_loop(self) -> None:
        """The node's clock may be ahead, so the transition may be in the future."""
        sandbox = ready_sandbox()
        pod = make_pod(ready=False, ready_changed_at=after(3600))
        decision = choose(sandbox, pod, after(100.1), looked_at=after(100))
        assert decision.plan.action is None
        assert decision.plan.requeue_at is not None
        assert decision.plan.requeue_at > after(103)

    def test_unready_pod_is_not_checked_right_after_the_start(self) -> None:
        pod = make_pod(ready=False, ready_changed_at=after(-3))
        decision = choose(ready_sandbox(), pod, after(1))
        assert (decision.plan.action, decision.plan.requeue_at) == (None, after(15))

    def test_claimed_pod_is_checked_soon(self) -> None:
        for ready in (True, False):
            pod = make_pod(ready=ready, ready_changed_at=after(-3))
            due = choose(ready_sandbox(), pod, after(4), claimed_at=after(4)).plan.requeue_at
            assert due is not None
            assert due < after(8)
            assert attempt(choose(ready_sandbox(), pod, due, claimed_at=after(4))) == 0

    def test_successful_check_writes_nothing(self) -> None:
        sandbox = ready_sandbox()
        pod = make_pod(ready=False, ready_changed_at=after(100))
        decision = choose(sandbox, pod, after(102), session=reported(ready_report(), after(102)), looked_at=after(102))
        assert settled(sandbox, decision)
        assert decision.plan.action is None

    def test_daemon_stays_ready_during_a_check(self) -> None:
        sandbox = ready_sandbox()
        decision = choose(sandbox, make_pod(ready=False), after(100), session=RUNNING)
        assert settled(sandbox, decision)


class TestLostSessions:
    """Failed exec sessions: the state of dockerd is unknown, not absent."""

    def test_first_two_lost_sessions_are_not_reported(self) -> None:
        sandbox = ready_sandbox()
        for count in (1, 2):
            assert settled(sandbox, choose(sandbox, make_pod(), after(100), session=lost(count, after(100))))

    def test_third_lost_session_makes_docker_unknown(self) -> None:
        decision = choose(ready_sandbox(), make_pod(), after(100), session=lost(3, after(100)))
        assert reason(decision) == ("Unknown", Reason.EXEC_FAILED)
        assert "the session broke" in message(decision, ConditionType.DOCKER_READY)

    @pytest.mark.parametrize(("minutes", "failures"), [(9, 2), (11, 1)])
    def test_ready_minutes_count_while_docker_is_unknown(self, minutes: int, failures: int) -> None:
        sandbox = crashed_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(2), session=reported(ready_report(1), after(2))))
        at = after(60 * minutes)
        unknown = choose(sandbox, make_pod(), at, session=lost(3, at))
        assert reason(unknown) == ("Unknown", Reason.EXEC_FAILED)
        sandbox = written(sandbox, unknown)
        assert sandbox.status.docker is not None
        assert sandbox.status.docker.restarts == 1
        decision = choose(sandbox, make_pod(), at, session=reported(failed_report(1, **KILLED), at))
        assert decision.status.docker is not None
        assert decision.status.docker.failures == failures

    @pytest.mark.parametrize(("count", "pause"), [(1, 1), (2, 2), (4, 8), (9, 30)])
    def test_lost_session_is_retried_with_doubling_back_off(self, count: int, pause: int) -> None:
        early = choose(make_sandbox(), make_pod(), after(pause - 0.1), session=lost(count))
        late = choose(make_sandbox(), make_pod(), after(pause), session=lost(count))
        assert (early.plan.action, early.plan.requeue_at) == (None, after(pause))
        assert attempt(late) == 0

    def test_unknown_stays_unknown_during_a_retry(self) -> None:
        sandbox = ready_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(100), session=lost(3, after(100))))
        decision = choose(sandbox, make_pod(), after(110), session=RUNNING)
        assert reason(decision, ConditionType.DOCKER_READY) == ("Unknown", Reason.EXEC_FAILED)

    def test_start_of_a_retry_writes_nothing(self) -> None:
        sandbox = make_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), session=lost(3)))
        assert settled(sandbox, choose(sandbox, make_pod(), after(4), session=RUNNING))
        assert settled(sandbox, choose(sandbox, make_pod(), after(8), session=lost(4, after(8))))

    def test_restarted_operator_checks_immediately(self) -> None:
        sandbox = ready_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(100), session=lost(3, after(100))))
        assert attempt(choose(sandbox, make_pod(), after(110))) == 0

    def test_working_session_makes_it_ready_again(self) -> None:
        sandbox = ready_sandbox()
        sandbox = written(sandbox, choose(sandbox, make_pod(), after(100), session=lost(3, after(100))))
        decision = choose(sandbox, make_pod(), after(110), session=reported(ready_report(), after(110)))
        assert reason(decision) == ("True", Reason.READY)
