"""A pod in a pool: what it is made from, and how far it is from being of use to a Sandbox.

Until one takes it, it is treated as if a Sandbox of the pod's own name had it, whose status nobody writes down.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from caisson.api.pool import SandboxPool
from caisson.api.reasons import CRASH_REASONS, ConditionType, Outlook, Reason
from caisson.api.sandbox import ObjectMeta, Sandbox, SandboxSpec, SandboxStatus
from caisson.api.template import SandboxTemplate
from caisson.config import Config
from caisson.core.allowance import ConfigurationConflict
from caisson.core.backoff import exponential
from caisson.core.control import preload_command
from caisson.core.decide import Decision, decide_member
from caisson.core.dockerstate import look_session, vouched_until
from caisson.core.observation import Observation, SessionLost, SessionReported, SessionRunning
from caisson.core.plan import NOTHING, Expected, OpenSession, Step, earliest
from caisson.core.pod import first_probe_within, render_pod
from caisson.core.podstate import awaits_first_probe, is_finished
from caisson.core.podview import PodView
from caisson.core.template import TEMPLATE_ANNOTATION, MadeFrom, fields_of, write_template
from caisson.core.verdict import Verdict, verdict

Json = dict[str, Any]

TEMPLATE_HASH_ANNOTATION = "caisson.dev/pool-template-hash"
_MOST_TEMPLATE_BYTES = 128 * 1024
"""Half of what an object's annotations may have together."""
_PRELOAD_TIMEOUT_SECONDS = 1800
_PRELOAD_CEILING_SECONDS = 300


class Standing(Enum):
    """What a pod of a pool is good for."""

    PENDING = "is on its way"
    PRELOADING = "has Docker, and pulls images"
    AVAILABLE = "can be taken"
    FAILED = "will not become ready"


class Revision(Enum):
    """How a pod of a pool compares with the pod that Caisson would create now."""

    CURRENT = "is the same"
    OUTDATED = "has the pool's template, and differs by the configuration or the version of Caisson"
    UNREADABLE = "has a template that can't be read"
    OTHER_TEMPLATE = "has another template"

    @property
    def has_pool_template(self) -> bool:
        """Whether a Sandbox can take such a pod: one with another template is not what the user asks for."""
        return self in {Revision.CURRENT, Revision.OUTDATED}


@dataclass(frozen=True)
class DesiredPod:
    """What the pods of a pool should be created from."""

    made_from: MadeFrom
    annotation: str
    """`made_from` as it is written on a pod."""

    hash: str
    """Names the template, the configuration and the rendered pod."""


@dataclass(frozen=True)
class PreloadState:
    """Whether the images are there, as far as this process was told, and how often and when it asked for them."""

    done: bool = False
    problem: str | None = None
    tries: int = 0
    at: datetime | None = None
    asking: bool = False
    """The session that is open, or was the last, asks for them."""

    def tried(self, now: datetime) -> "PreloadState":
        """Return the same after one more try."""
        return replace(self, tries=self.tries + 1, at=now, asking=True)


@dataclass(frozen=True)
class MemberDecision:
    """What is known of a pod now, what it is good for, what hinders it, and the next step."""

    status: SandboxStatus
    standing: Standing
    problem: Verdict | None
    step: Step
    until: datetime | None = None
    """Where it can be taken before the kubelet has called it ready: for how long."""


def virtual_sandbox(
    namespace: str, pod_name: str, pool_uid: str, template: SandboxTemplate, status: SandboxStatus | None = None
) -> Sandbox:
    """Return the Sandbox as whose a pool's pod is made and looked at."""
    metadata = ObjectMeta(name=pod_name, namespace=namespace, uid=pool_uid)
    spec = SandboxSpec.model_construct(**fields_of(template))
    return Sandbox(metadata=metadata, spec=spec, status=status or SandboxStatus())


def render_member(pool: SandboxPool, config: Config, pod_name: str) -> Json:
    """Return a Pod (core/v1, as JSON) for a pool. Raises ConfigurationConflict where it may not be."""
    written = write_template(pool.spec.template.spec, pool.spec.preload)
    if len(written.encode()) > _MOST_TEMPLATE_BYTES:
        raise ConfigurationConflict(
            Reason.TEMPLATE_TOO_LARGE,
            f"spec.template.spec: {len(written.encode())} bytes are more than {_MOST_TEMPLATE_BYTES}",
        )
    own = pool.metadata
    sandbox = virtual_sandbox(own.namespace, pod_name, own.uid, pool.spec.template.spec)
    manifest = render_pod(sandbox, config, pool)
    # The configuration counts as well, unlike with a pod that somebody works in: nothing is lost by replacing this one.
    # Fields at their default are left out, so that a new version of Caisson with more fields leaves pods alone.
    configured = config.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include={"sandboxes", "toolboxes"}
    )
    shape = [written, manifest["spec"], configured]
    hashed = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    manifest["metadata"]["annotations"] |= {TEMPLATE_ANNOTATION: written, TEMPLATE_HASH_ANNOTATION: hashed}
    return manifest


def desired_pod(pool: SandboxPool, config: Config) -> DesiredPod:
    """Return what the pods of a pool should be created from. Raises ConfigurationConflict if there may be none."""
    rendered = render_member(pool, config, pool.metadata.name)
    annotations = rendered["metadata"]["annotations"]
    made_from = MadeFrom(pool.spec.template.spec, pool.spec.preload)
    return DesiredPod(made_from, annotations[TEMPLATE_ANNOTATION], annotations[TEMPLATE_HASH_ANNOTATION])


def revision_of(pod: Json, made_from: Callable[[], MadeFrom | None], desired: DesiredPod) -> Revision:
    """Compare a pod (core/v1, as JSON) with the desired one.

    `made_from` is called only if the text on the pod differs, because reading that text costs much more.
    """
    annotation = (pod["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
    # Another version of Caisson may write the same template differently.
    if annotation != desired.annotation and (actual := made_from()) != desired.made_from:
        return Revision.UNREADABLE if actual is None else Revision.OTHER_TEMPLATE
    return Revision.CURRENT if template_hash(pod) == desired.hash else Revision.OUTDATED


def template_hash(pod: Json) -> str | None:
    """Return the hash of what a pod (core/v1, as JSON), there or only rendered, is made from."""
    annotations = pod["metadata"].get("annotations") or {}
    found = annotations.get(TEMPLATE_HASH_ANNOTATION)
    return found if isinstance(found, str) else None


def member_state(
    seen: Observation, made_from: MadeFrom, preload: PreloadState, config: Config, now: datetime
) -> MemberDecision:
    """Return what becomes of a pod of a pool. `seen` is of its virtual Sandbox."""
    pod = seen.pod
    assert pod is not None  # noqa: S101
    decision = decide_member(seen, pod, config, now)
    status = decision.status
    ready = status.condition(ConditionType.READY)
    assert ready is not None  # noqa: S101  there is one in every status
    found = Verdict(ready.status, Reason(ready.reason), ready.message)
    if is_finished(pod) or _is_final(status, found):
        return MemberDecision(status, Standing.FAILED, found, NOTHING)
    if ready.status != "True":
        problem = found if found.reason.outlook is Outlook.RETRIED else None
        return MemberDecision(status, Standing.PENDING, problem, decision.step)
    if made_from.preload and not preload.done:
        return _preloading(seen, made_from, preload, decision, config, now)
    if pod.ready:
        return MemberDecision(status, Standing.AVAILABLE, None, decision.step)
    until = _until_probed(seen, pod, status, config)
    if until is None or now >= until:
        return MemberDecision(status, Standing.PENDING, None, decision.step)
    step = replace(decision.step, wake_at=earliest(decision.step.wake_at, until))
    return MemberDecision(status, Standing.AVAILABLE, None, step, until)


def _until_probed(seen: Observation, pod: PodView, status: SandboxStatus, config: Config) -> datetime | None:
    """Return until when it may be taken though the kubelet has not called it ready; None: it may not."""
    own_word = vouched_until(status, seen.looked_at) if seen.sandbox.spec.docker.enabled else None
    if own_word is None or not awaits_first_probe(pod) or pod.running_since is None:
        return None
    return min(own_word, pod.running_since + first_probe_within(config))


def preload_outcome(before: PreloadState, session: SessionReported | SessionLost) -> tuple[PreloadState, bool]:
    """Return what is known of the images after a session, and whether that session was about them."""
    if not before.asking:
        return before, False
    if isinstance(session, SessionLost):
        return replace(before, problem=session.message, asking=False), True
    told = session.report.preload
    if told is not None and told.problem is None:
        return PreloadState(done=True), True
    return replace(before, problem=told.problem if told is not None else before.problem, asking=False), True


def _is_final(status: SandboxStatus, found: Verdict) -> bool:
    if found.reason in CRASH_REASONS:
        return status.crash is not None and status.crash.restart == 0
    # Another pod of the pool may get another node; a Sandbox waits for the correction.
    return found.reason.outlook is Outlook.FINAL or found.reason is Reason.NOT_GVISOR


def _preloading(
    seen: Observation, made_from: MadeFrom, preload: PreloadState, decision: Decision, config: Config, now: datetime
) -> MemberDecision:
    pod = seen.pod
    assert pod is not None  # noqa: S101
    problem = None if preload.problem is None else verdict("False", Reason.PRELOAD_FAILED, said=preload.problem)
    step = _preload_step(seen, pod, made_from, preload, decision, config, now)
    return MemberDecision(decision.status, Standing.PRELOADING, problem, step)


def _preload_step(
    seen: Observation,
    pod: PodView,
    made_from: MadeFrom,
    preload: PreloadState,
    decision: Decision,
    config: Config,
    now: datetime,
) -> Step:
    if isinstance(seen.session, SessionRunning):
        return NOTHING
    if decision.step.action is not None or isinstance(seen.session, SessionLost):
        # The pod turned unready, or the last look at dockerd was lost: dockerd comes first.
        return decision.step
    if preload.at is not None:
        due = preload.at + exponential(preload.tries, first=5, ceiling=_PRELOAD_CEILING_SECONDS)
        if now < due:
            return Step(wake_at=earliest(due, decision.step.wake_at))
        if seen.looked_at is None or seen.looked_at <= preload.at:
            # The last attempt failed. If that is because dockerd died, no further attempt can succeed.
            return Step(look_session(seen.sandbox, decision.status.docker, config, pod))
    command = tuple(preload_command(pod.uid, made_from.preload))
    return Step(OpenSession(pod.name, pod.uid, pod.node or "", command, _PRELOAD_TIMEOUT_SECONDS, Expected.PRELOAD))
