"""How old a pod may become while it waits in a pool."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from caisson.pool.warm_pod import WarmPod
from caisson.timing import WARM_POD_REPLACEMENT_SHARE


@dataclass(frozen=True)
class MaximumAge:
    """The administrator's maximum lifetime, for pods that wait in a pool."""

    maximum: timedelta | None = None

    def is_old(self, pod: WarmPod, now: datetime) -> bool:
        """Report whether to replace a pod, so that its replacement is available before the maximum."""
        return self.maximum is not None and now >= pod.created_at + self.maximum * WARM_POD_REPLACEMENT_SHARE

    def is_exceeded(self, pod: WarmPod, now: datetime) -> bool:
        """Report whether a pod must be deleted."""
        return self.maximum is not None and now >= pod.created_at + self.maximum

    def next_change(self, pods: Iterable[WarmPod], now: datetime) -> datetime | None:
        """Return when the next pod becomes old or exceeds the maximum."""
        if self.maximum is None:
            return None
        moments = (pod.created_at + self.maximum * share for pod in pods for share in (WARM_POD_REPLACEMENT_SHARE, 1.0))
        return min((moment for moment in moments if moment > now), default=None)
