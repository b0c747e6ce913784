"""Sandboxes that expire, and the warning before it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caisson.api.reasons import ConditionType, Reason
from caisson.api.resources import Sandbox
from caisson.children.service import render_service
from caisson.config.model import Config
from caisson.kube.errors import KubeUnreachable
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
    make_sandbox,
    make_spec,
    raw_sandbox,
    written,
)
from tests.unit.operator.fakes import UNREACHABLE, World
from tests.unit.operator.lifetimes import PORTS, both, edited, message, ready, reason, sandbox_of, settles


class TestDelete:
    """A Sandbox whose time is up loses its pod and its Service, for good."""

    SPEC: dict[str, Any] = {"lifetime": {"ttlSeconds": 600}}  # noqa: RUF012

    def test_it_wakes_when_the_time_is_up(self) -> None:
        sandbox = written(sandbox_of(**self.SPEC), choose(ready(**self.SPEC), make_pod(), after(550)))
        assert choose(sandbox, make_pod(), after(560)).plan.requeue_at == after(600)

    def test_the_pod_goes_once_that_is_written(self) -> None:
        sandbox = ready(**self.SPEC)
        first = choose(sandbox, make_pod(), after(600))
        assert reason(first) == reason(first, ConditionType.DOCKER_READY) == Reason.EXPIRED
        assert first.plan.action is None
        second = choose(written(sandbox, first), make_pod(), after(600))
        assert second.plan.action == DeletePod("demo", POD_UID)
        assert settles(written(sandbox, first), second)

    def test_the_service_goes_too_and_no_other(self) -> None:
        sandbox = sandbox_of(ports=PORTS, **self.SPEC)
        service = render_service(sandbox)
        assert service is not None
        service["metadata"]["uid"] = "uid of the service"
        expired = written(sandbox, choose(sandbox, None, after(600), children=both(sandbox, service)))
        going = choose(expired, None, after(601), children=both(sandbox, service)).plan.action
        assert going == DeleteObject(ChildKind.SERVICE, "demo", "uid of the service")
        service["metadata"]["ownerReferences"] = []
        assert choose(expired, None, after(601), children=both(sandbox, service)).plan.action is None

    @pytest.mark.parametrize(
        "spec",
        [{}, {"lifetime": {"ttlSeconds": 3600}}, {"suspend": True}, {"lifetime": {"onExpiry": "Suspend"}}],
        ids=str,
    )
    @pytest.mark.parametrize("pod", [None, make_pod()], ids=["gone", "there still"])
    def test_nothing_brings_it_back(self, spec: dict[str, Any], pod: PodSnapshot | None) -> None:
        sandbox = sandbox_of(**self.SPEC)
        over = edited(written(sandbox, choose(sandbox, pod, after(600))), **spec)
        decision = choose(over, pod, after(602))
        assert reason(decision) == Reason.EXPIRED
        assert decision.plan.action == (DeletePod("demo", POD_UID) if pod else None)
        assert "12:10:00Z" in message(decision)

    def test_nor_does_a_spec_that_made_no_sense_for_a_while(self) -> None:
        sandbox = sandbox_of(**self.SPEC)
        over = written(sandbox, choose(sandbox, None, after(600)))
        problem = condition_result("False", Reason.INVALID_SPEC, external_message="no")
        confused = over.model_copy(
            update={"status": unread_status(over.status, over.metadata.generation, problem, after(601))}
        )
        decision = choose(edited(confused), None, after(602))
        assert reason(decision) == Reason.EXPIRED
        assert decision.plan.action is None

    def test_a_foreign_pod_is_left_alone(self) -> None:
        sandbox = sandbox_of(**self.SPEC)
        over = written(sandbox, choose(sandbox, None, after(600)))
        assert choose(over, make_pod(owner_uid="another"), after(601)).plan.action is None

    def test_its_end_is_in_the_first_status(self) -> None:
        assert choose(sandbox_of(**self.SPEC), None).status.expires_at == after(600)
        assert choose(sandbox_of(), None).status.expires_at is None


class TestExpirySuspends:
    """onExpiry: Suspend, by the time."""

    SPEC: dict[str, Any] = {"lifetime": {"ttlSeconds": 600, "onExpiry": "Suspend"}}  # noqa: RUF012

    def suspended(self) -> Sandbox:
        sandbox = ready(**self.SPEC)
        return written(sandbox, choose(sandbox, make_pod(), after(600)))

    def test_it_is_suspended_with_the_limit_and_the_way_back(self) -> None:
        stopping = self.suspended()
        assert stopping.status.suspension is not None
        assert stopping.status.suspension.reason == "Lifetime"
        assert choose(stopping, make_pod(), after(601)).plan.action == DeletePod("demo", POD_UID)
        decision = choose(stopping, None, after(601))
        assert reason(decision) == Reason.SUSPENDED
        assert "12:10:00Z" in message(decision)
        assert "raise spec.lifetime.ttlSeconds" in message(decision)

    def test_a_longer_life_brings_it_back(self) -> None:
        longer = edited(self.suspended(), lifetime={"ttlSeconds": 900, "onExpiry": "Suspend"})
        assert isinstance(choose(longer, None, after(700)).plan.action, CreatePod)

    def test_one_that_the_administrator_does_not_allow_does_not(self) -> None:
        config = Config.model_validate(
            CONFIG.model_dump(by_alias=True) | {"sandboxes": {"lifetime": {"maximumSeconds": 600}}}
        )
        longer = edited(self.suspended(), lifetime={"ttlSeconds": 900, "onExpiry": "Suspend"})
        decision = choose_by(config, longer, None, after(700))
        assert decision.plan.action is None
        assert reason(decision) == Reason.SUSPENDED

    def test_nor_does_what_brings_others_back(self) -> None:
        for spec in ({"suspend": True}, {"env": [{"name": "A"}]}):
            decision = choose(edited(self.suspended(), **self.SPEC, **spec), None, after(700))
            assert decision.plan.action is None
            assert "raise spec.lifetime.ttlSeconds" in message(decision)

    def test_a_changed_mind_ends_it_for_good(self) -> None:
        decision = choose(edited(self.suspended(), lifetime={"ttlSeconds": 600}), None, after(700))
        assert reason(decision) == Reason.EXPIRED


class TestAnnouncement:
    """The end of a Sandbox is told ahead, once."""

    @pytest.mark.parametrize(("ttl", "due"), [(100, 90), (600, 540), (36000, 35700)])
    def test_it_is_told_when_a_tenth_of_its_life_is_left_or_five_minutes(self, ttl: int, due: int) -> None:
        sandbox = ready(lifetime={"ttlSeconds": ttl})
        early = choose(sandbox, make_pod(), after(due - 1))
        assert early.plan.requeue_at == after(due)
        assert expiry_warning(sandbox.status, early.status) is None
        decision = choose(sandbox, make_pod(), after(due))
        reported_value = expiry_warning(sandbox.status, decision.status)
        assert reported_value is not None
        assert (reported_value.level, reported_value.reason) == ("Warning", Reason.EXPIRES_SOON)
        assert f"{after(ttl):%H:%M:%S}" in reported_value.message
        assert not transition_events(sandbox.status, decision.status)

    def test_once_written_it_is_not_told_again(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        reported_value = written(sandbox, choose(sandbox, make_pod(), after(540)))
        again = choose(reported_value, make_pod(), after(550))
        assert expiry_warning(reported_value.status, again.status) is None
        assert settles(reported_value, again)

    def test_told_before_the_write_came_through_it_has_the_same_key(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        first, second = (
            expiry_warning(sandbox.status, choose(sandbox, make_pod(), after(s)).status) for s in (540, 550)
        )
        assert first is not None
        assert second is not None
        assert first.key == second.key

    def test_another_end_is_told_anew(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        reported_value = written(sandbox, choose(sandbox, make_pod(), after(540)))
        longer = edited(reported_value, lifetime={"ttlSeconds": 6000})
        raised = choose(longer, make_pod(), after(550))
        assert raised.status.expiry_announced is None
        later = choose(written(longer, raised), make_pod(), after(5700))
        assert expiry_warning(written(longer, raised).status, later.status) is not None

    def test_what_is_over_is_not_told_ahead(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600})
        assert expiry_warning(sandbox.status, choose(sandbox, make_pod(), after(601)).status) is None

    def test_what_was_told_stays_told_while_it_is_suspended(self) -> None:
        sandbox = ready(lifetime={"ttlSeconds": 600, "onExpiry": "Suspend"})
        reported_value = written(sandbox, choose(sandbox, make_pod(), after(540)))
        paused = edited(reported_value, suspend=True, lifetime={"ttlSeconds": 600, "onExpiry": "Suspend"})
        assert choose(paused, make_pod(), after(550)).status.expiry_announced == after(600)

    def test_a_suspended_sandbox_has_nothing_to_lose(self) -> None:
        for lifetime, is_told in (({"onExpiry": "Suspend"}, False), ({}, True)):
            sandbox = ready(suspend=True, lifetime={"ttlSeconds": 600, **lifetime})
            decision = choose(sandbox, None, after(550))
            assert (expiry_warning(sandbox.status, decision.status) is not None) is is_told


async def test_the_announcement_is_recorded_before_it_is_written_and_under_one_name() -> None:
    world = World(raw_sandbox(make_sandbox(make_spec(lifetime={"ttlSeconds": 1050}))))
    created = datetime.now(UTC) - timedelta(seconds=1000)
    world.kube.sandbox["metadata"]["creationTimestamp"] = f"{created:%Y-%m-%dT%H:%M:%SZ}"
    world.operator_restarts()
    world.kube.patch_errors = [UNREACHABLE]
    with pytest.raises(KubeUnreachable):
        await world.reconcile()
    assert [event["reason"] for event in world.kube.events] == [Reason.EXPIRES_SOON]
    world.operator_restarts()
    await world.reconcile(3)
    assert "expiryAnnounced" in world.kube.sandbox["status"]
    assert [event["reason"] for event in world.kube.events] == [Reason.EXPIRES_SOON]


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
def test_the_administrator_has_a_say_in_how_long_it_lives(
    lifetime: dict[str, int], ttl: int | None, seconds: int | None
) -> None:
    config = Config.model_validate(CONFIG.model_dump(by_alias=True) | {"sandboxes": {"lifetime": lifetime}})
    result = expires_at(sandbox_of(lifetime={"ttlSeconds": ttl}), config)
    assert result == (after(seconds) if seconds is not None else None)
