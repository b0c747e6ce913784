"""Expiry of Sandboxes, and the warning before it."""

from typing import Any

import pytest

from caisson.api.reasons import ConditionType, Reason
from caisson.api.resources import Sandbox
from caisson.children.service import render_service
from caisson.config.model import Config
from caisson.lifecycle.expiry import expires_at
from caisson.model.actions import ChildKind, CreatePod, DeleteObject, DeletePod
from caisson.model.condition import condition_result, unread_status
from caisson.model.pod_snapshot import PodSnapshot
from caisson.status.events import expiry_warning, transition_events
from tests.unit.operator.builders import (
    CONFIG,
    POD_UID,
    after,
    choose,
    choose_by,
    make_pod,
    written,
)
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.lifetimes import PORTS, both, edited, message, ready, reason, sandbox_of, settles


class TestDelete:
    """The pod and the Service of an expired Sandbox are deleted permanently."""

    SPEC: dict[str, Any] = {"lifetime": {"ttlSeconds": 600}}  # noqa: RUF012

    def test_sandbox_is_requeued_at_its_expiry(self) -> None:
        sandbox = written(sandbox_of(**self.SPEC), choose(ready(**self.SPEC), make_pod(), after(550)))
        assert choose(sandbox, make_pod(), after(560)).plan.requeue_at == after(600)

    def test_pod_is_deleted_after_the_status_is_written(self) -> None:
        sandbox = ready(**self.SPEC)
        first = choose(sandbox, make_pod(), after(600))
        assert reason(first) == reason(first, ConditionType.DOCKER_READY) == Reason.EXPIRED
        assert first.plan.action is None
        second = choose(written(sandbox, first), make_pod(), after(600))
        assert second.plan.action == DeletePod("demo", POD_UID)
        assert settles(written(sandbox, first), second)

    def test_service_is_deleted_but_no_foreign_service(self) -> None:
        sandbox = sandbox_of(ports=PORTS, **self.SPEC)
        service = render_service(sandbox)
        assert service is not None
        service["metadata"]["uid"] = "uid of the service"
        expired = written(sandbox, choose(sandbox, None, after(600), children=both(sandbox, service)))
        action = choose(expired, None, after(601), children=both(sandbox, service)).plan.action
        assert action == DeleteObject(ChildKind.SERVICE, "demo", "uid of the service")
        service["metadata"]["ownerReferences"] = []
        assert choose(expired, None, after(601), children=both(sandbox, service)).plan.action is None

    @pytest.mark.parametrize(
        "spec",
        [{}, {"lifetime": {"ttlSeconds": 3600}}, {"suspend": True}, {"lifetime": {"onExpiry": "Suspend"}}],
        ids=str,
    )
    @pytest.mark.parametrize("pod", [None, make_pod()], ids=["no-pod", "pod"])
    def test_expiry_is_permanent(self, spec: dict[str, Any], pod: PodSnapshot | None) -> None:
        sandbox = sandbox_of(**self.SPEC)
        expired = edited(written(sandbox, choose(sandbox, pod, after(600))), **spec)
        decision = choose(expired, pod, after(602))
        assert reason(decision) == Reason.EXPIRED
        assert decision.plan.action == (DeletePod("demo", POD_UID) if pod else None)
        assert "12:10:00Z" in message(decision)

    def test_expiry_survives_an_invalid_spec(self) -> None:
        sandbox = sandbox_of(**self.SPEC)
        expired = written(sandbox, choose(sandbox, None, after(600)))
        problem = condition_result("False", Reason.INVALID_SPEC, external_message="no")
        invalid = expired.model_copy(
            update={"status": unread_status(expired.status, expired.metadata.generation, problem, after(601))}
        )
        decision = choose(edited(invalid), None, after(602))
        assert reason(decision) == Reason.EXPIRED
        assert decision.plan.action is None

    def test_foreign_pod_is_not_deleted(self) -> None:
        sandbox = sandbox_of(**self.SPEC)
        expired = written(sandbox, choose(sandbox, None, after(600)))
        assert choose(expired, make_pod(owner_uid="another"), after(601)).plan.action is None

    def test_first_status_contains_the_expiry(self) -> None:
        assert choose(sandbox_of(**self.SPEC), None).status.expires_at == after(600)
        assert choose(sandbox_of(), None).status.expires_at is None


class TestExpirySuspends:
    """Suspension of an expired Sandbox with onExpiry: Suspend."""

    SPEC: dict[str, Any] = {"lifetime": {"ttlSeconds": 600, "onExpiry": "Suspend"}}  # noqa: RUF012

    def suspended(self) -> Sandbox:
        sandbox = ready(**self.SPEC)
        return written(sandbox, choose(sandbox, make_pod(), after(600)))

    def test_suspension_reports_the_limit_and_how_to_resume(self) -> None:
        stopping = self.suspended()
        assert stopping.status.suspension is not None
        assert stopping.status.suspension.reason == "Lifetime"
        assert choose(stopping, make_pod(), after(601)).plan.action == DeletePod("demo", POD_UID)
        decision = choose(stopping, None, after(601))
        assert reason(decision) == Reason.SUSPENDED
        assert "12:10:00Z" in message(decision)
        assert "raise spec.lifetime.ttlSeconds" in message(decision)

    def test_longer_lifetime_resumes_it(self) -> None:
        longer = edited(self.suspended(), lifetime={"ttlSeconds": 900, "onExpiry": "Suspend"})
        assert isinstance(choose(longer, None, after(700)).plan.action, CreatePod)

    def test_lifetime_above_the_maximum_does_not_resume_it(self) -> None:
        config = Config.model_validate(
            CONFIG.model_dump(by_alias=True) | {"sandboxes": {"lifetime": {"maximumSeconds": 600}}}
        )
        longer = edited(self.suspended(), lifetime={"ttlSeconds": 900, "onExpiry": "Suspend"})
        decision = choose_by(config, longer, None, after(700))
        assert decision.plan.action is None
        assert reason(decision) == Reason.SUSPENDED

    def test_other_changes_do_not_resume_it(self) -> None:
        for spec in ({"suspend": True}, {"env": [{"name": "A"}]}):
            decision = choose(edited(self.suspended(), **self.SPEC, **spec), None, after(700))
            assert decision.plan.action is None
            assert "raise spec.lifetime.ttlSeconds" in message(decision)

    def test_change_to_delete_expires_it(self) -> None:
        decision = choose(edited(self.suspended(), lifetime={"ttlSeconds": 600}), None, after(700))
        assert reason(decision) == Reason.EXPIRED


class TestExpiryWarning:
    """The warning before the expiry of a Sandbox."""

    @pytest.mark.parametrize(("ttl", "due"), [(100, 90), (600, 540), (36000, 35700)])
    def test_warning_is_due_a_tenth_or_five_minutes_before(self, ttl: int, due: int) -> None:
        sandbox = ready(lifetime={"ttlSeconds": ttl})
        early = choose(sandbox, make_pod(), after(due - 1))
        assert early.plan.requeue_at == after(due)
        assert expiry_warning(sandbox.status, early.status) is None
        decision = choose(sandbox, make_pod(), after(due))
        event = expiry_warning(sandbox.status, decision.status)
        assert event is not None
        assert (event.level, event.reason) == ("Warning", Reason.EXPIRES_SOON)
        assert f"{after(ttl):%H:%M:%S}" in event.message
        assert not transition_events(sandbox.status, decision.status)

    def test_recorded_warning_is_not_repeated(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        warned = written(sandbox, choose(sandbox, make_pod(), after(540)))
        again = choose(warned, make_pod(), after(550))
        assert expiry_warning(warned.status, again.status) is None
        assert settles(warned, again)

    def test_repeated_warning_has_the_same_key(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        first, second = (
            expiry_warning(sandbox.status, choose(sandbox, make_pod(), after(s)).status) for s in (540, 550)
        )
        assert first is not None
        assert second is not None
        assert first.key == second.key

    def test_changed_expiry_is_warned_about_again(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        warned = written(sandbox, choose(sandbox, make_pod(), after(540)))
        longer = edited(warned, lifetime={"ttlSeconds": 6000})
        raised = choose(longer, make_pod(), after(550))
        assert raised.status.expiry_announced is None
        later = choose(written(longer, raised), make_pod(), after(5700))
        assert expiry_warning(written(longer, raised).status, later.status) is not None

    def test_expired_sandbox_gets_no_warning(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        assert expiry_warning(sandbox.status, choose(sandbox, make_pod(), after(601)).status) is None

    def test_warning_remains_recorded_while_suspended(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600, "onExpiry": "Suspend"})
        warned = written(sandbox, choose(sandbox, make_pod(), after(540)))
        paused = edited(warned, suspend=True, lifetime={"ttlSeconds": 600, "onExpiry": "Suspend"})
        assert choose(paused, make_pod(), after(550)).status.expiry_announced == after(600)

    def test_suspended_sandbox_gets_no_warning_of_suspension(self) -> None:
        for lifetime, expects_warning in (({"onExpiry": "Suspend"}, False), ({}, True)):
            sandbox = ready(suspend=True, lifetime={"ttlSeconds": 600, **lifetime})
            decision = choose(sandbox, None, after(550))
            assert (expiry_warning(sandbox.status, decision.status) is not None) is expects_warning


async def test_warning_is_recorded_once_before_the_status_is_written(cluster: Cluster) -> None:
    await cluster.start_sandbox(lifetime={"ttlSeconds": 1050})
    cluster.faults.hang("PATCH", "sandboxes/demo/status")
    await cluster.advance(950)
    assert "expiryAnnounced" not in cluster.sandbox()["status"]
    assert cluster.event_reasons().count(Reason.EXPIRES_SOON) == 1
    await cluster.restart_operator()
    assert "expiryAnnounced" in cluster.sandbox()["status"]
    assert cluster.event_reasons().count(Reason.EXPIRES_SOON) == 1


@pytest.mark.parametrize(
    ("lifetime", "ttl", "seconds"),
    [
        ({}, None, None),
        ({}, 50, 50),
        ({"defaultSeconds": 600}, None, 600),
        ({"defaultSeconds": 600}, 7200, 7200),
        ({"maximumSeconds": 3600}, None, 3600),
        ({"maximumSeconds": 3600}, 7200, 3600),
    ],
)
def test_configured_default_and_maximum_apply(lifetime: dict[str, int], ttl: int | None, seconds: int | None) -> None:
    config = Config.model_validate(CONFIG.model_dump(by_alias=True) | {"sandboxes": {"lifetime": lifetime}})
    result = expires_at(sandbox_of(lifetime={"ttlSeconds": ttl}), config)
    assert result == (after(seconds) if seconds is not None else None)
