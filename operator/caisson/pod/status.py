"""Maps the state of a pod to the PodRunning condition, with an ordered list of checks. The first match wins.

The checks match the messages of Kubernetes 1.37 and containerd 2. The end-to-end tests cause each of them on a real
cluster.
"""

import re
from collections.abc import Callable, Iterable

from caisson.api.reasons import Reason
from caisson.model.condition import ConditionResult, condition_result
from caisson.model.pod_shape import CONTAINER_NAME, GATE_NAME
from caisson.model.pod_snapshot import Disruption, PodEvent, PodSnapshot, Terminated
from caisson.model.tripwire import is_tripped

GATE_EXIT_CODE = 86
_GATE_MARK = "caisson-gate: NotGVisor"

_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "ImageInspectError",
        "ErrImageNeverPull",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_START_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "CrashLoopBackOff",
        "PostStartHookError",
    },
)
_CANNOT_RUN = frozenset({"StartError", "ContainerCannotRun", "RunContainerError"})
_CONTAINER_LOST = frozenset({"Unknown", "ContainerStatusUnknown"})
"""Reasons of a terminated container whose end was not observed: containerd reports the first after a reboot, and the
kubelet the second if containerd has lost the container. The sandbox controls its exit code and its message, but not
this reason."""
_DEADLINE = "DeadlineExceeded"
"""The pod's reason after its activeDeadlineSeconds, which Caisson does not set: a new pod would reach it again."""
_BY_KUBELET = "TerminationByKubelet"
_MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume"})
_SANDBOX_EVENT = "FailedCreatePodSandBox"
_RELEVANT_EVENTS = frozenset({_SANDBOX_EVENT, "Failed"}) | _MOUNT_EVENTS
"""Events of the node about a pod that does not start. Other events, such as the scheduler's, may be obsolete."""
_OF_A_PULL = re.compile(rf"Failed to pull image |Error: (?:{'|'.join(sorted(_PULL_REASONS))})$")
"""Messages of the kubelet's Events about image pulls. The pod's status contains more details shortly after."""
_BACKING_OFF = re.compile(r"Back-off pulling image \"[^\"]*\": \w+: ")
"""A prefix that the kubelet adds only while it backs off. It is removed, so that the message does not alternate."""
_HANDLER = re.compile(
    r"no runtime for \"[^\"]*\" is configured|unknown runtime handler|RuntimeHandler .* not supported", re.IGNORECASE
)
_UNBOUND = re.compile(r"unbound immediate PersistentVolumeClaims", re.IGNORECASE)
_TOO_MUCH_DISK = re.compile(r"exceeds the (?:total )?limit|exceeded its local ephemeral storage limit", re.IGNORECASE)

Check = Callable[[PodSnapshot, tuple[PodEvent, ...]], ConditionResult | None]


def pod_running_condition(pod: PodSnapshot, events: Iterable[PodEvent] = ()) -> ConditionResult:
    """Return the PodRunning condition of a pod. `events` are its Warnings, fetched if its status has no explanation."""
    warnings = tuple(events)
    for check in _CHAIN:
        result = check(pod, warnings)
        if result is not None:
            return result
    return condition_result("False", Reason.POD_PENDING)


def is_waiting_silently(pod: PodSnapshot) -> bool:
    """Report whether the pod waits on its node and only its Events may explain why."""
    is_silent = pod.waiting is None or pod.waiting.reason in {"", "ContainerCreating", "PodInitializing"}
    return pod.phase == "Pending" and pod.node is not None and not pod.terminating and is_silent


def is_finished(pod: PodSnapshot) -> bool:
    """Report whether the pod has terminated permanently."""
    return pod.phase in {"Failed", "Succeeded"}


def awaits_first_probe(pod: PodSnapshot) -> bool:
    """Report whether the kubelet has never reported the pod ready: its first probe is pending or has failed."""
    if pod.ready or pod.running_since is None or pod.ready_changed_at is None:
        return False
    return pod.ready_changed_at <= pod.running_since


def _terminating(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    return condition_result("False", Reason.POD_TERMINATING) if pod.terminating else None


def _mutated(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    """Detect a changed pod in clusters without the admission policy, which would reject it."""
    added = [name for name in pod.containers if name not in (GATE_NAME, CONTAINER_NAME)]
    if added:
        return condition_result(
            "False", Reason.POD_MUTATED, external_message=f"it has additional containers: {', '.join(added)}"
        )
    if not pod.has_isolation:
        return condition_result(
            "False", Reason.POD_MUTATED, external_message="spec.securityContext.sysctls was changed"
        )
    return None


def _evicted(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    if pod.reason != "Evicted":
        return None
    reason = Reason.STORAGE_LIMIT_EXCEEDED if _TOO_MUCH_DISK.search(pod.message) else Reason.EVICTED
    return condition_result("False", reason, external_message=pod.message)


def _not_gvisor(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    end = pod.terminated
    if end is None or end.exit_code != GATE_EXIT_CODE or not end.message.startswith(_GATE_MARK):
        return None
    return condition_result("False", Reason.NOT_GVISOR, external_message=end.message)


def _killed_by_memory(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    end = pod.terminated
    if end is None or end.reason != "OOMKilled":
        return None
    return condition_result("False", Reason.SANDBOX_OOM_KILLED)


def _disrupted(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    """Detect that the node or the cluster terminated the container, so its exit code does not describe the sandbox.

    The kubelet sets the phase Succeeded only if the container exited with 0 before.
    """
    end = pod.terminated
    if pod.phase == "Succeeded" or end is None:
        return None
    if end.reason in _CONTAINER_LOST:
        return condition_result(
            "False", Reason.POD_LOST, external_message=f"the node lost track of the container ({end.reason})"
        )
    if pod.phase != "Failed" or pod.reason == _DEADLINE:
        return None
    if pod.reason:
        return condition_result("False", Reason.POD_LOST, external_message=f"{pod.reason}: {pod.message}")
    disruption = pod.disruption
    if disruption is None or not _precedes(disruption, end):
        return None
    return condition_result("False", Reason.POD_LOST, external_message=f"{disruption.reason}: {disruption.message}")


def _precedes(disruption: Disruption, end: Terminated) -> bool:
    """Report whether the disruption began before the container's end, and can therefore be its cause.

    The kubelet sets the condition only after it has terminated the container. Other components (eviction, preemption,
    taints) set it before they delete the pod, even if the pod terminated long before.
    """
    if disruption.reason == _BY_KUBELET or disruption.since is None or end.finished_at is None:
        return True
    return disruption.since <= end.finished_at


def _deadline_exceeded(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    if pod.reason != _DEADLINE:
        return None
    return condition_result("False", Reason.CONTAINER_EXITED, external_message=f"{pod.reason}: {pod.message}")


def _could_not_run(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    end = pod.terminated
    if end is None or end.reason not in _CANNOT_RUN:
        return None
    return condition_result("False", Reason.CONTAINER_START_FAILED, external_message=end.message)


def _exited(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    end = pod.terminated
    if end is None or (pod.running and not is_finished(pod)):
        return None
    message = f"exit code {end.exit_code}. {end.message}"
    return condition_result("False", Reason.CONTAINER_EXITED, external_message=message)


def _lost(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    if not is_finished(pod):
        return None
    return condition_result(
        "False", Reason.POD_LOST, external_message=f"{pod.reason}: {pod.message}" if pod.reason else pod.message
    )


def _unknown(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    return (
        condition_result("Unknown", Reason.POD_UNKNOWN, external_message=pod.message)
        if pod.phase == "Unknown"
        else None
    )


def _runs(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    return condition_result("True", Reason.POD_RUNNING) if pod.running else None


def _unschedulable(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    if pod.unschedulable is None:
        return None
    if _UNBOUND.search(pod.unschedulable):
        return condition_result("False", Reason.VOLUME_CLAIM_PENDING, external_message=pod.unschedulable)
    return condition_result("False", Reason.UNSCHEDULABLE, external_message=pod.unschedulable)


def _pull_failed(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    if pod.waiting is None or pod.waiting.reason not in _PULL_REASONS:
        return None
    message = pod.waiting.message
    # The status of the container that mounts an image volume reports its pull. The kubelet uses the reference from the
    # pod; the runtime, which it quotes, may use another form.
    of_volume = pod.toolbox_image is not None and pod.toolbox_image in message
    of_toolbox = pod.waiting.is_init or of_volume
    reason = Reason.TOOLBOX_PULL_FAILED if of_toolbox else Reason.IMAGE_PULL_FAILED
    return condition_result("False", reason, external_message=_BACKING_OFF.sub("", message, count=1))


def _start_failed(pod: PodSnapshot, _: tuple[PodEvent, ...]) -> ConditionResult | None:
    if pod.waiting is None or pod.waiting.reason not in _START_REASONS:
        return None
    return condition_result("False", Reason.CONTAINER_START_FAILED, external_message=pod.waiting.message)


def _tripped(pod: PodSnapshot, events: tuple[PodEvent, ...]) -> ConditionResult | None:
    """Detect that the node's runtime applied the tripwire, which means that it is not gVisor.

    Tenants can write Events, so this applies only to a pod that never ran, and only to its own Sandbox.
    """
    never_ran = is_waiting_silently(pod) and pod.running_since is None and pod.terminated is None
    if not never_ran or not any(e.reason == _SANDBOX_EVENT and is_tripped(e.message) for e in events):
        return None
    return condition_result("False", Reason.NOT_GVISOR)


def _explained_by_events(pod: PodSnapshot, events: tuple[PodEvent, ...]) -> ConditionResult | None:
    relevant = [e for e in events if e.reason in _RELEVANT_EVENTS and not _OF_A_PULL.match(e.message)]
    if not relevant or not is_waiting_silently(pod):
        return None
    last = relevant[-1]
    if _HANDLER.search(last.message):
        return condition_result("False", Reason.RUNTIME_HANDLER_MISSING, external_message=last.message)
    if last.reason in _MOUNT_EVENTS:
        return condition_result("False", Reason.VOLUME_MOUNT_FAILED, external_message=last.message)
    return condition_result("False", Reason.CONTAINER_START_FAILED, external_message=last.message)


_CHAIN: tuple[Check, ...] = (
    _terminating,
    _mutated,
    _evicted,
    _not_gvisor,
    _killed_by_memory,
    _disrupted,
    _could_not_run,
    _deadline_exceeded,
    _exited,
    _lost,
    _unknown,
    _runs,
    _unschedulable,
    _pull_failed,
    _start_failed,
    _tripped,
    _explained_by_events,
)
