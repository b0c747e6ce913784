"""Decisions about a Sandbox whose spec can't be read."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.config.model import Config
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.cluster import Cluster

LIMITS = {"sandboxes": {"lifetime": {"defaultSeconds": 60, "maximumSeconds": 7200}}}


class TestInvalidSpec:
    """The lifetime still applies. Otherwise, an invalid spec would extend it."""

    @staticmethod
    async def becomes_invalid(cluster: Cluster, **spec: Any) -> None:
        """Start a Sandbox with a lifetime of 60 seconds, and make its spec invalid."""
        await cluster.start_sandbox(lifetime={"ttlSeconds": 60})
        cluster.server.patch("sandboxes", "default", "demo", {"spec": {"image": 7} | spec})
        await cluster.settle()

    async def test_pod_remains_until_the_expiry(self, cluster: Cluster) -> None:
        await self.becomes_invalid(cluster)
        await cluster.advance(59)
        assert cluster.condition() == ("False", Reason.INVALID_SPEC)
        assert list(cluster.pods()) == ["demo"]
        await cluster.advance(2)
        assert cluster.condition() == ("False", Reason.EXPIRED)
        assert cluster.pods() == {}

    @pytest.mark.parametrize("config", [Config.model_validate(CONFIG.model_dump(by_alias=True) | LIMITS)], ids=[""])
    async def test_unreadable_lifetime_ends_at_the_maximum(self, cluster: Cluster) -> None:
        await self.becomes_invalid(cluster, lifetime={"ttlSeconds": 86400, "onExpiry": "OfANewerVersion"})
        await cluster.advance(7199)
        assert cluster.condition() == ("False", Reason.INVALID_SPEC)
        assert list(cluster.pods()) == ["demo"]
        assert "suspension" not in cluster.sandbox()["status"]
        await cluster.advance(2)
        assert cluster.pods() == {}
        assert "suspension" in cluster.sandbox()["status"]

    async def test_sandbox_can_be_suspended(self, cluster: Cluster) -> None:
        await self.becomes_invalid(cluster, suspend=True)
        assert cluster.pods() == {}
        assert cluster.condition() == ("False", Reason.SUSPENDED)
