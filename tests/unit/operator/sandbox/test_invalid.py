"""Decisions about a Sandbox whose spec can't be read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caisson.config.model import Config
from tests.unit.operator.builders import (
    CONFIG,
    make_sandbox,
    make_spec,
    raw_sandbox,
)
from tests.unit.operator.fakes import World, becomes_ready


class TestInvalidSpec:
    """The lifetime still applies. Otherwise, an invalid spec would extend it."""

    @staticmethod
    async def with_a_pod(**spec: Any) -> World:
        """Make a cluster with a ready Sandbox, and make its spec invalid."""
        raw = raw_sandbox(make_sandbox(make_spec(lifetime={"ttlSeconds": 60})))
        raw["metadata"]["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        world = World(raw)
        await becomes_ready(world)
        world.kube.sandbox["spec"] |= {"image": 7} | spec
        world.kube._stamp(world.kube.sandbox)
        world.watches_deliver()
        return world

    async def test_pod_remains_until_the_expiry(self) -> None:
        world = await self.with_a_pod()
        await world.reconcile(2)
        assert world.condition() == ("False", "InvalidSpec")
        assert world.kube.pod is not None
        assert all(r.requeue_after and r.requeue_after <= timedelta(seconds=60) for r in world.results[-1:])

        early = datetime.now(UTC) - timedelta(hours=1)
        world.kube.sandbox["metadata"]["creationTimestamp"] = early.strftime("%Y-%m-%dT%H:%M:%SZ")
        world.kube._stamp(world.kube.sandbox)
        world.watches_deliver()
        await world.reconcile(3)
        assert world.condition() == ("False", "Expired")
        assert world.kube.pod is None

    @pytest.mark.parametrize(("seconds", "is_kept"), [(3600, True), (7200, False)])
    async def test_unreadable_lifetime_ends_at_the_maximum(self, seconds: int, is_kept: bool) -> None:
        world = await self.with_a_pod(lifetime={"ttlSeconds": 86400, "onExpiry": "OfANewerVersion"})
        limits = {"sandboxes": {"lifetime": {"defaultSeconds": 60, "maximumSeconds": 7200}}}
        world.config = Config.model_validate(CONFIG.model_dump(by_alias=True) | limits)
        created = datetime.now(UTC) - timedelta(seconds=seconds)
        world.kube.sandbox["metadata"]["creationTimestamp"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
        world.kube._stamp(world.kube.sandbox)
        world.operator_restarts()
        await world.reconcile(4)
        assert (world.kube.pod is not None) is is_kept
        assert ("suspension" in world.kube.sandbox["status"]) is not is_kept

    async def test_sandbox_can_be_suspended(self) -> None:
        world = await self.with_a_pod(suspend=True)
        await world.reconcile(3)
        assert world.kube.pod is None
