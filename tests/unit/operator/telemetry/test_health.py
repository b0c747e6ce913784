"""A watch that has silently died is found out."""

from typing import Any

import pytest

from caisson.model.key import Key
from caisson.telemetry import health
from caisson.telemetry.health import Health


class Clock:
    """A time that only tests move."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    result = Clock()
    monkeypatch.setattr(health, "_now", lambda: result.now)
    return result


def thing(version: int, name: str = "demo") -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": str(version)}}


def test_a_write_that_comes_back_is_fine(clock: Clock) -> None:
    result = Health()
    result.wrote("1", thing(2))
    result.delivered(thing(2))
    clock.now += 1000
    assert result.problem() is None


def test_a_watch_that_is_faster_than_the_answer_is_fine(clock: Clock) -> None:
    result = Health()
    result.delivered(thing(2))
    result.wrote("1", thing(2))
    clock.now += 1000
    assert result.problem() is None


def test_a_write_that_never_comes_back_proves_the_watch_dead(clock: Clock) -> None:
    result = Health()
    result.wrote("1", thing(2))
    result.delivered(thing(1))
    clock.now += 50
    result.wrote("2", thing(3))
    assert result.problem() is None
    clock.now += 11
    assert "default/demo" in str(result.problem())


def test_a_write_that_changed_nothing_is_not_waited_for(clock: Clock) -> None:
    result = Health()
    result.wrote("2", thing(2))
    clock.now += 1000
    assert result.problem() is None


def test_a_loop_that_no_longer_turns_is_stuck(clock: Clock) -> None:
    result = Health()
    result.beat("the watch of pods")
    clock.now += 299
    result.beat("the watch of pods")
    clock.now += 299
    assert result.problem() is None
    clock.now += 2
    assert "the watch of pods has been stuck" in str(result.problem())


def test_a_part_that_ends_again_and_again_is_told_until_it_works(clock: Clock) -> None:
    result = Health()
    result.failing("kopf")
    clock.now += 100
    result.failing("kopf")
    assert result.problem() is None
    clock.now += 21
    assert "kopf has ended again and again for 121 s" in str(result.problem())
    result.working("kopf")
    assert result.problem() is None


def test_what_is_gone_need_not_be_delivered(clock: Clock) -> None:
    result = Health()
    result.wrote("1", thing(2))
    clock.now += 1000
    assert result.problem() is not None
    result.gone(Key("default", "demo"))
    assert result.problem() is None
