"""Which of several operators works: a Lease, by the protocol of client-go's leader election.

A Lease does not fence: a leader that was stopped for a while goes on where it was. So what writes asks `is_leader`
before each request. It goes by this process's monotonic clock, which runs on while the process is stopped, and ends
before others may take over. What still slips through is harmless by itself: pods have fixed names, status is
written with its resource version, and starting dockerd twice is a no-op.

The official client has a leader election of its own; it compares wall clocks and never gives a lease back.
"""

import asyncio
import random
import secrets
import socket
from typing import Any

import structlog

from caisson.config.model import LeaderElection
from caisson.kube.client import KubeClient
from caisson.kube.clock import Clock
from caisson.kube.errors import Conflict, LeaseLost, NotFound
from caisson.model.errors import CaissonError
from caisson.timing import LEASE_RELEASE_TIMEOUT_SECONDS

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class LeaderElector:
    """A lease that this process wants, and may hold."""

    def __init__(
        self, *, kube: KubeClient, clock: Clock, namespace: str, pod: str | None, settings: LeaderElection
    ) -> None:
        """Want the Lease of the settings' name in a namespace, for this process of a pod (None: of no pod)."""
        self._kube, self._clock, self._namespace, self._settings = kube, clock, namespace, settings
        self._identity = f"{pod or socket.gethostname()}_{secrets.token_hex(4)}"
        self._of_this_pod = f"{pod}_" if pod else None
        self._held_until = 0.0
        self._lease: Json | None = None
        self._observed: tuple[object, ...] = ()
        self._observed_at = 0.0

    def is_leader(self) -> bool:
        """Tell whether the lease is ours for certain, without asking anybody."""
        return asyncio.get_running_loop().time() < self._held_until

    async def acquire(self) -> None:
        """Wait until the lease is ours."""
        while not await self._try():  # noqa: ASYNC110  what is waited for happens elsewhere
            # Not in step with the others who wait.
            await asyncio.sleep(self._settings.retry_period_seconds * random.uniform(0.8, 1.2))  # noqa: S311
        log.info("leading", identity=self._identity)

    async def renew_until_lost(self) -> None:
        """Renew the lease until it is lost, which raises LeaseLost."""
        while self.is_leader():
            await asyncio.sleep(self._settings.retry_period_seconds)
            await self._try()
        raise LeaseLost(f"the lease {self._settings.lease_name} was not renewed in time")

    async def release(self) -> None:
        """Give the lease back, if it is ours, so that another can take over at once."""
        if not self.is_leader() or self._lease is None:
            return
        self._held_until = 0.0
        try:
            async with asyncio.timeout(LEASE_RELEASE_TIMEOUT_SECONDS):
                # Read anew: a renewal that was under way when we were told to stop may have been the last word.
                lease = await self._kube.get_lease(self._namespace, self._settings.lease_name)
                if lease["spec"].get("holderIdentity") == self._identity:
                    lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._kube.update_lease(self._namespace, lease)
        except (CaissonError, TimeoutError, LookupError, TypeError, AttributeError) as error:
            log.warning("lease not released", error=str(error))

    async def _try(self) -> bool:
        """Acquire or renew. Returns whether the lease is ours now; what fails is tried again."""
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._settings.renew_deadline_seconds):
                self._lease = await self._write(now)
        except Conflict:
            self._lease = None
        except (CaissonError, TimeoutError, LookupError, TypeError, ValueError, AttributeError) as error:
            # Whoever may write the Lease may write nonsense: nobody else leads either, then.
            self._lease = None
            log.warning("lease not reached", error=str(error) or type(error).__name__)
        if self._lease is None:
            return False
        # From before the request: that is the renewal that others can know of.
        self._held_until = now + self._settings.renew_deadline_seconds
        return True

    async def _write(self, now: float) -> Json | None:
        """Write the lease if it may be ours; return what is written."""
        lease = self._lease
        if lease is None:
            try:
                lease = await self._kube.get_lease(self._namespace, self._settings.lease_name)
            except NotFound:
                metadata = {"name": self._settings.lease_name, "namespace": self._namespace}
                return await self._kube.create_lease(self._namespace, {"metadata": metadata, "spec": self._spec({})})
            if self._is_anothers(lease["spec"], now):
                return None
        return await self._kube.update_lease(self._namespace, lease | {"spec": self._spec(lease["spec"])})

    def _is_anothers(self, spec: Json, now: float) -> bool:
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return False
        if self._of_this_pod is not None and holder.startswith(self._of_this_pod):
            # A container has one process, and is started again when that has ended: nobody holds it any more.
            return False
        observed = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if observed != self._observed:
            # Since when it is unchanged, by our own clock: clocks of other nodes may differ.
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
