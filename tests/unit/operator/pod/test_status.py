"""The PodRunning condition for pod statuses as the kubelet and the scheduler write them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisson.api.reasons import Reason
from caisson.model.pod_snapshot import PodEvent, pod_snapshot
from caisson.pod.status import is_waiting_silently, pod_running_condition
from tests.unit.operator.builders import NOW, POD_UID, UID

Json = dict[str, Any]


def pod(phase: str = "Pending", state: Json | None = None, **status: Any) -> Json:
    """Return a pod as stored by the API server, with this state of its container."""
    containers = [] if state is None else [{"name": "sandbox", "state": state}]
    node = {} if status.pop("no_node", False) else {"nodeName": "node-1"}
    return {
        "metadata": {
            "name": "demo", "namespace": "default", "uid": POD_UID, "creationTimestamp": "2026-03-01T12:00:00Z",
            "ownerReferences": [{"kind": "Sandbox", "name": "demo", "uid": UID, "controller": True}],
        },
        "spec": {**node, "initContainers": [{"name": "gate", "image": "toolbox:28"}]},
        "status": {"phase": phase, "containerStatuses": containers, **status},
    }  # fmt: skip


def waiting(reason: str, message: str = "") -> Json:
    """Return the state of a waiting container."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, reason: str = "Error", message: str = "", at: str | None = "2026-03-01T13:00:00Z") -> Json:
    """Return the state of a terminated container. The kubelet omits the time if it did not observe the end."""
    return {"terminated": {"exitCode": code, "reason": reason, "message": message, "finishedAt": at}}


def disruption(reason: str, at: str = "2026-03-01T12:59:58Z", status: str = "True") -> list[Json]:
    """Return the conditions of a pod that a component of the cluster terminates."""
    return [{"type": "DisruptionTarget", "status": status, "reason": reason, "message": "m", "lastTransitionTime": at}]


RUNS: Json = {"running": {"startedAt": "2026-03-01T12:00:01Z"}}
BY_KUBELET = disruption("TerminationByKubelet", "2026-03-01T13:00:02Z")
UNSCHEDULABLE = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]

STATES: dict[str, tuple[Json, str, Reason]] = {
    "just-created": (pod(no_node=True), "False", Reason.POD_PENDING),
    "creating": (pod(state=waiting("ContainerCreating")), "False", Reason.POD_PENDING),
    "runs": (pod("Running", RUNS), "True", Reason.POD_RUNNING),
    "unschedulable": (pod(no_node=True, conditions=UNSCHEDULABLE), "False", Reason.UNSCHEDULABLE),
    "pull-error": (pod(state=waiting("ErrImagePull", "not found")), "False", Reason.IMAGE_PULL_FAILED),
    "pull-back-off": (pod(state=waiting("ImagePullBackOff")), "False", Reason.IMAGE_PULL_FAILED),
    "image-name": (pod(state=waiting("InvalidImageName")), "False", Reason.IMAGE_PULL_FAILED),
    "toolbox-pull": (
        pod(state=waiting("ImagePullBackOff", 'pulling "toolbox:28"')),
        "False",
        Reason.TOOLBOX_PULL_FAILED,
    ),
    "create-error": (pod(state=waiting("CreateContainerError", "boom")), "False", Reason.CONTAINER_START_FAILED),
    "start-error": (pod("Failed", ended(128, "StartError", "boom")), "False", Reason.CONTAINER_START_FAILED),
    "exited": (pod("Failed", ended(3)), "False", Reason.CONTAINER_EXITED),
    "completed": (pod("Succeeded", ended(0, "Completed")), "False", Reason.CONTAINER_EXITED),
    "oom": (pod("Failed", ended(137, "OOMKilled")), "False", Reason.SANDBOX_OOM_KILLED),
    "gate": (pod("Failed", ended(86, message="caisson-gate: NotGVisor: Linux")), "False", Reason.NOT_GVISOR),
    "own-86": (pod("Failed", ended(86, message="my own business")), "False", Reason.CONTAINER_EXITED),
    "gate-first": (
        pod(
            "Failed",
            waiting("PodInitializing"),
            initContainerStatuses=[{"name": "gate", "state": ended(86, message="caisson-gate: NotGVisor: Linux")}],
        ),
        "False",
        Reason.NOT_GVISOR,
    ),
    "gate-passed": (
        pod("Running", RUNS, initContainerStatuses=[{"name": "gate", "state": ended(0, "Completed")}]),
        "True",
        Reason.POD_RUNNING,
    ),
    "evicted": (pod("Failed", reason="Evicted", message="The node was low on memory."), "False", Reason.EVICTED),
    "evicted-for-storage": (
        pod("Failed", reason="Evicted", message='Usage of EmptyDir volume "docker" exceeds the limit "1Gi".'),
        "False",
        Reason.STORAGE_LIMIT_EXCEEDED,
    ),
    "not-admitted": (pod("Failed", reason="OutOfcpu", message="too little"), "False", Reason.POD_LOST),
    "node-shutdown": (pod("Failed", reason="Terminated"), "False", Reason.POD_LOST),
    # The kubelet terminates a pod: pkg/kubelet/{nodeshutdown,preemption,eviction} set a reason and the condition.
    "shutdown": (
        pod("Failed", ended(143), reason="Terminated", conditions=BY_KUBELET), "False", Reason.POD_LOST,
    ),
    "shutdown-of-an-idle-sandbox": (
        pod("Failed", ended(0, "Completed"), reason="Terminated", conditions=BY_KUBELET), "False", Reason.POD_LOST,
    ),
    "shutdown-of-an-older-kubelet": (pod("Failed", ended(137), reason="Shutdown"), "False", Reason.POD_LOST),
    "shutdown-after-the-command-was-done": (
        pod("Succeeded", ended(0, "Completed"), reason="Terminated", conditions=BY_KUBELET),
        "False", Reason.CONTAINER_EXITED,
    ),
    "preempted-by-the-kubelet": (
        pod("Failed", ended(137), reason="Preempting", conditions=BY_KUBELET), "False", Reason.POD_LOST,
    ),
    "evicted-with-an-end": (
        pod("Failed", ended(137), reason="Evicted", message="The node was low on resource: memory.",
            conditions=BY_KUBELET),
        "False", Reason.EVICTED,
    ),
    "evicted-for-storage-with-an-end": (
        pod("Failed", ended(137), reason="Evicted", message='Container sandbox exceeded its local ephemeral storage '
            'limit "1Gi".'),
        "False", Reason.STORAGE_LIMIT_EXCEEDED,
    ),
    "rejected-after-a-restart-of-the-node": (
        pod("Failed", ended(255), reason="UnexpectedAdmissionError"), "False", Reason.POD_LOST,
    ),
    "rejected-while-the-node-shuts-down": (pod("Failed", reason="NodeShutdown"), "False", Reason.POD_LOST),
    "condition-of-the-kubelet-alone": (
        pod("Failed", ended(137), conditions=disruption("TerminationByKubelet", "2026-03-01T13:00:02Z")),
        "False", Reason.POD_LOST,
    ),
    # The node restarted, or its runtime lost the container: containerd, then the kubelet.
    "restart-of-the-node": (pod("Failed", ended(255, "Unknown")), "False", Reason.POD_LOST),
    "container-lost": (pod("Failed", ended(137, "ContainerStatusUnknown", at=None)), "False", Reason.POD_LOST),
    "gate-lost": (
        pod(
            "Failed",
            waiting("PodInitializing"),
            initContainerStatuses=[{"name": "gate", "state": ended(137, "ContainerStatusUnknown", at=None)}],
        ),
        "False", Reason.POD_LOST,
    ),
    "container-lost-while-it-started": (
        pod(
            "Failed",
            containerStatuses=[
                {
                    "name": "sandbox",
                    "state": waiting("ContainerCreating"),
                    "lastState": ended(137, "ContainerStatusUnknown", at=None),
                },
            ],
        ),
        "False",
        Reason.POD_LOST,
    ),
    # The control plane sets the condition, then deletes the pod, which may fail. The pod garbage collector sets the
    # phase, too.
    "preempted-by-the-scheduler": (
        pod("Failed", ended(137), conditions=disruption("PreemptionByScheduler")), "False", Reason.POD_LOST,
    ),
    "evicted-by-the-api": (
        pod("Failed", ended(143), conditions=disruption("EvictionByEvictionAPI")), "False", Reason.POD_LOST,
    ),
    "evicted-for-a-taint": (
        pod("Failed", ended(143), conditions=disruption("DeletionByTaintManager")), "False", Reason.POD_LOST,
    ),
    "evicted-for-a-taint-of-a-device": (
        pod("Failed", ended(143), conditions=disruption("DeletionByDeviceTaintManager")), "False", Reason.POD_LOST,
    ),
    "node-deleted": (pod("Failed", RUNS, conditions=disruption("DeletionByPodGC")), "False", Reason.POD_LOST),
    # The sandbox caused its end, regardless of what happened to the node later.
    "exited-before-the-node-was-deleted": (
        pod("Failed", ended(3), conditions=disruption("DeletionByPodGC", "2026-03-01T14:00:00Z")),
        "False", Reason.CONTAINER_EXITED,
    ),
    "exited-before-a-taint": (
        pod("Failed", ended(3), conditions=disruption("DeletionByTaintManager", "2026-03-01T14:00:00Z")),
        "False", Reason.CONTAINER_EXITED,
    ),
    "evicted-in-the-second-of-its-end": (
        pod("Failed", ended(143), conditions=disruption("EvictionByEvictionAPI", "2026-03-01T13:00:00Z")),
        "False", Reason.POD_LOST,
    ),
    "evicted-with-an-unobserved-end": (
        pod("Failed", ended(143, at=None), conditions=disruption("EvictionByEvictionAPI", "2026-03-01T14:00:00Z")),
        "False", Reason.POD_LOST,
    ),
    "exited-after-a-cancelled-disruption": (
        pod("Failed", ended(3), conditions=disruption("PreemptionByScheduler", status="False")),
        "False", Reason.CONTAINER_EXITED,
    ),
    "oom-before-the-shutdown": (
        pod("Failed", ended(137, "OOMKilled"), reason="Terminated", conditions=BY_KUBELET),
        "False", Reason.SANDBOX_OOM_KILLED,
    ),
    "not-gvisor-before-the-shutdown": (
        pod("Failed", ended(86, message="caisson-gate: NotGVisor: Linux"), reason="Terminated"),
        "False", Reason.NOT_GVISOR,
    ),
    "deadline": (
        pod("Failed", ended(137), reason="DeadlineExceeded", message="Pod was active on the node longer than it may"),
        "False", Reason.CONTAINER_EXITED,
    ),
    "deadline-before-it-ran": (pod("Failed", reason="DeadlineExceeded"), "False", Reason.CONTAINER_EXITED),
    "runs-while-it-is-evicted": (
        pod("Running", RUNS, conditions=disruption("EvictionByEvictionAPI")), "True", Reason.POD_RUNNING,
    ),
    "unknown": (pod("Unknown", RUNS, reason="NodeLost"), "Unknown", Reason.POD_UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_pod_status_maps_to_a_reason(name: str) -> None:
    status, expected_status, reason = STATES[name]
    result = pod_running_condition(pod_snapshot(status))
    assert (result.status, result.reason) == (expected_status, reason)


@given(
    st.sampled_from(
        [("Failed", 1, "Error"), ("Failed", 255, "Error"), ("Failed", 137, "Error"), ("Succeeded", 0, "Completed")]
    ),
    st.sampled_from(["Unknown", "ContainerStatusUnknown", "Terminated", "NodeShutdown", "DisruptionTarget", "Evicted"])
    | st.text(max_size=200),
)
def test_sandbox_can_not_forge_a_lost_node(end: tuple[str, int, str], message: str) -> None:
    phase, code, reason = end
    result = pod_running_condition(pod_snapshot(pod(phase, ended(code, reason, message))))
    assert result.reason is Reason.CONTAINER_EXITED


def test_lost_pod_reports_its_cause_without_sandbox_output() -> None:
    for state, status, words in (
        (ended(143, message="forged"), {"reason": "Terminated", "message": "imminent node shutdown"}, "node shutdown"),
        (ended(255, "Unknown", "forged"), {}, "lost track of the container (Unknown)"),
        (ended(143, message="forged"), {"conditions": disruption("EvictionByEvictionAPI")}, "EvictionByEvictionAPI: m"),
    ):
        message = pod_running_condition(pod_snapshot(pod("Failed", state, **status))).message
        assert words in message
        assert "forged" not in message


def test_deleted_pod_is_terminating_in_any_state() -> None:
    for status, _, _ in STATES.values():
        deleted = status | {"metadata": status["metadata"] | {"deletionTimestamp": "2026-03-01T12:00:09Z"}}
        assert pod_running_condition(pod_snapshot(deleted)).reason is Reason.POD_TERMINATING


def test_newest_event_explains_a_silently_waiting_pod() -> None:
    snapshot = pod_snapshot(pod(state=waiting("ContainerCreating")))
    events = [PodEvent("FailedMount", "no such volume", NOW), PodEvent("FailedCreatePodSandBox", "boom", NOW)]
    result = pod_running_condition(snapshot, events)
    assert result.reason is Reason.CONTAINER_START_FAILED
    assert "boom" in result.message


def test_events_of_the_scheduler_are_ignored_once_scheduled() -> None:
    snapshot = pod_snapshot(pod(state=waiting("ContainerCreating")))
    assert (
        pod_running_condition(snapshot, [PodEvent("FailedScheduling", "0/3 nodes", NOW)]).reason is Reason.POD_PENDING
    )


@pytest.mark.parametrize(
    "words", ['Failed to pull image "x": not found', "Error: ErrImagePull", "Error: ImagePullBackOff"]
)
def test_events_of_failed_pulls_are_not_start_failures(words: str) -> None:
    snapshot = pod_snapshot(pod(state=waiting("ContainerCreating")))
    assert pod_running_condition(snapshot, [PodEvent("Failed", words, NOW)]).reason is Reason.POD_PENDING
    assert (
        pod_running_condition(snapshot, [PodEvent("Failed", "Error: boom", NOW)]).reason
        is Reason.CONTAINER_START_FAILED
    )


def test_pull_message_is_stable_while_the_kubelet_backs_off() -> None:
    external_message = 'failed to resolve reference "x": not found'
    states = [
        ("ErrImagePull", external_message),
        ("ImagePullBackOff", f'Back-off pulling image "x": ErrImagePull: {external_message}'),
    ]
    messages = {pod_running_condition(pod_snapshot(pod(state=waiting(*state)))).message for state in states}
    assert len(messages) == 1
    assert external_message in messages.pop()


def test_failed_pull_of_the_gate_is_a_toolbox_pull_failure() -> None:
    external_message = 'failed to resolve reference "docker.io/library/toolbox@sha256:0123": not found'
    for reason, words in (
        ("ErrImagePull", external_message),
        ("ImagePullBackOff", f'Back-off pulling image "toolbox": E: {external_message}'),
    ):
        gate = [{"name": "gate", "state": waiting(reason, words)}]
        result = pod_running_condition(pod_snapshot(pod(state=waiting("PodInitializing"), initContainerStatuses=gate)))
        assert result.reason is Reason.TOOLBOX_PULL_FAILED
        assert external_message in result.message


def test_toolbox_is_recognized_by_the_kubelets_reference() -> None:
    reference = "example.com/toolbox:28@sha256:0123"
    external_message = 'failed to resolve reference "example.com/toolbox@sha256:0123": not found'
    waits = waiting("ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {external_message}')
    result = pod_running_condition(replace(pod_snapshot(pod(state=waits)), toolbox_image=reference))
    assert result.reason is Reason.TOOLBOX_PULL_FAILED
    assert external_message in result.message


TRIPPED = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox "0": OCI runtime create'
    " failed: runc create failed: unable to start container process: error during container init: write {}: invalid"
    " argument"
)


@pytest.mark.parametrize("prefix", ["", "(combined from similar events): "])
@pytest.mark.parametrize("path", ["/proc/sys/kernel/shm_rmid_forced", "/proc/sys/net/ipv4/tcp_syncookies"])
def test_applied_tripwire_means_not_gvisor(path: str, prefix: str) -> None:
    snapshot = pod_snapshot(pod(state=waiting("ContainerCreating")))
    tripped = PodEvent("FailedCreatePodSandBox", prefix + TRIPPED.format(path), NOW)
    # Later events, of the kubelet or of a tenant, do not matter.
    events = [tripped, PodEvent("FailedCreatePodSandBox", "boom", NOW)]
    assert pod_running_condition(snapshot, events).reason is Reason.NOT_GVISOR


@pytest.mark.parametrize(
    "status",
    [
        pod("Running", RUNS),
        pod("Pending", RUNS),
        pod("Failed", ended(0)),
        pod(no_node=True),
        pod(state=waiting("ErrImagePull")),
    ],
    ids=["running", "just-started", "ended", "not-scheduled", "pulling"],
)
def test_tripwire_events_count_only_for_pods_that_never_ran(status: Json) -> None:
    event = PodEvent("FailedCreatePodSandBox", TRIPPED.format("/proc/sys/kernel/shm_rmid_forced"), NOW)
    assert pod_running_condition(pod_snapshot(status), [event]).reason is not Reason.NOT_GVISOR


@pytest.mark.parametrize("reason", ["Failed", "FailedMount", "BackOff"])
def test_tripwire_text_in_other_events_is_ignored(reason: str) -> None:
    snapshot = pod_snapshot(pod(state=waiting("ContainerCreating")))
    event = PodEvent(reason, TRIPPED.format("/proc/sys/kernel/shm_rmid_forced"), NOW)
    assert pod_running_condition(snapshot, [event]).reason is not Reason.NOT_GVISOR


def test_toolbox_image_is_read_from_the_image_volume() -> None:
    raw = pod()
    raw["spec"] = {"volumes": [{"name": "caisson-toolbox", "image": {"reference": "toolbox:29"}}]}
    assert pod_snapshot(raw).toolbox_image == "toolbox:29"


def test_only_silently_waiting_pods_need_events() -> None:
    explained = [name for name, (status, _, _) in STATES.items() if not is_waiting_silently(pod_snapshot(status))]
    assert sorted(set(STATES) - set(explained)) == ["creating"]


@given(st.sampled_from(sorted(STATES)), st.text(max_size=2000))
def test_external_messages_are_bounded_and_on_one_line(name: str, words: str) -> None:
    snapshot = pod_snapshot(
        pod(state=waiting("ErrImagePull", words)) if name == "creating" else pod("Failed", message=words)
    )
    message = pod_running_condition(snapshot).message
    assert len(message.encode()) < 2048
    assert "\n" not in message
