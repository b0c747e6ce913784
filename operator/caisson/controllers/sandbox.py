"""The controller of Sandboxes: one reconcile observes, decides, acts, observes again and writes the status.

It is level-triggered: what caused the reconcile does not matter.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from pydantic import ValidationError

from caisson.api.crd.structural_schema import Schema
from caisson.api.reasons import Reason
from caisson.api.resources import ObjectMeta, Sandbox
from caisson.api.spec.lifetime import Lifetime, OnExpiry
from caisson.api.spec.sandbox import KIND, PLURAL, SandboxSpec
from caisson.api.status.sandbox import Origin, SandboxStatus
from caisson.clock import Clock
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.caches import Caches
from caisson.controllers.events import EventRecorder
from caisson.controllers.exec_sessions import ExecSessions
from caisson.controllers.sandbox_observer import SandboxObserver, SandboxRecord
from caisson.controllers.status_writer import (
    first_problem,
    read_again,
    readable_status,
    stored_status,
    write_status,
)
from caisson.kube.client import KubeClient
from caisson.kube.resources import SANDBOXES
from caisson.kube.workqueue import Result, requeue_at
from caisson.model.actions import Action, ApplyObject, ClaimPod, DeleteObject, earliest
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.key import Key
from caisson.model.observed import ObservedState
from caisson.model.session import SessionReported
from caisson.model.unreadable import is_unreadable, unreadable_condition
from caisson.sandbox.decide import decide
from caisson.sandbox.invalid import decide_unread
from caisson.sandbox.state import Decision
from caisson.status.events import expiry_warning, recent_events, transition_events
from caisson.status.patch import defer_write_until, status_patch
from caisson.status.startup import StartupTimer
from caisson.telemetry.telemetry import Telemetry
from caisson.timing import HANDOVER_WINDOW, RESYNC_INTERVAL, WRITE_CONFLICT_RETRY_DELAY

Json = dict[str, Any]


class SandboxController:
    """Reconciles Sandboxes with their spec."""

    def __init__(
        self,
        *,
        config: Config,
        kube: KubeClient,
        clock: Clock,
        caches: Caches,
        telemetry: Telemetry,
        actions: ActionExecutor,
        sessions: ExecSessions,
        observer: SandboxObserver,
        status_schema: Schema | None,
    ) -> None:
        """Observe through `observer`, act through `actions`, and write the status through `kube`."""
        self._status_schema = status_schema
        self._config, self._kube, self._clock, self._caches = config, kube, clock, caches
        self._health, self._metrics = telemetry.health, telemetry.metrics
        self._actions, self._sessions, self._observer = actions, sessions, observer
        self._recorder = EventRecorder(kube=kube, clock=clock, kind=KIND)
        self._records: dict[Key, SandboxRecord] = {}

    async def reconcile(self, key: Key) -> Result:
        """Observe a Sandbox, perform the next action, and write the status if it changed."""
        raw = self._caches.sandboxes.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            # A Sandbox that is being deleted needs no action, because the garbage collector deletes its pod.
            self._drop(key)
            if raw is None:
                # The response to a write may have come after the deletion.
                self._health.gone(key)
            return Result(forget=True)
        record = self._record(key, raw)
        structlog.contextvars.bind_contextvars(uid=record.uid)
        problem: ConditionResult | None = None
        if is_unreadable(raw):
            problem = replace(unreadable_condition(raw), status="False")
            # Read the object for this reconcile only, because its lifetime still applies if it can be parsed.
            raw = await read_again(self._kube, SANDBOXES, raw)
            if raw is None:
                return Result()
        metadata, status = ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxStatus, raw)
        await self._announce(metadata, record, status)
        if problem is not None:
            return await self._reconcile_unread(raw, metadata, status, record, problem)
        try:
            # Pass the parsed parts, so that they are not parsed again.
            sandbox = Sandbox.model_validate(raw | {"metadata": metadata, "status": status})
        except ValidationError as error:
            invalid = condition_result("False", Reason.INVALID_SPEC, external_message=first_problem(error))
            return await self._reconcile_unread(raw, metadata, status, record, invalid)
        return await self._reconcile(raw, sandbox, record)

    async def _reconcile(self, raw: Json, sandbox: Sandbox, record: SandboxRecord) -> Result:
        key = Key(sandbox.metadata.namespace, sandbox.metadata.name)
        observed = self._observe(sandbox, record)
        decision = decide(observed, self._config, self._clock.now())
        performed: Action | None = None
        while (action := decision.plan.action) is not None and _may_follow(action, performed):
            await self._perform(observed.sandbox, record, action)
            performed = action
            if isinstance(action, ClaimPod):
                # The next decision is based on the written status.
                raw = self._caches.sandboxes.get(key) or raw
                sandbox = Sandbox.model_validate(raw | {"status": readable_status(SandboxStatus, raw)})
            observed = self._observe(sandbox, record)
            decision = decide(observed, self._config, self._clock.now())
        result = await self._write(observed, record, decision, stored_status(raw, sandbox.status))
        # The performed action may have made another action possible.
        return result if decision.plan.action in (None, performed) else Result(timedelta(0))

    async def _reconcile_unread(
        self, raw: Json, metadata: ObjectMeta, status: SandboxStatus, record: SandboxRecord, problem: ConditionResult
    ) -> Result:
        """Report why the spec can't be read. Its lifetime still applies if it can be parsed."""
        spec, lifetime = raw.get("spec") or {}, _readable_lifetime(raw)
        bare = Sandbox.model_construct(
            metadata=metadata,
            spec=SandboxSpec.model_construct(
                image="",
                # Suspend instead of Delete, because a suspension can be reverted.
                lifetime=lifetime or Lifetime(on_expiry=OnExpiry.SUSPEND),
                suspend=spec.get("suspend") is True,
            ),
            status=status,
        )
        observed = replace(self._observe(bare, record), lifetime_unreadable=lifetime is None)
        decision = decide_unread(observed, self._config, problem, self._clock.now())
        if decision.plan.action is not None:
            await self._perform(bare, record, decision.plan.action)
        return await self._write(observed, record, decision, stored_status(raw, status))

    async def _perform(self, sandbox: Sandbox, record: SandboxRecord, action: Action) -> None:
        if isinstance(action, ClaimPod):
            # Set before the claim, because the response to the claim may be lost.
            record.claiming = action.pod_uid
        outcome = await self._actions.perform(sandbox, action, record.streaks)
        record.streaks = outcome.apply_to(record.streaks)
        record.pod_events = outcome.pod_events or record.pod_events
        if outcome.created_pod_uid is not None:
            at = asyncio.get_running_loop().time()
            record.startup = StartupTimer(outcome.created_pod_uid, at, self._clock.now())

    def _observe(self, sandbox: Sandbox, record: SandboxRecord) -> ObservedState:
        pods, now = self._observer.own_pods(sandbox), self._clock.now()
        record.pod_uid = pods.pod["metadata"]["uid"] if pods.pod is not None else None
        if record.claiming is not None and pods.is_own(record.claiming, sandbox):
            # The pod itself shows that the claim succeeded, even if the response to the claim was lost.
            self._sessions.forget(record.claiming)
            record.claiming, record.claimed_at = None, now
            self._metrics.claimed(Origin.WARM)
        observed = self._observer.observe(sandbox, pods, record, now)
        if record.startup is not None:
            for phase, seconds in record.startup.advance(observed, asyncio.get_running_loop().time()):
                self._metrics.phase(phase, seconds)
            observed = replace(observed, startup=record.startup.moments_of(observed.pod))
        return observed

    async def _write(self, observed: ObservedState, record: SandboxRecord, decision: Decision, stored: Json) -> Result:
        """Write the status if it differs from `stored` and can't be deferred. Returns when to reconcile again."""
        previous_status, now = observed.sandbox.status, self._clock.now()
        patch = status_patch(stored, decision.status, self._status_schema)
        due = earliest(decision.plan.requeue_at, now + RESYNC_INTERVAL)
        if not patch:
            self._mark_recorded(record, observed)
            return requeue_at(due, now)
        record.status_changed_since = record.status_changed_since or now
        deferred_until = defer_write_until(previous_status, decision.status, record.status_changed_since)
        if deferred_until is not None and now < deferred_until:
            return requeue_at(earliest(due, deferred_until), now)
        written = await self._patch(observed, record, decision.status, patch)
        now = self._clock.now()
        if written is None:
            return requeue_at(earliest(due, now + WRITE_CONFLICT_RETRY_DELAY), now)
        await self._announce(observed.sandbox.metadata, record, decision.status)
        if written["metadata"]["resourceVersion"] == observed.sandbox.metadata.resource_version:
            # The API server dropped the whole patch, as with an older CRD, so the next write would be the same.
            return requeue_at(due, now)
        # The next action may depend on what was just written.
        return Result(timedelta(0))

    async def _patch(
        self, observed: ObservedState, record: SandboxRecord, status: SandboxStatus, patch: Json
    ) -> Json | None:
        """Write the status. Returns None if the Sandbox is gone or has changed by now."""
        if (warning := expiry_warning(observed.sandbox.status, status)) is not None:
            await self._recorder.record(observed.sandbox.metadata, warning)
        written = await write_status(self._kube, self._caches.sandboxes, PLURAL, observed.sandbox.metadata, patch)
        if written is not None:
            self._health.wrote(observed.sandbox.metadata.resource_version, written)
            self._mark_recorded(record, observed)
        return written

    def _mark_recorded(self, record: SandboxRecord, observed: ObservedState) -> None:
        """Record that the stored status contains the observation."""
        record.status_changed_since = None
        if isinstance(observed.session, SessionReported):
            self._sessions.consume(observed.session)

    async def _announce(self, metadata: ObjectMeta, record: SandboxRecord, status: SandboxStatus) -> None:
        """Record the Events and metrics of what changed in the stored status since the last call.

        They depend on the stored status and not on the response to a write, so they are recorded once even if that
        response is lost. At the first reconcile, this also records recent Events that an earlier operator may have
        missed.
        """
        before, record.announced_status = record.announced_status, status
        if before is None:
            new = recent_events(status, self._clock.now() - HANDOVER_WINDOW)
        else:
            new = transition_events(before, status, record.claim_problem(metadata))
            if status.pool is not None and status.pool != before.pool and status.pool.origin is Origin.COLD:
                self._metrics.claimed(Origin.COLD)
        for event in new:
            is_first = await self._recorder.record(metadata, event)
            if is_first and event.crash is not None:
                self._metrics.crashed(event.crash.reason)

    def _record(self, key: Key, raw: Json) -> SandboxRecord:
        uid = raw["metadata"]["uid"]
        record = self._records.get(key)
        if record is None or record.uid != uid:
            self._drop(key)
            record = self._records[key] = SandboxRecord(uid)
        return record

    def _drop(self, key: Key) -> None:
        record = self._records.pop(key, None)
        if record is not None and record.pod_uid is not None:
            self._sessions.forget(record.pod_uid)


def _may_follow(action: Action, performed: Action | None) -> bool:
    """Return whether the same reconcile performs an action: after child objects, it does not write the status first."""
    return performed is None or (isinstance(performed, ApplyObject | DeleteObject) and action != performed)


def _readable_lifetime(raw: Json) -> Lifetime | None:
    """Return the lifetime of a Sandbox whose spec can't be read; None if the lifetime can't be read either."""
    try:
        return Lifetime.model_validate((raw.get("spec") or {}).get("lifetime") or {})
    except ValidationError:
        return None
