"""Items of groups that take turns: a group with many items delays only itself."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


def _always(_: str) -> bool:
    return True


class RoundRobin(Generic[Item]):
    """A queue of queues. The items of a group keep their order."""

    def __init__(self) -> None:
        """Start empty."""
        self._groups: OrderedDict[str, deque[Item]] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether there are items."""
        return bool(self._groups)

    def push(self, group: str, item: Item) -> None:
        """Append an item to a group."""
        self._groups.setdefault(group, deque()).append(item)

    def pop(self, may_take: Callable[[str], bool] = _always) -> Item | None:
        """Remove and return the next item, and end the turn of its group.

        Skips groups that `may_take` rejects, which keep their turn. Returns None if no item remains.
        """
        group = next(filter(may_take, self._groups), None)
        if group is None:
            return None
        items = self._groups.pop(group)
        item = items.popleft()
        if items:
            self._groups[group] = items
        return item
