"""Leader election among the replicas of the operator: a Lease, with the protocol of client-go.

A Lease does not fence: a leader that was suspended for a while continues where it stopped. So every writer calls
`is_leader` before each request. It uses this process's monotonic clock, which also runs while the process is suspended,
and returns False before another replica may take over. A late write does no harm: pods have fixed names, the status is
written with its resource version, and a second start of dockerd is a no-op.

Caisson does not use the official client's leader election, because it compares wall clocks and never releases a lease.
"""

import asyncio
import random
import secrets
import socket
from typing import Any

import structlog

from caisson.clock import Clock
from caisson.config.model import LeaderElection
from caisson.kube.client import KubeClient
from caisson.kube.errors import Conflict, LeaseLost, NotFound
from caisson.model.errors import CaissonError
from caisson.timing import LEASE_RELEASE_TIMEOUT_SECONDS, LEASE_RETRY_JITTER, RELEASED_LEASE_SECONDS

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class LeaderElector:
    """Acquires, renews and releases a lease for this process."""

    def __init__(
        self, *, kube: KubeClient, clock: Clock, namespace: str, pod: str | None, settings: LeaderElection
    ) -> None:
        """Compete for the Lease in this namespace that the settings name. `pod` is this process's pod, if any."""
        self._kube, self._clock, self._namespace, self._settings = kube, clock, namespace, settings
        self._identity = f"{pod or socket.gethostname()}_{secrets.token_hex(4)}"
        self._of_this_pod = f"{pod}_" if pod else None
        self._held_until = 0.0
        self._lease: Json | None = None
        self._observed: tuple[object, ...] = ()
        self._observed_at = 0.0

    def is_leader(self) -> bool:
        """Return whether this process certainly holds the lease. Sends no request."""
        return asyncio.get_running_loop().time() < self._held_until

    async def acquire(self) -> None:
        """Wait until this process holds the lease."""
        while not await self._try():
            # Jitter, so that the waiting replicas do not retry at the same time.
            jitter = random.uniform(1 - LEASE_RETRY_JITTER, 1 + LEASE_RETRY_JITTER)  # noqa: S311
            await asyncio.sleep(self._settings.retry_period_seconds * jitter)
        log.info("leading", identity=self._identity)

    async def renew_until_lost(self) -> None:
        """Renew the lease until it is lost, which raises LeaseLost."""
        while self.is_leader():
            await asyncio.sleep(self._settings.retry_period_seconds)
            await self._try()
        raise LeaseLost(f"the lease {self._settings.lease_name} was not renewed in time")

    async def release(self) -> None:
        """Release the lease if this process holds it, so that another replica can take over immediately."""
        if not self.is_leader() or self._lease is None:
            return
        self._held_until = 0.0
        try:
            async with asyncio.timeout(LEASE_RELEASE_TIMEOUT_SECONDS):
                # Read it again, because a renewal in flight at shutdown may have written a newer version.
                lease = await self._kube.get_lease(self._namespace, self._settings.lease_name)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": RELEASED_LEASE_SECONDS}
                    await self._kube.update_lease(self._namespace, lease)
        except (CaissonError, TimeoutError, LookupError, TypeError, AttributeError) as error:
            log.warning("lease not released", error=str(error))

    async def _try(self) -> bool:
        """Acquire or renew the lease. Returns whether this process holds it now. Failures are retried."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._settings.renew_deadline_seconds):
                self._lease = await self._write(now)
        except Conflict:
            self._lease = None
        except (CaissonError, TimeoutError, LookupError, TypeError, ValueError, AttributeError) as error:
            # Clients that can write the Lease can write invalid data. Then no other replica leads either.
            self._lease = None
            log.warning("lease not acquired or renewed", error=str(error) or type(error).__name__)
        if self._lease is None:
            return False
        # Counted from before the request, because other replicas may observe the renewal from then on.
        self._held_until = now + self._settings.renew_deadline_seconds
        return True

    async def _write(self, now: float) -> Json | None:
        """Write the lease unless another replica holds it. Returns the written lease."""
        lease = self._lease
        if lease is None:
            try:
                lease = await self._kube.get_lease(self._namespace, self._settings.lease_name)
            except NotFound:
                metadata = {"name": self._settings.lease_name, "namespace": self._namespace}
                return await self._kube.create_lease(self._namespace, {"metadata": metadata, "spec": self._spec({})})
            if self._is_held_by_another(lease["spec"], now):
                return None
        return await self._kube.update_lease(self._namespace, lease | {"spec": self._spec(lease["spec"])})

    def _is_held_by_another(self, spec: Json, now: float) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return False
        if self._of_this_pod is not None and holder.startswith(self._of_this_pod):
            # The holder was an earlier process of this container, which has ended, because a container has one process.
            return False
        observed = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if observed != self._observed:
            # Measure with our own clock how long it is unchanged, because the clocks of other nodes may differ.
            self._observed, self._observed_at = observed, now
        duration = spec.get("leaseDurationSeconds") or self._settings.lease_duration_seconds
        return now < self._observed_at + float(duration)

    def _spec(self, before: Json) -> Json:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        mine = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._settings.lease_duration_seconds,
            "acquireTime": before.get("acquireTime") if mine else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if mine or not before else 1),
        }
