"""How many bytes of objects the operator holds: for each namespace, and for all of them together.

The oldest objects come first. If a namespace exceeds its limit, its youngest objects are dropped. If all namespaces
together exceed theirs, the largest namespace loses its youngest, so no namespace can take what a smaller one needs.
What is dropped leaves a stub in its store, and is read again when there is room, or when a larger namespace has to give
way to it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from caisson.timing import OBJECT_OVERHEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from caisson.model.key import Key

log = structlog.get_logger(__name__)


class Holder(Protocol):
    """A store, as far as the budget needs it."""

    def holds(self, key: Key, uid: str) -> bool:
        """Tell whether the whole object is held."""

    def shrink(self, key: Key) -> None:
        """Drop an object that is held, but for a stub; give its bytes back."""


class Dropped(NamedTuple):
    """An object that is not held for lack of room."""

    created: float
    """When it was created, in seconds since the epoch."""

    size: int
    key: Key
    holder: Holder


class _Age(NamedTuple):
    """Where an object stands in the order of age."""

    youngest_first: float
    sequence: int
    holder: Holder
    key: Key
    uid: str

    def is_held(self) -> bool:
        """Tell whether the object is there still."""
        return self.holder.holds(self.key, self.uid)


@dataclass
class _Account:
    """What one namespace has."""

    bytes: int = 0
    objects: int = 0
    ages: list[_Age] = field(default_factory=list)
    """A heap. Some of these objects are gone, or stand in it more than once."""

    dropped: dict[tuple[int, Key], Dropped] = field(default_factory=dict)
    is_reported: bool = False


class Budget:
    """Counts the bytes that stores hold, and has them drop the youngest objects beyond the limits."""

    def __init__(self, per_namespace: int = 2**40, in_all: int = 2**40) -> None:
        """Hold so many bytes at the most."""
        self._per_namespace, self._in_all = per_namespace, in_all
        self._accounts: dict[str, _Account] = {}
        self._bytes = self._waiting = 0
        self._sequence = itertools.count()
        self.freed = asyncio.Event()
        """Set when there may be room for what was dropped."""

    @property
    def bytes(self) -> int:
        """How many bytes are held."""
        return self._bytes

    def fits(self, namespace: str, size: int) -> bool:
        """Tell whether there is room for an object of this size, or larger namespaces give way to it.

        They give way only with what they have above the level that the namespace would reach. So no object is dropped
        for one that would be dropped in its turn, and no two namespaces can take room from each other for ever.
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
        """Count an object that a store holds now. Others may be dropped for it, or the object itself."""
        account = self._accounts.setdefault(key.namespace, _Account())
        self._count(account, size + OBJECT_OVERHEAD_BYTES, 1)
        heapq.heappush(account.ages, _Age(-created, -next(self._sequence), holder, key, uid))
        if len(account.ages) > 64 + 2 * account.objects:
            # An object that changed stands in the heap twice.
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
        """Count an object no more that `take` counted."""
        self._count(self._accounts[key.namespace], -size - OBJECT_OVERHEAD_BYTES, -1)
        if self._waiting:
            self.freed.set()

    def dropped(self, holder: Holder, key: Key, size: int, created: float) -> None:
        """Note an object that is not held for lack of room."""
        account = self._accounts.setdefault(key.namespace, _Account())
        self._waiting += (id(holder), key) not in account.dropped
        account.dropped[id(holder), key] = Dropped(created, size, key, holder)

    def forget(self, holder: Holder, key: Key) -> None:
        """Forget an object that was not held: it is held now, or gone."""
        if self._accounts[key.namespace].dropped.pop((id(holder), key), None) is not None:
            self._waiting -= 1

    def settle(self, namespace: str) -> None:
        """Close what was changed in a namespace. If all of it is held, it is not over its limit any more.

        It is not so in the midst of a change, when an object is not held because another version of it is about to be.
        """
        account = self._accounts.get(namespace)
        if account is not None and not account.dropped:
            account.is_reported = False
            if not account.objects:
                del self._accounts[namespace]

    def restorable(self) -> Iterator[tuple[Holder, Key]]:
        """Yield what `fits`: of the smallest namespace first, and of each namespace the oldest first."""
        waiting = {
            namespace: sorted(account.dropped.values(), key=lambda result: (result.created, result.size), reverse=True)
            for namespace, account in self._accounts.items()
            if account.dropped
        }
        turns = [(self._held_by(namespace), result[-1].created, namespace) for namespace, result in waiting.items()]
        heapq.heapify(turns)
        while turns:
            _, _, namespace = heapq.heappop(turns)
            result = waiting[namespace].pop()
            if self._is_dropped(result):
                if not self.fits(namespace, result.size):
                    # A younger one, though smaller, would be dropped as soon as there is room for this one.
                    continue
                yield result.holder, result.key
            if waiting[namespace]:
                turn = self._held_by(namespace), waiting[namespace][-1].created, namespace
                heapq.heappush(turns, turn)

    def _held_by(self, namespace: str) -> int:
        account = self._accounts.get(namespace)
        return account.bytes if account is not None else 0

    def _is_dropped(self, result: Dropped) -> bool:
        """Tell whether an object is still not held: it may have come or gone since."""
        account = self._accounts.get(result.key.namespace)
        return account is not None and account.dropped.get((id(result.holder), result.key)) is result

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
