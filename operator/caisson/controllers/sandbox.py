"""One reconcile: observe, decide, act, observe, write. Level-triggered: why it was woken does not matter."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from caisson.api.reasons import Reason
from caisson.api.resources import ObjectMeta, Sandbox
from caisson.api.spec.lifetime import Lifetime, OnExpiry
from caisson.api.spec.sandbox import KIND, PLURAL, SandboxSpec
from caisson.api.status.sandbox import Origin, SandboxStatus
from caisson.config.model import Config
from caisson.controllers.actions import ActionExecutor
from caisson.controllers.events import EventRecorder
from caisson.controllers.memory import Memory
from caisson.controllers.pool import PoolController
from caisson.controllers.status_writer import first_problem, readable_status, stored_status, write_status
from caisson.kube.client import KubeClient
from caisson.kube.clock import now
from caisson.kube.errors import AnswerTooLarge
from caisson.kube.resources import SANDBOXES
from caisson.kube.store import Store
from caisson.model.actions import Action, ApplyObject, ChildKind, ClaimPod, DeleteObject, earliest
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.key import Key, OwnerKey, claimed_pod
from caisson.model.observed import ClaimablePod, ObservedState, PodEvents
from caisson.model.ownership import controller_of, is_owned_by
from caisson.model.pod_snapshot import pod_snapshot
from caisson.model.session import Session, SessionReported
from caisson.model.unreadable import has_unknown_owner, is_unreadable, unreadable_condition
from caisson.pod.template_annotation import read_template, with_template
from caisson.pool.selection import NoWarmPod
from caisson.sandbox.decide import decide
from caisson.sandbox.invalid import decide_unread
from caisson.sandbox.state import Decision
from caisson.status.events import expiry_warning, recent_events, transition_events
from caisson.status.patch import as_json, defer_write_until
from caisson.telemetry.health import Health
from caisson.telemetry.metrics import Metrics
from caisson.timing import HANDOVER_WINDOW, RESYNC_INTERVAL, WRITE_CONFLICT_RETRY_DELAY
from caisson.util.merge_patch import merge_patch

Json = dict[str, Any]
log = structlog.get_logger(__name__)


class _Pooled(NamedTuple):
    """A Sandbox with what it has from its pool."""

    sandbox: Sandbox
    warm: ClaimablePod | None = None
    soon: bool = False
    missing: bool = False
    unreadable: bool = False
    """The pod is there, but not the template that it was created from."""


class SandboxController:
    """Brings one Sandbox a step further."""

    def __init__(
        self,
        config: Config,
        kube: KubeClient,
        sandboxes: Store,
        pods: Store,
        children: Mapping[ChildKind, Store],
        pools: PoolController,
        actions: ActionExecutor,
        health: Health,
        metrics: Metrics,
        wake: Callable[[Key], None],
        wake_after: Callable[[Key, float], None],
        forget: Callable[[Key], None],
    ) -> None:
        """Read from the stores, act through `actions`; ask for another look by `wake` and `wake_after` (seconds)."""
        self._config, self._kube, self._actions = config, kube, actions
        self._health, self._metrics = health, metrics
        self._sandboxes, self._pods, self._children, self._pools = sandboxes, pods, children, pools
        self._wake, self._wake_after, self._forget = wake, wake_after, forget
        self._recorder = EventRecorder(kube, KIND)
        self._memories: dict[Key, Memory] = {}
        self._has_logged_pruning = False

    async def reconcile(self, key: Key) -> None:
        """Look at a Sandbox, do the one next thing, and write its status where that changed."""
        raw = self._sandboxes.get(key)
        if raw is None or "deletionTimestamp" in raw["metadata"]:
            # Its pod goes by its owner reference; nothing is done for a Sandbox that is on its way out.
            self._drop(key)
            if raw is None:
                self._health.gone(key)
            return
        memory = self._memory(key, raw)
        if is_unreadable(raw):
            await self._settle_unreadable(key, raw, memory)
            return
        metadata, status = ObjectMeta.model_validate(raw["metadata"]), readable_status(SandboxStatus, raw)
        await self._announce(metadata, memory, status)
        try:
            # Both parts are not parsed again.
            sandbox = Sandbox.model_validate(raw | {"metadata": metadata, "status": status})
        except ValidationError as error:
            await self._settle_unread(key, raw, memory, _invalid(error))
            return
        observed = self._observe(key, sandbox, memory)
        decision = decide(observed, self._config, now())
        performed: Action | None = None
        while (action := decision.plan.action) is not None and _may_follow(action, performed):
            await self._actions.perform(key, observed.sandbox, memory, action)
            performed = action
            if isinstance(action, ClaimPod):
                # What was written to the status is what the next look goes by.
                raw = self._sandboxes.get(key) or raw
                sandbox = _read(raw)
            observed = self._observe(key, sandbox, memory)
            decision = decide(observed, self._config, now())
        await self._write(key, observed, memory, decision, stored_status(raw, sandbox.status))
        if decision.plan.action not in (None, performed):
            # What was done cleared the way for something else.
            self._wake_after(key, 0)

    def _observe(self, key: Key, sandbox: Sandbox, memory: Memory) -> ObservedState:
        own, others = self._own_pods(key, sandbox)
        pod = pod_snapshot(own) if own is not None else None
        if pod is not None and pod.uid == memory.claiming and pod.owner_uid == sandbox.metadata.uid:
            # The pod itself shows that the claim succeeded, also if the answer to the claim was lost.
            memory.claiming, memory.claimed_at = None, now()
            self._metrics.claimed(Origin.WARM)
        unreadable = [obj for obj in (own, *others) if obj is not None and is_unreadable(obj)]
        pooled = self._pooled(sandbox, own, memory)
        session: Session | None = memory.session
        events: PodEvents | None = memory.pod_events
        observed = ObservedState(
            sandbox=pooled.sandbox,
            pod=pod,
            surplus=tuple(pod_snapshot(other) for other in others) if not unreadable else (),
            unreadable=unreadable_condition(unreadable[0]) if unreadable else None,
            warm=pooled.warm,
            warm_soon=pooled.soon,
            pool_missing=pooled.missing,
            template_unreadable=pooled.unreadable,
            claimed_at=memory.claimed_at or _recently_claimed_at(sandbox),
            children={kind: obj for kind, store in self._children.items() if (obj := store.get(key)) is not None},
            create_failure=memory.create_failure,
            child_failures=dict(memory.child_failures),
            session=session if pod and session and session.pod_uid == pod.uid else None,
            idle=memory.idle if pod and memory.idle and memory.idle.pod_uid == pod.uid else None,
            pod_events=events if pod and events and events.pod_uid == pod.uid else None,
            looked_at=memory.looked_at,
        )
        if memory.start is not None:
            for phase, seconds in memory.start.advance(observed, asyncio.get_running_loop().time()):
                self._metrics.phase(phase, seconds)
            observed = replace(observed, startup=memory.start.moments_of(pod))
        return observed

    def _own_pods(self, key: Key, sandbox: Sandbox) -> tuple[Json | None, list[Json]]:
        """Return the Sandbox's pod, and what other pods it owns.

        Where it owns none, the pod is that of an earlier Sandbox of this name, or one of the name that nobody owns.
        """
        candidates = self._pods.indexed(OwnerKey(key.namespace, KIND, key.name))
        # One whose owner could not be read may be the Sandbox's: there must be no second one beside it.
        mine = [pod for pod in candidates if is_owned_by(pod, sandbox) or has_unknown_owner(pod)]
        if not mine and (pod := self._unreadable_pod_of_status(sandbox)) is not None:
            mine = [pod]
        uid = sandbox.status.pod_uid
        if uid is None and len(mine) > 1:
            # If the rest of the status can't be read, this part may be readable.
            uid = claimed_pod(self._sandboxes.get(key) or {})
        # The one that the status speaks of is the one that the user knows.
        mine.sort(key=lambda pod: (pod["metadata"]["uid"] != uid, pod["metadata"]["name"]))
        if mine:
            return mine[0], mine[1:]
        of_the_name = self._pods.get(key)
        if of_the_name is not None and controller_of(of_the_name) is not None:
            of_the_name = None
        # Those that an earlier Sandbox took out of a pool have other names: they are in nobody's way.
        return next((pod for pod in candidates if pod["metadata"]["name"] == key.name), of_the_name), []

    def _unreadable_pod_of_status(self, sandbox: Sandbox) -> Json | None:
        """Return the pod that the status names, if neither its owner nor its labels could be read."""
        name, uid = sandbox.status.pod_name, sandbox.status.pod_uid
        pod = self._pods.get(Key(sandbox.metadata.namespace, name)) if name is not None else None
        return pod if pod is not None and pod["metadata"]["uid"] == uid and has_unknown_owner(pod) else None

    def _pooled(self, sandbox: Sandbox, pod: Json | None, memory: Memory) -> _Pooled:
        """Fill in what a pool's template says, and look for a pod in the pool where there is none yet."""
        if sandbox.spec.pool_ref is None:
            return _Pooled(sandbox)
        pool = self._pools.get(Key(sandbox.metadata.namespace, sandbox.spec.pool_ref.name))
        template_record = read_template(pod) if pod is not None else None
        if template_record is not None:
            return _Pooled(with_template(sandbox, template_record.template))
        if pod is not None and is_owned_by(pod, sandbox):
            return _Pooled(sandbox, unreadable=True)
        if pool is None:
            return _Pooled(sandbox, missing=True)
        filled = with_template(sandbox, pool.spec.template.spec)
        if pod is not None or _claim_problem(sandbox.metadata, memory) is not None:
            # The name is another pod's, or the claim would be refused again. One of its own may be allowed.
            return _Pooled(filled)
        selected = self._pools.find_warm_pod(sandbox, pool)
        warm = None if isinstance(selected, NoWarmPod) else selected
        return _Pooled(filled, warm, soon=selected is NoWarmPod.SOON)

    async def _write(self, key: Key, observed: ObservedState, memory: Memory, decision: Decision, stored: Json) -> None:
        """Write the status if it is not `stored` and may not wait for a better one; see that the key comes back."""
        previous_status = observed.sandbox.status
        patch = merge_patch(stored, as_json(decision.status))
        requeue_at = earliest(decision.plan.requeue_at, now() + RESYNC_INTERVAL)
        if not patch or patch == memory.pruned:
            memory.status_changed_since = None
            _consume(memory, observed.session)
        else:
            memory.status_changed_since = memory.status_changed_since or now()
            waits = defer_write_until(previous_status, decision.status, memory.status_changed_since)
            if waits is not None and now() < waits:
                requeue_at = earliest(requeue_at, waits)
            elif not await self._patch(observed, memory, decision.status, patch):
                requeue_at = earliest(requeue_at, now() + WRITE_CONFLICT_RETRY_DELAY)
            else:
                await self._announce(observed.sandbox.metadata, memory, decision.status)
                # What was just written may be what the next step goes by.
                requeue_at = now()
        if requeue_at is not None:
            self._wake_after(key, (requeue_at - now()).total_seconds())

    async def _announce(self, metadata: ObjectMeta, memory: Memory, status: SandboxStatus) -> None:
        """Record the Events and metrics of what changed in the stored status since the last call.

        They depend on the stored status and not on the answer to a write, so they are recorded once even if that
        answer is lost. At its first look, an operator makes up for what an earlier one may have left out.
        """
        before, memory.announced_status = memory.announced_status, status
        if before is None:
            new = recent_events(status, now() - HANDOVER_WINDOW)
        else:
            new = transition_events(before, status, _claim_problem(metadata, memory))
            if status.pool is not None and status.pool != before.pool and status.pool.origin is Origin.COLD:
                self._metrics.claimed(Origin.COLD)
        for event in new:
            is_first = await self._recorder.record(metadata, event)
            if is_first and event.crash is not None:
                self._metrics.crashed(event.crash.reason)

    async def _patch(self, observed: ObservedState, memory: Memory, status: SandboxStatus, patch: Json) -> bool:
        """Write the status. Returns False when the Sandbox is gone or has changed by now."""
        if (ahead := expiry_warning(observed.sandbox.status, status)) is not None:
            await self._recorder.record(observed.sandbox.metadata, ahead)
        written = await write_status(self._kube, self._sandboxes, PLURAL, observed.sandbox.metadata, patch)
        if written is None:
            return False
        self._health.wrote(observed.sandbox.metadata.resource_version, written)
        memory.pruned = merge_patch(written.get("status", {}), as_json(status))
        if _sets(memory.pruned) and not self._has_logged_pruning:
            self._has_logged_pruning = True
            log.warning(
                "the CRD is older than the operator: parts of the status are not kept",
                fields=sorted(memory.pruned),
                hint="kubectl apply -f manifests/crd.yaml",
            )
        memory.status_changed_since = None
        _consume(memory, observed.session)
        return True

    async def _settle_unreadable(self, key: Key, stub: Json, memory: Memory) -> None:
        """Report that a Sandbox is not read. Its lifetime holds as far as it can be read for a moment."""
        try:
            raw = await self._kube.find(SANDBOXES, key.namespace, key.name)
        except AnswerTooLarge:
            # The store has reported it. To write a status, what it was before must be known.
            return
        # If it is gone, or another one, the watch is about to report that.
        if raw is not None and raw["metadata"]["uid"] == memory.uid:
            status = readable_status(SandboxStatus, raw)
            await self._announce(ObjectMeta.model_validate(raw["metadata"]), memory, status)
            problem = unreadable_condition(stub)
            await self._settle_unread(key, raw, memory, replace(problem, status="False"))

    async def _settle_unread(self, key: Key, raw: Json, memory: Memory, problem: ConditionResult) -> None:
        spec, lifetime = raw.get("spec") or {}, _readable_lifetime(raw)
        bare = Sandbox.model_construct(
            metadata=ObjectMeta.model_validate(raw["metadata"]),
            spec=SandboxSpec.model_construct(
                image="",
                # Of the two ends, the one with a way back.
                lifetime=lifetime or Lifetime(on_expiry=OnExpiry.SUSPEND),
                suspend=spec.get("suspend") is True,
            ),
            status=readable_status(SandboxStatus, raw),
        )
        observed = replace(self._observe(key, bare, memory), lifetime_unreadable=lifetime is None)
        decision = decide_unread(observed, self._config, problem, now())
        if decision.plan.action is not None:
            await self._actions.perform(key, bare, memory, decision.plan.action)
        await self._write(key, observed, memory, decision, stored_status(raw, bare.status))

    def _memory(self, key: Key, raw: Json) -> Memory:
        uid = raw["metadata"]["uid"]
        memory = self._memories.get(key)
        if memory is None or memory.uid != uid:
            self._drop(key)
            memory = self._memories[key] = Memory(uid, lambda: self._wake(key))
        return memory

    def _drop(self, key: Key) -> None:
        memory = self._memories.pop(key, None)
        if memory is not None:
            memory.close()
        self._forget(key)


def _claim_problem(metadata: ObjectMeta, memory: Memory) -> ConditionResult | None:
    """Why the API server would not let a pod be taken for this generation of the spec."""
    failure = memory.claim_failure
    return failure.result if failure is not None and failure.generation == metadata.generation else None


def _recently_claimed_at(sandbox: Sandbox) -> datetime | None:
    """When the pod was taken, if that was a moment ago: by an operator that may not have come to look at it."""
    pool = sandbox.status.pool
    claimed_at = pool.claimed_at if pool is not None else None
    return claimed_at if claimed_at is not None and now() - claimed_at < HANDOVER_WINDOW else None


def _may_follow(action: Action, performed: Action | None) -> bool:
    """What comes before the pod is done with it in one go: no status in between is worth a write."""
    return performed is None or (isinstance(performed, ApplyObject | DeleteObject) and action != performed)


def _sets(patch: Json) -> bool:
    """Tell whether a merge patch sets anything: what it only removes, somebody else has put there."""
    return any(_sets(value) if isinstance(value, dict) else value is not None for value in patch.values())


def _consume(memory: Memory, observed: Session | None) -> None:
    """What a session reported is in the status now. One that ended or was opened meanwhile has yet to be seen."""
    if isinstance(observed, SessionReported) and memory.session is observed:
        memory.session = None


def _invalid(error: ValidationError) -> ConditionResult:
    return condition_result("False", Reason.INVALID_SPEC, external_message=first_problem(error))


def _read(raw: Json) -> Sandbox:
    """Read a Sandbox. Raises ValidationError where its spec does not fit; a status that does not is as good as none."""
    return Sandbox.model_validate(raw | {"status": readable_status(SandboxStatus, raw)})


def _readable_lifetime(raw: Json) -> Lifetime | None:
    """Return when a Sandbox whose spec can't be read ends; None if that part can't be read either."""
    try:
        return Lifetime.model_validate((raw.get("spec") or {}).get("lifetime") or {})
    except ValidationError:
        return None
