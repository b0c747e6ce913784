"""Groups that take turns."""

from caisson.util.round_robin import RoundRobin


def filled(*items: str) -> RoundRobin[str]:
    """Return a queue of items whose group is their first letter."""
    result: RoundRobin[str] = RoundRobin()
    for item in items:
        result.push(item[0], item)
    return result


def test_groups_take_turns_and_keep_their_order() -> None:
    queue = filled("a1", "a2", "a3", "b1", "c1", "c2")
    assert [queue.pop() for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]
    assert not queue


def test_a_group_that_comes_back_has_the_last_turn() -> None:
    queue = filled("a1", "b1", "c1")
    assert queue.pop() == "a1"
    queue.push("a", "a2")
    assert [queue.pop() for _ in range(3)] == ["b1", "c1", "a2"]


def test_a_rejected_group_keeps_its_turn() -> None:
    queue = filled("a1", "b1", "b2")
    assert queue.pop(lambda group: group != "a") == "b1"
    assert queue.pop(lambda _: False) is None
    assert [queue.pop(), queue.pop()] == ["a1", "b2"]
