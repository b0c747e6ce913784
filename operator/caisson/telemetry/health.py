"""Whether the operator's watches still deliver. A watch can die silently while the process keeps running.

A quiet watch and a dead watch look the same. But every status that the operator writes comes back through the watch of
Sandboxes. If one does not, although the API server accepted it, the watch is dead. This costs no request, and an idle
cluster has nothing to miss.
"""

import asyncio
from typing import Any

from caisson.model.key import Key, key_of
from caisson.timing import FAILING_PART_SECONDS, STUCK_LOOP_SECONDS, UNDELIVERED_WRITE_SECONDS


class Health:
    """Records what the watches do, and reports what is wrong with them. Times are the event loop's."""

    def __init__(self) -> None:
        """Start without records, and so without a problem."""
        self._beats: dict[str, float] = {}
        self._failing: dict[str, float] = {}
        self._undelivered: dict[Key, tuple[int, float]] = {}
        self._delivered: dict[Key, int] = {}

    def beat(self, part: str) -> None:
        """Record that a loop that must never end completed a round, whatever its result."""
        self._beats[part] = _now()

    def failing(self, part: str) -> None:
        """Record that a part that must never end did end, and is restarted."""
        self._failing.setdefault(part, _now())

    def working(self, part: str) -> None:
        """Record that a part works (again)."""
        self._failing.pop(part, None)

    def wrote(self, before: str, obj: dict[str, Any]) -> None:
        """Record an object as a write of ours returned it; its watch must deliver it. `before` is its old version."""
        version = _version(obj)
        key = key_of(obj)
        # The watch is often faster than the response to the write.
        if version > max(int(before), self._delivered.get(key, 0)):
            # The oldest undelivered write counts. Otherwise a Sandbox that is written often would hide a dead watch.
            self._undelivered.setdefault(key, (version, _now()))

    def delivered(self, obj: dict[str, Any]) -> None:
        """Record an object that the watch delivered."""
        key, version = key_of(obj), _version(obj)
        self._delivered[key] = max(version, self._delivered.get(key, 0))
        if version >= self._undelivered.get(key, (0, 0.0))[0]:
            self._undelivered.pop(key, None)

    def gone(self, key: Key) -> None:
        """Forget an object that no longer exists: its writes need not be delivered."""
        self._undelivered.pop(key, None)
        self._delivered.pop(key, None)

    def problem(self) -> str | None:
        """Return what is wrong, None if nothing is."""
        now = _now()
        for part, at in self._beats.items():
            if now - at > STUCK_LOOP_SECONDS:
                return f"{part} has been stuck for {now - at:.0f} s"
        for part, since in self._failing.items():
            if now - since > FAILING_PART_SECONDS:
                return f"{part} has ended again and again for {now - since:.0f} s"
        for key, (_, at) in self._undelivered.items():
            if now - at > UNDELIVERED_WRITE_SECONDS:
                return f"the watch of Sandboxes has not delivered a change of {key} for {now - at:.0f} s"
        return None


def _version(obj: dict[str, Any]) -> int:
    return int(obj["metadata"]["resourceVersion"])


def _now() -> float:
    return asyncio.get_running_loop().time()
