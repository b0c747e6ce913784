"""The memory budget: limits the bytes of objects that the operator holds, per namespace and in total.

The oldest objects take precedence. If a namespace exceeds its limit, its youngest objects are dropped. If all
namespaces together exceed the total limit, the largest namespace loses its youngest objects. So no namespace can
displace the objects of a smaller one. A dropped object leaves a stub in its store, and is read again when there is
room, or when a larger namespace must give way.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from caisson.timing import MAX_OUTDATED_AGES, OBJECT_OVERHEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caisson.model.key import Key

log = structlog.get_logger(__name__)


class Holder(Protocol):
    """The part of a store that the budget uses."""

    def holds(self, key: Key, uid: str) -> bool:
        """Return whether the whole object is held."""

    def shrink(self, key: Key) -> None:
        """Replace an object by a stub, and give its bytes back."""


class DroppedObject(NamedTuple):
    """An object that is not held for lack of room."""

    created: float
    """When it was created, in seconds since the epoch."""

    size: int
    key: Key
    holder: Holder


class _Age(NamedTuple):
    """The position of an object in the order of age."""

    youngest_first: float
    sequence: int
    holder: Holder
    key: Key
    uid: str

    def is_held(self) -> bool:
        """Return whether the object is still held."""
        return self.holder.holds(self.key, self.uid)


@dataclass
class _Account:
    """The objects of one namespace."""

    bytes: int = 0
    objects: int = 0
    ages: list[_Age] = field(default_factory=list)
    """A heap. It may contain objects that are gone, and duplicates."""

    dropped: dict[tuple[int, Key], DroppedObject] = field(default_factory=dict)
    is_reported: bool = False


class Budget:
    """Counts the bytes in the stores, and makes the stores drop the youngest objects beyond the limits."""

    def __init__(self, per_namespace: int = sys.maxsize, in_all: int = sys.maxsize) -> None:
        """Hold at most this number of bytes."""
        self._per_namespace, self._in_all = per_namespace, in_all
        self._accounts: dict[str, _Account] = {}
        self._bytes = self._waiting = 0
        self._sequence = itertools.count()
        self.freed = asyncio.Event()
        """Set when there may be room for dropped objects."""

    @property
    def bytes(self) -> int:
        """How many bytes are held."""
        return self._bytes

    def fits(self, namespace: str, size: int) -> bool:
        """Return whether an object of this size fits, possibly because larger namespaces give way to it.

        They give up only the bytes above the level that the namespace would reach. So an object does not displace
        others if it would be dropped itself, and two namespaces can't displace each other's objects endlessly.
        """
        size += OBJECT_OVERHEAD_BYTES
        level = self._held_by(namespace) + size
        if level > self._per_namespace:
            return False
        missing = self._bytes + size - self._in_all
        if missing <= 0:
            return True
        return sum(max(0, account.bytes - level) for account in self._accounts.values()) >= missing

    def take(self, holder: Holder, key: Key, uid: str, size: int, created: float) -> None:
        """Count an object that a store holds now. This may drop other objects, or the object itself."""
        account = self._accounts.setdefault(key.namespace, _Account())
        self._count(account, size + OBJECT_OVERHEAD_BYTES, 1)
        heapq.heappush(account.ages, _Age(-created, -next(self._sequence), holder, key, uid))
        if len(account.ages) > MAX_OUTDATED_AGES + 2 * account.objects:
            # An object that changed is in the heap twice.
            unique = {(id(age.holder), age.key): age for age in account.ages if age.is_held()}
            account.ages = list(unique.values())
            heapq.heapify(account.ages)
        while account.bytes > self._per_namespace and self._drop_youngest(key.namespace, account):
            pass
        while self._bytes > self._in_all:
            namespace, largest = max(self._accounts.items(), key=lambda item: item[1].bytes)
            if not self._drop_youngest(namespace, largest):
                break

    def give_back(self, key: Key, size: int) -> None:
        """Stop counting an object that `take` counted."""
        self._count(self._accounts[key.namespace], -size - OBJECT_OVERHEAD_BYTES, -1)
        if self._waiting:
            self.freed.set()

    def dropped(self, holder: Holder, key: Key, size: int, created: float) -> None:
        """Record an object that is not held for lack of room."""
        account = self._accounts.setdefault(key.namespace, _Account())
        self._waiting += (id(holder), key) not in account.dropped
        account.dropped[id(holder), key] = DroppedObject(created, size, key, holder)

    def forget(self, holder: Holder, key: Key) -> None:
        """Remove the record of a dropped object: it is held now, or gone."""
        if self._accounts[key.namespace].dropped.pop((id(holder), key), None) is not None:
            self._waiting -= 1

    def settle(self, namespace: str) -> None:
        """Complete a change in a namespace. If all its objects are held, it is no longer over its limit.

        This is unknown during a change, while an object is not held because its next version is about to be stored.
        """
        account = self._accounts.get(namespace)
        if account is not None and not account.dropped:
            account.is_reported = False
            if not account.objects:
                del self._accounts[namespace]

    def restorable(self) -> Iterator[tuple[Holder, Key]]:
        """Yield the dropped objects that fit: the smallest namespace first, and in each namespace the oldest first."""
        waiting = {
            namespace: sorted(account.dropped.values(), key=lambda record: (record.created, record.size), reverse=True)
            for namespace, account in self._accounts.items()
            if account.dropped
        }
        turns = [(self._held_by(namespace), queue[-1].created, namespace) for namespace, queue in waiting.items()]
        heapq.heapify(turns)
        while turns:
            _, _, namespace = heapq.heappop(turns)
            oldest = waiting[namespace].pop()
            if self._is_dropped(oldest):
                if not self.fits(namespace, oldest.size):
                    # A younger object, although smaller, would be dropped as soon as there is room for this one.
                    continue
                yield oldest.holder, oldest.key
            if waiting[namespace]:
                turn = self._held_by(namespace), waiting[namespace][-1].created, namespace
                heapq.heappush(turns, turn)

    def _held_by(self, namespace: str) -> int:
        account = self._accounts.get(namespace)
        return account.bytes if account is not None else 0

    def _is_dropped(self, record: DroppedObject) -> bool:
        """Return whether an object is still dropped: it may have been stored or deleted since."""
        account = self._accounts.get(record.key.namespace)
        return account is not None and account.dropped.get((id(record.holder), record.key)) is record

    def _drop_youngest(self, namespace: str, account: _Account) -> bool:
        """Drop the youngest object of a namespace. Returns whether there was any."""
        while account.ages:
            youngest = heapq.heappop(account.ages)
            if youngest.is_held():
                if not account.is_reported:
                    account.is_reported = True
                    log.warning(
                        "namespace over limit: its youngest objects are not read",
                        namespace=namespace,
                        bytes=account.bytes,
                        bytes_in_all=self._bytes,
                    )
                youngest.holder.shrink(youngest.key)
                return True
        return False

    def _count(self, account: _Account, size: int, objects: int) -> None:
        account.bytes += size
        account.objects += objects
        self._bytes += size
