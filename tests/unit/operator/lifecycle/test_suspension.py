"""Suspension of Sandboxes."""

import pytest

from caisson.api.reasons import ConditionType, Reason
from caisson.children.service import render_service
from caisson.model.actions import CreatePod, DeletePod, OpenSession
from caisson.model.pod_snapshot import PodSnapshot
from caisson.pod.spec_hash import spec_hash
from caisson.status.events import transition_events
from caisson.status.patch import defer_write_until
from tests.unit.operator.builders import (
    NOW,
    POD_UID,
    after,
    choose,
    make_pod,
    make_sandbox,
    make_spec,
    pending_pod,
    plain,
    written,
)
from tests.unit.operator.lifetimes import ENDED, PORTS, both, edited, message, ready, reason, sandbox_of, settles


class TestSuspend:
    """spec.suspend, and the behavior of every suspension."""

    @pytest.mark.parametrize("pod", ENDED, ids=range(len(ENDED)))
    def test_pod_in_any_state_is_deleted_after_the_status_is_written(self, pod: PodSnapshot) -> None:
        sandbox = sandbox_of(suspend=True)
        first = choose(sandbox, pod, after(5))
        assert first.plan.action is None
        assert first.status.suspension is not None
        assert (first.status.suspension.reason, first.status.suspension.at) == ("Requested", after(5))
        second = choose(written(sandbox, first), pod, after(6))
        assert second.plan.action == DeletePod("demo", POD_UID)
        assert settles(written(sandbox, first), second)

    def test_request_is_written_immediately(self) -> None:
        sandbox = sandbox_of(suspend=True, status=choose(sandbox_of(), pending_pod()).status)
        decision = choose(sandbox, pending_pod())
        assert defer_write_until(sandbox.status, decision.status, NOW) is None

    def test_terminating_pod_is_reported(self) -> None:
        decision = choose(sandbox_of(suspend=True), make_pod(terminating=True, deletion_deadline=after(30)), after(1))
        assert reason(decision) == Reason.POD_TERMINATING
        assert decision.plan.action is None
        assert decision.plan.requeue_at == after(90)

    def test_unconfirmed_deletion_is_reported(self) -> None:
        decision = choose(sandbox_of(suspend=True), make_pod(terminating=True, deletion_deadline=after(30)), after(90))
        assert reason(decision) == Reason.POD_LOST

    def test_suspended_sandbox_gets_no_pod(self) -> None:
        decision = choose(sandbox_of(suspend=True), None)
        assert decision.plan.action is None
        assert {reason(decision, t) for t in ConditionType if t != ConditionType.ISOLATED} == {Reason.SUSPENDED}
        assert "spec.suspend" in message(decision)
        assert decision.status.pod_uid is None

    def test_disabled_docker_keeps_its_reason(self) -> None:
        spec = plain().model_copy(update={"suspend": True})
        decision = choose(make_sandbox(spec), None)
        assert reason(decision, ConditionType.DOCKER_READY) == Reason.DOCKER_DISABLED
        assert reason(decision) == Reason.SUSPENDED

    def test_suspension_records_a_normal_event(self) -> None:
        sandbox = ready(suspend=True)
        decision = choose(written(sandbox, choose(sandbox, make_pod())), None)
        (event,) = transition_events(sandbox.status, decision.status)
        assert (event.level, event.reason) == ("Normal", Reason.SUSPENDED)

    def test_suspend_false_resumes_it(self) -> None:
        sandbox = sandbox_of(suspend=True)
        back = choose(edited(written(sandbox, choose(sandbox, None))), None)
        assert isinstance(back.plan.action, CreatePod)
        assert back.status.suspension is None

    def test_cancelled_suspension_keeps_the_pod(self) -> None:
        sandbox = ready(suspend=True)
        stopping = written(sandbox, choose(sandbox, make_pod(), after(5)))
        back = choose(edited(stopping), make_pod(), after(6))
        assert isinstance(back.plan.action, OpenSession)

    def test_foreign_pod_of_the_name_is_not_deleted(self) -> None:
        for owner in (None, "somebody"):
            sandbox = sandbox_of(suspend=True)
            first = choose(sandbox, make_pod(owner_uid=owner))
            second = choose(written(sandbox, first), make_pod(owner_uid=owner))
            assert first.plan.action is second.plan.action is None
            assert reason(second) == Reason.SUSPENDED

    def test_service_remains(self) -> None:
        sandbox = sandbox_of(suspend=True, ports=PORTS)
        service = render_service(sandbox)
        assert (
            choose(written(sandbox, choose(sandbox, None)), None, children=both(sandbox, service)).plan.action is None
        )

    def test_suspend_and_lifetime_do_not_change_the_spec_hash(self) -> None:
        lifetime = {"ttlSeconds": 9, "idleSeconds": 60, "onExpiry": "Suspend"}
        assert spec_hash(make_spec(suspend=True, lifetime=lifetime)) == spec_hash(make_spec())

    def test_suspended_sandbox_still_expires(self) -> None:
        decision = choose(sandbox_of(suspend=True, lifetime={"ttlSeconds": 60}), None, after(60))
        assert reason(decision) == Reason.EXPIRED
        assert decision.status.suspension is None
