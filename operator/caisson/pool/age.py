"""How old a pod may become while it waits in a pool."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from caisson.pool.warm_pod import WarmPod
from caisson.timing import WARM_POD_REPLACEMENT_SHARE, WARM_POD_REPLACEMENT_SPREAD


@dataclass(frozen=True)
class MaximumAge:
    """The administrator's maximum lifetime, for pods that wait in a pool.

    It does not apply to a pod that can't be read: its time of creation may be missing, and it is never deleted.
    """

    maximum: timedelta | None = None

    def is_old(self, pod: WarmPod, now: datetime) -> bool:
        """Report whether to replace a pod, so that its replacement is available before the maximum."""
        return any(now >= moment for moment in self._moments(pod))

    def is_exceeded(self, pod: WarmPod, now: datetime) -> bool:
        """Report whether a pod must be deleted."""
        return any(now >= moment for moment in self._moments(pod)[1:])

    def next_change(self, pods: Iterable[WarmPod], now: datetime) -> datetime | None:
        """Return when the next pod becomes old or exceeds the maximum."""
        return min((moment for pod in pods for moment in self._moments(pod) if moment > now), default=None)

    def _moments(self, pod: WarmPod) -> tuple[datetime, ...]:
        """Return when a pod becomes old and when it exceeds the maximum; nothing if it never does."""
        if self.maximum is None or not pod.is_readable:
            return ()
        share = WARM_POD_REPLACEMENT_SHARE - WARM_POD_REPLACEMENT_SPREAD * _fraction(pod.pod_uid)
        return pod.created_at + self.maximum * share, pod.created_at + self.maximum


def _fraction(uid: str) -> float:
    """Return a number from 0 to 1 that is always the same for a UID."""
    return zlib.crc32(uid.encode()) / 2**32
