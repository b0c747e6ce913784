"""Whether the operator's watches still deliver. A watch can die with nobody told, while the process lives on.

A quiet watch and a dead one look the same. But each status that is written comes back through the watch of Sandboxes:
one that does not, though the API server took it, proves the watch dead. That costs no request, and idle clusters have
nothing to miss.
"""

import asyncio
from typing import Any

from caisson.model.key import Key, key_of
from caisson.timing import FAILING_PART_SECONDS, STUCK_LOOP_SECONDS, UNDELIVERED_WRITE_SECONDS


class Health:
    """Takes note of what the watches do, and says what is wrong with them. Times are the event loop's."""

    def __init__(self) -> None:
        """Know nothing yet, and find nothing wrong."""
        self._beats: dict[str, float] = {}
        self._failing: dict[str, float] = {}
        self._unseen: dict[Key, tuple[int, float]] = {}
        self._delivered: dict[str, int] = {}

    def beat(self, part: str) -> None:
        """Note that a loop which must go on for ever went on, whatever came of it."""
        self._beats[part] = _now()

    def failing(self, part: str) -> None:
        """Note that a part ended which should not, and is made anew."""
        self._failing.setdefault(part, _now())

    def working(self, part: str) -> None:
        """Note that a part works (again)."""
        self._failing.pop(part, None)

    def wrote(self, before: str, obj: dict[str, Any]) -> None:
        """Note that a write made this of the object of version `before`: its watch is to deliver it."""
        version = _version(obj)
        key = key_of(obj)
        # The watch is often faster than the answer to the write, and delivers a namespace's changes in order.
        if version > max(int(before), self._delivered.get(key.namespace, 0)):
            # The oldest that is unseen counts, or a Sandbox that is written often would never be missed.
            self._unseen.setdefault(key, (version, _now()))

    def delivered(self, obj: dict[str, Any]) -> None:
        """Note what the watch delivered."""
        key, version = key_of(obj), _version(obj)
        self._delivered[key.namespace] = max(version, self._delivered.get(key.namespace, 0))
        if version >= self._unseen.get(key, (0, 0.0))[0]:
            self._unseen.pop(key, None)

    def gone(self, key: Key) -> None:
        """Note that a list shows the object no more: what was written of it need not be delivered."""
        self._unseen.pop(key, None)

    def problem(self) -> str | None:
        """Return what is wrong, None when nothing is."""
        now = _now()
        for part, at in self._beats.items():
            if now - at > STUCK_LOOP_SECONDS:
                return f"{part} has been stuck for {now - at:.0f} s"
        for part, since in self._failing.items():
            if now - since > FAILING_PART_SECONDS:
                return f"{part} has ended again and again for {now - since:.0f} s"
        for key, (_, at) in self._unseen.items():
            if now - at > UNDELIVERED_WRITE_SECONDS:
                return f"the watch of Sandboxes has not delivered a change of {key} for {now - at:.0f} s"
        return None


def _version(obj: dict[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _now() -> float:
    return asyncio.get_running_loop().time()
