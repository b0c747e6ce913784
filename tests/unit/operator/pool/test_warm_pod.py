"""The phases of a pod of a pool."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.actions import SessionPurpose
from caisson.model.observed import ObservedState
from caisson.model.pod_snapshot import PodSnapshot
from caisson.pod.template_annotation import PodTemplateRecord
from caisson.pool.revision import placeholder_sandbox
from caisson.pool.warm_pod import PreloadState, WarmPodPhase, decide_warm_pod
from tests.unit.operator.builders import (
    CONFIG,
    KILLED,
    NOW,
    POOL_UID,
    RUNNING,
    after,
    ended_pod,
    failed_report,
    lost,
    make_pod,
    make_spec,
    ready_report,
    reported,
)

Json = dict[str, Any]


class TestWarmPod:
    template_record = PodTemplateRecord(make_spec(), ())

    def state(
        self,
        pod: PodSnapshot,
        status: SandboxStatus | None = None,
        preload: PreloadState | None = None,
        at: datetime = NOW,
        **observed: Any,
    ) -> Any:
        """Decide about a pod of the pool with this preload state."""
        sandbox = placeholder_sandbox("default", "demo", POOL_UID, make_spec(), status)
        pod = replace(pod, owner_uid=POOL_UID, pool="warm")
        template_record = (
            self.template_record if preload is None else replace(self.template_record, preload=("postgres:16",))
        )
        return decide_warm_pod(
            ObservedState(sandbox, pod, **observed), template_record, preload or PreloadState(), CONFIG, at
        )

    def ready(self, **observed: Any) -> Any:
        return self.state(make_pod(), session=reported(ready_report()), **observed)

    def test_docker_is_started_in_a_running_pod(self) -> None:
        result = self.state(make_pod())
        assert result.phase is WarmPodPhase.PENDING
        assert result.plan.action.purpose is SessionPurpose.START

    def test_a_ready_pod_is_available_until_it_turns_unready(self) -> None:
        assert self.ready().phase is WarmPodPhase.AVAILABLE
        died = make_pod(ready=False, ready_changed_at=after(5))
        assert self.state(died, self.ready().status).phase is WarmPodPhase.PENDING

    def test_until_the_first_probe_it_is_available_and_checked_every_15_s(self) -> None:
        pod = make_pod(ready=False)
        fresh = self.state(pod, session=reported(ready_report()))
        assert fresh.phase is WarmPodPhase.AVAILABLE
        for looked_at in (None, after(15), after(600)):
            known_good = looked_at or NOW
            waits = self.state(pod, fresh.status, at=known_good, looked_at=looked_at)
            assert (waits.phase, waits.plan.action) == (WarmPodPhase.AVAILABLE, None)
            assert waits.plan.requeue_at == known_good + timedelta(seconds=15)
            check = self.state(pod, fresh.status, at=waits.plan.requeue_at, looked_at=looked_at)
            assert (check.phase, check.plan.action.purpose) == (WarmPodPhase.AVAILABLE, SessionPurpose.START)
            assert self.state(pod, fresh.status, at=waits.plan.requeue_at, session=RUNNING).phase is check.phase

    def test_until_the_first_probe_a_lost_check_makes_it_unavailable(self) -> None:
        status = self.ready().status
        for pod, phase in ((make_pod(ready=False), WarmPodPhase.PENDING), (make_pod(), WarmPodPhase.AVAILABLE)):
            assert self.state(pod, status, at=after(16), session=lost(at=after(16))).phase is phase

    def test_until_the_first_probe_a_check_finds_a_dead_daemon(self) -> None:
        found = reported(failed_report(**KILLED), after(15))
        result = self.state(make_pod(ready=False), self.ready().status, at=after(15), session=found)
        assert (result.phase, result.problem.reason) == (WarmPodPhase.PENDING, Reason.DOCKERD_KILLED)

    @pytest.mark.parametrize("pod", [ended_pod(), ended_pod(reason="OOMKilled", exit_code=137)], ids=["exit", "oom"])
    def test_an_ended_pod_has_failed(self, pod: PodSnapshot) -> None:
        result = self.state(pod)
        assert (result.phase, result.problem is not None) == (WarmPodPhase.FAILED, True)

    def test_a_pod_with_a_terminal_crash_has_failed(self) -> None:
        result = self.state(make_pod(), session=reported(failed_report(stderr="unknown flag: --x", exit_code=125)))
        assert result.problem.reason == Reason.INVALID_FLAGS
        assert result.phase is WarmPodPhase.FAILED

    def test_a_pod_whose_dockerd_is_restarted_is_pending(self) -> None:
        assert self.state(make_pod(), session=reported(failed_report())).phase is WarmPodPhase.PENDING

    @pytest.mark.parametrize("spec_hash", [None, "0123456789abcdef"])
    def test_the_spec_hash_does_not_matter(self, spec_hash: str | None) -> None:
        result = self.state(make_pod(spec_hash=spec_hash), session=reported(ready_report()))
        assert (result.phase, result.problem) == (WarmPodPhase.AVAILABLE, None)

    def test_images_are_pulled_before_a_pod_is_available(self) -> None:
        result = self.ready(preload=PreloadState())
        assert result.phase is WarmPodPhase.PRELOADING
        assert result.plan.action.command[-2:] == ("--", "postgres:16")
        assert self.ready(preload=PreloadState(done=True)).phase is WarmPodPhase.AVAILABLE

    def test_a_failed_pull_is_reported_and_retried(self) -> None:
        failed = PreloadState(problem="postgres:16: no such host", attempts=2, at=NOW)
        result = self.ready(preload=failed)
        assert result.problem.reason == Reason.PRELOAD_FAILED
        assert "no such host" in result.problem.message
        assert (result.plan.action, result.plan.requeue_at) == (None, after(10))
        again = self.ready(preload=failed, looked_at=after(1), at=after(10))
        assert again.plan.action.purpose is SessionPurpose.PRELOAD

    @pytest.mark.parametrize("tries", [1, 9])
    def test_dockerd_is_checked_before_the_next_preload_attempt(self, tries: int) -> None:
        failed = PreloadState(problem="Cannot connect to the Docker daemon", attempts=tries, at=after(100))
        for looked_at in (None, after(50)):
            result = self.state(make_pod(), self.ready().status, failed, after(9999), looked_at=looked_at)
            assert (result.phase, result.plan.action.purpose) == (WarmPodPhase.PRELOADING, SessionPurpose.START)

    def test_dockerd_is_checked_if_a_preloading_pod_turns_unready(self) -> None:
        failed = PreloadState(problem="timeout", attempts=9, at=after(100))
        dead = make_pod(ready=False, ready_changed_at=after(150))
        result = self.state(dead, self.ready().status, failed, after(160), looked_at=after(110))
        assert result.plan.action.purpose is SessionPurpose.START

    def test_a_lost_check_of_dockerd_is_repeated_before_the_preload(self) -> None:
        failed = PreloadState(problem="timeout", attempts=1, at=NOW)
        observed: Json = {"status": self.ready().status, "preload": failed, "session": lost(at=after(9))}
        assert self.state(make_pod(), at=after(9), **observed).plan.requeue_at == after(10)
        assert self.state(make_pod(), at=after(10), **observed).plan.action.purpose is SessionPurpose.START

    def test_a_dockerd_that_dies_in_a_preload_is_restarted_or_fails(self) -> None:
        failed = PreloadState(problem="Cannot connect to the Docker daemon", attempts=1, at=NOW)
        died = self.state(make_pod(), self.ready().status, failed, session=reported(failed_report(**KILLED)))
        assert (died.phase, died.problem.reason) == (WarmPodPhase.PENDING, Reason.DOCKERD_KILLED)
        restart = self.state(make_pod(), died.status, failed, after(60))
        assert restart.plan.action.purpose is SessionPurpose.START
        final = failed_report(stderr="unknown flag: --x", exit_code=125)
        gone = self.state(make_pod(), self.ready().status, failed, session=reported(final))
        assert gone.phase is WarmPodPhase.FAILED
