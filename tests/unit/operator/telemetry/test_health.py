"""Health detects a watch that died silently."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.model.key import Key
from caisson.telemetry import health
from caisson.telemetry.health import Health
from caisson.timing import UNDELIVERED_WRITE_SECONDS
from tests.unit.operator.cluster.cluster import Cluster


class Clock:
    """A time that changes only if a test changes it."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    result = Clock()
    monkeypatch.setattr(health, "_now", lambda: result.now)
    return result


def sandbox_at(version: int, name: str = "demo") -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": str(version)}}


def test_a_write_that_the_watch_delivers_is_no_problem(clock: Clock) -> None:
    result = Health()
    result.wrote("1", sandbox_at(2))
    result.delivered(sandbox_at(2))
    clock.now += 1000
    assert result.problem() is None


def test_a_watch_that_is_faster_than_the_response_is_no_problem(clock: Clock) -> None:
    result = Health()
    result.delivered(sandbox_at(2))
    result.wrote("1", sandbox_at(2))
    clock.now += 1000
    assert result.problem() is None


def test_an_undelivered_write_is_reported_after_a_minute(clock: Clock) -> None:
    result = Health()
    result.wrote("1", sandbox_at(2))
    result.delivered(sandbox_at(1))
    clock.now += 50
    result.wrote("2", sandbox_at(3))
    assert result.problem() is None
    clock.now += 11
    assert "default/demo" in str(result.problem())


def test_a_write_that_changed_nothing_needs_no_delivery(clock: Clock) -> None:
    result = Health()
    result.wrote("2", sandbox_at(2))
    clock.now += 1000
    assert result.problem() is None


def test_a_loop_without_a_beat_is_stuck(clock: Clock) -> None:
    result = Health()
    result.beat("the watch of pods")
    clock.now += 299
    result.beat("the watch of pods")
    clock.now += 299
    assert result.problem() is None
    clock.now += 2
    assert "the watch of pods has been stuck" in str(result.problem())


def test_a_failing_part_is_reported_until_it_works(clock: Clock) -> None:
    result = Health()
    result.failing("kopf")
    clock.now += 100
    result.failing("kopf")
    assert result.problem() is None
    clock.now += 21
    assert "kopf has ended again and again for 121 s" in str(result.problem())
    result.working("kopf")
    assert result.problem() is None


def test_a_write_to_a_deleted_object_needs_no_delivery(clock: Clock) -> None:
    result = Health()
    result.wrote("1", sandbox_at(2))
    clock.now += 1000
    assert result.problem() is not None
    result.gone(Key("default", "demo"))
    assert result.problem() is None


def test_a_deleted_object_leaves_no_record(clock: Clock) -> None:
    result = Health()
    result.delivered(sandbox_at(5))
    result.gone(Key("default", "demo"))
    # Versions grow in a cluster. Only a record of version 5 would make this write look delivered.
    result.wrote("1", sandbox_at(2))
    clock.now += 61
    assert "default/demo" in str(result.problem())


def test_a_delivery_of_another_object_is_no_delivery(clock: Clock) -> None:
    result = Health()
    result.wrote("1", sandbox_at(2))
    result.delivered(sandbox_at(5, "other"))
    clock.now += 61
    assert "default/demo" in str(result.problem())


async def test_the_controller_records_each_status_write(cluster: Cluster) -> None:
    cluster.apply_sandbox()
    await cluster.settle()
    cluster.watches.hold("sandboxes")
    cluster.kubelet.runs("demo")
    await cluster.settle()
    assert cluster.condition() == ("True", Reason.READY)
    await cluster.advance(UNDELIVERED_WRITE_SECONDS - 1)
    assert cluster.health.problem() is None
    await cluster.advance(2)
    assert "default/demo" in str(cluster.health.problem())
    cluster.watches.release("sandboxes")
    await cluster.settle()
    assert cluster.health.problem() is None
