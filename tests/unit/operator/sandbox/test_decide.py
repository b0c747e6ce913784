"""Decisions about a Sandbox in its different states."""

from dataclasses import replace
from typing import Any

import pytest

from caisson.api.reasons import ConditionType, Reason
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config
from caisson.model.actions import CreatePod, DeletePod, FetchPodEvents, OpenSession
from caisson.model.condition import condition_result, unread_status
from caisson.model.failure import FailureStreak
from caisson.model.observed import PodEvents
from caisson.model.pod_snapshot import PodEvent, PodSnapshot
from caisson.model.report import Report
from caisson.pod.spec_hash import spec_hash
from tests.unit.operator.builders import (
    CONFIG,
    NOW,
    POD_UID,
    RUNNING,
    UID,
    after,
    choose,
    choose_by,
    ended_pod,
    lost,
    make_pod,
    make_sandbox,
    make_spec,
    pending_pod,
    plain,
    ready_sandbox,
    reported,
    written,
)
from tests.unit.operator.decisions import (
    SKEW,
    SKEWED,
    message,
    pod_unreadable_for_a_moment,
    reason,
    settled,
    skewed_sandbox,
    with_spec,
)


class TestPod:
    """Creation and replacement of the pod."""

    def test_pod_is_created(self) -> None:
        decision = choose(make_sandbox(), None)
        assert isinstance(decision.plan.action, CreatePod)
        assert reason(decision) == ("False", Reason.POD_PENDING)

    def test_disallowed_runtime_class_prevents_the_pod(self) -> None:
        decision = choose(make_sandbox(make_spec(runtimeClassName="runc")), None)
        assert decision.plan.action is None
        assert reason(decision) == ("False", Reason.RUNTIME_CLASS_NOT_ALLOWED)

    def test_unavailable_docker_version_prevents_the_pod(self) -> None:
        decision = choose(make_sandbox(make_spec(docker={"version": "19"})), None)
        assert decision.plan.action is None
        assert reason(decision) == ("False", Reason.DOCKER_VERSION_UNKNOWN)

    def test_rejected_pod_is_retried_with_doubling_back_off(self) -> None:
        failure = FailureStreak(Reason.POD_REJECTED, "no", 1, NOW, 3)
        early = choose(make_sandbox(), None, after(3.9), create_failure=failure)
        late = choose(make_sandbox(), None, after(4), create_failure=failure)
        assert (early.plan.action, early.plan.requeue_at) == (None, after(4))
        assert reason(early) == ("False", Reason.POD_REJECTED)
        assert isinstance(late.plan.action, CreatePod)

    def test_rejected_pod_is_retried_immediately_after_a_spec_change(self) -> None:
        failure = FailureStreak(Reason.POD_REJECTED, "no", 1, NOW, 9)
        assert isinstance(
            choose(make_sandbox(generation=2), None, create_failure=failure).plan.action,
            CreatePod,
        )

    def test_changed_spec_replaces_the_pod(self) -> None:
        decision = choose(with_spec(ready_sandbox(), generation=2, image="alpine"), make_pod())
        assert decision.plan.action == DeletePod("demo", POD_UID)

    def test_replacement_continues_after_its_status_is_written(self) -> None:
        changed = with_spec(ready_sandbox(), generation=2, image="alpine")
        later = written(changed, choose(changed, make_pod()))
        assert later.status.observed_generation == 2
        assert choose(later, make_pod()).plan.action == DeletePod("demo", POD_UID)

    def test_rejected_change_is_applied_once_allowed(self) -> None:
        changed = with_spec(ready_sandbox(), generation=2, runtimeClassName="other")
        rejected = written(changed, choose(changed, make_pod()))
        assert choose(rejected, make_pod()).plan.action is None
        config = CONFIG.model_copy(update={"allowed_runtime_classes": ("gvisor", "other")})
        assert choose_by(config, rejected, make_pod()).plan.action == DeletePod("demo", POD_UID)

    @pytest.mark.parametrize("why", [Reason.INVALID_SPEC, Reason.OBJECT_TOO_LARGE, Reason.NAMESPACE_OVER_LIMIT])
    def test_unreadable_change_is_applied_once_readable(self, why: Reason) -> None:
        ready = ready_sandbox()
        problem = condition_result("False", why, external_message="image: no")
        unread = ready.model_copy(update={"status": unread_status(ready.status, 2, problem, NOW)})
        changed = with_spec(unread, generation=2, image="alpine")
        assert choose(changed, make_pod()).plan.action == DeletePod("demo", POD_UID)

    def test_change_rejected_before_the_pod_was_unreadable_is_applied(self) -> None:
        changed = with_spec(ready_sandbox(), generation=2, runtimeClassName="other")
        rejected = written(changed, choose(changed, make_pod()))
        unread = pod_unreadable_for_a_moment(rejected)
        assert choose(unread, make_pod()).plan.action is None
        config = CONFIG.model_copy(update={"allowed_runtime_classes": ("gvisor", "other")})
        assert choose_by(config, unread, make_pod()).plan.action == DeletePod("demo", POD_UID)

    @pytest.mark.parametrize("owner", [UID, None], ids=["", "owner-unknown"])
    def test_change_while_the_pod_is_unreadable_is_applied(self, owner: str | None) -> None:
        changed = with_spec(ready_sandbox(), generation=2, image="alpine")
        for _ in range(2):
            changed = pod_unreadable_for_a_moment(changed, owner_uid=owner)
        assert changed.status.observed_generation == 2
        assert choose(changed, make_pod()).plan.action == DeletePod("demo", POD_UID)

    def test_pod_remains_if_another_version_reads_the_spec_differently(self) -> None:
        """A rollback of the CRD drops fields: the hash changes, but the generation does not."""
        before = ready_sandbox(spec=make_spec(env=[{"name": "A", "value": "b"}]))
        pod = make_pod(before.spec)
        rolled_back = with_spec(before, generation=1)
        for status in (before.status, SandboxStatus()):
            decision = choose(rolled_back.model_copy(update={"status": status}), pod)
            assert not isinstance(decision.plan.action, DeletePod)
            assert "delete the pod" in message(decision, "PodRunning")
        assert reason(choose(rolled_back, pod)) == ("True", Reason.READY)

    @pytest.mark.parametrize("damaged", [None, "", "59c8b5", "not a hash at all"])
    def test_pod_with_unreadable_spec_hash_remains(self, damaged: str | None) -> None:
        changed = with_spec(ready_sandbox(), generation=2, image="alpine")
        decision = choose(changed, make_pod(spec_hash=damaged))
        assert not isinstance(decision.plan.action, DeletePod)
        assert "caisson.dev/spec-hash" in message(decision, "PodRunning")

    @pytest.mark.parametrize(
        "docker",
        [
            {"restart": {"maxRetries": 0}},
            {"restart": {"policy": "Never"}},
            {"startTimeoutSeconds": 300},
        ],
        ids=str,
    )
    def test_change_of_restart_or_start_timeout_keeps_the_pod(self, docker: dict[str, object]) -> None:
        decision = choose(make_sandbox(make_spec(docker=docker)), make_pod())
        assert not isinstance(decision.plan.action, DeletePod)

    def test_changed_configuration_keeps_the_pod(self) -> None:
        other = Config.model_validate(
            {
                "allowedRuntimeClasses": ["another"],
                "toolboxes": [{"version": "99", "image": "other"}],
                "probePeriodSeconds": 77,
            },
        )
        sandbox = ready_sandbox()
        decision = choose_by(other, sandbox, make_pod())
        assert decision.plan.action is None
        assert settled(sandbox, decision)

    def test_terminating_pod_is_awaited(self) -> None:
        decision = choose(make_sandbox(make_spec(image="alpine")), make_pod(terminating=True))
        assert decision.plan.action is None
        assert reason(decision) == ("False", Reason.POD_TERMINATING)

    def test_pod_without_owner_is_reported_and_not_changed(self) -> None:
        """A pod with Caisson's label may be orphaned, for example by `kubectl delete --cascade=orphan`."""
        decision = choose(make_sandbox(), make_pod(owner_uid=None))
        assert decision.plan.action is None
        assert reason(decision) == ("False", Reason.POD_NAME_CONFLICT)

    def test_pod_of_an_earlier_sandbox_is_not_changed(self) -> None:
        decision = choose(make_sandbox(), make_pod(owner_uid="somebody-else"))
        assert decision.plan.action is None
        assert decision.status.pod_uid is None
        assert reason(decision)[0] == "False"

    @pytest.mark.parametrize(
        ("pod", "expected"),
        [
            (ended_pod(3), Reason.CONTAINER_EXITED),
            (ended_pod(0, phase="Succeeded"), Reason.CONTAINER_EXITED),
            (ended_pod(137, "OOMKilled"), Reason.SANDBOX_OOM_KILLED),
            (
                replace(
                    ended_pod(),
                    reason="Evicted",
                    message="Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.",
                ),
                Reason.STORAGE_LIMIT_EXCEEDED,
            ),
        ],
        ids=["exited", "done", "oom", "storage"],
    )
    def test_end_caused_by_the_sandbox_is_final(self, pod: PodSnapshot, expected: Reason) -> None:
        sandbox = make_sandbox()
        first = choose(sandbox, pod)
        later = choose(written(sandbox, first), pod, after(86400))
        assert reason(first) == reason(later) == ("False", expected)
        assert later.plan.action is None
        assert later.plan.requeue_at is None

    def test_evicted_pod_is_replaced_after_a_delay(self) -> None:
        sandbox = ready_sandbox()
        pod = make_pod(phase="Failed", running=False, ready=False, terminated=None)
        first = choose(sandbox, pod, after(100))
        assert (first.plan.action, first.plan.requeue_at) == (None, after(130))
        assert reason(first) == ("False", Reason.POD_LOST)
        sandbox = written(sandbox, first)
        assert choose(sandbox, pod, after(129)).plan.requeue_at == after(130)
        assert choose(sandbox, pod, after(130)).plan.action == DeletePod("demo", POD_UID)

    @pytest.mark.parametrize(
        "pod",
        [
            replace(ended_pod(143, "Error"), reason="Terminated"),
            replace(ended_pod(137, "Error"), reason="Preempting"),
            ended_pod(255, "Unknown"),
            ended_pod(137, "ContainerStatusUnknown"),
        ],
        ids=["shutdown", "preempted", "restart", "lost"],
    )
    def test_pod_terminated_by_its_node_is_replaced_after_30_seconds(self, pod: PodSnapshot) -> None:
        first = choose(ready_sandbox(), pod, after(100))
        assert reason(first) == ("False", Reason.POD_LOST)
        assert (first.plan.action, first.plan.requeue_at) == (None, after(130))
        assert choose(written(ready_sandbox(), first), pod, after(130)).plan.action == DeletePod("demo", POD_UID)

    def test_pod_that_an_earlier_version_reported_exited_is_replaced(self) -> None:
        reported = choose(ready_sandbox(), ended_pod(143, "Error"), after(100))
        assert reason(reported) == ("False", Reason.CONTAINER_EXITED)
        pod = replace(ended_pod(143, "Error"), reason="Terminated")
        sandbox = written(ready_sandbox(), reported)
        decision = choose(sandbox, pod, after(5000))
        sandbox = written(sandbox, decision)
        assert choose(sandbox, pod, after(5030)).plan.action == DeletePod("demo", POD_UID)

    def test_repeatedly_failing_pod_is_replaced_after_a_delay(self) -> None:
        """PodRunning was never True in between, so its transition time is the time of the first failure."""
        pod = make_pod(phase="Failed", running=False, ready=False, reason="OutOfcpu", terminated=None)
        sandbox = make_sandbox()
        sandbox = written(sandbox, choose(sandbox, pod, NOW))
        next_pod = make_pod(
            uid="another", created_at=after(31), phase="Failed", running=False, ready=False, reason="OutOfcpu"
        )
        decision = choose(sandbox, next_pod, after(32))
        assert decision.plan.action is None
        assert decision.plan.requeue_at is not None
        assert decision.plan.requeue_at >= after(60)

    def test_events_are_fetched_for_a_silently_waiting_pod(self) -> None:
        assert choose(make_sandbox(), pending_pod(), after(1)).plan.requeue_at == after(2)
        assert choose(make_sandbox(), pending_pod(), after(2)).plan.action == FetchPodEvents(POD_UID)

    def test_events_are_fetched_less_often_over_time(self) -> None:
        for age, pause in ((2, 2), (4, 4), (30, 30), (600, 60)):
            events = PodEvents(POD_UID, (), after(age))
            decision = choose(make_sandbox(), pending_pod(), after(age), pod_events=events)
            assert decision.plan.requeue_at == after(age + pause)

    def test_events_explain_what_the_status_does_not(self) -> None:
        event = PodEvent("FailedCreatePodSandBox", 'no runtime for "runsc" is configured', NOW)
        events = PodEvents(POD_UID, (event,), NOW)
        decision = choose(make_sandbox(), pending_pod(), after(1), pod_events=events)
        assert reason(decision) == ("False", Reason.RUNTIME_HANDLER_MISSING)


class TestVersionSkew:
    """Pods of another version of Caisson, whose hash differs although the user changed nothing."""

    def test_status_has_a_hash_only_for_a_skewed_pod(self) -> None:
        skewed = skewed_sandbox()
        assert skewed.status.spec_hash == spec_hash(skewed.spec)
        assert settled(skewed, choose(skewed, SKEWED))
        assert choose(skewed, make_pod()).status.spec_hash is None
        assert ready_sandbox().status.spec_hash is None

    @pytest.mark.parametrize("why", [Reason.INVALID_SPEC, Reason.OBJECT_TOO_LARGE, Reason.NAMESPACE_OVER_LIMIT])
    def test_pod_remains_after_the_spec_was_unreadable(self, why: Reason) -> None:
        for sandbox in (skewed_sandbox(), ready_sandbox()):
            status = unread_status(sandbox.status, 1, condition_result("False", why, external_message="image: no"), NOW)
            decision = choose(sandbox.model_copy(update={"status": status}), SKEWED, after(20))
            assert not isinstance(decision.plan.action, DeletePod)

    @pytest.mark.parametrize("owner", [UID, None], ids=["", "owner-unknown"])
    def test_pod_remains_after_it_was_unreadable(self, owner: str | None) -> None:
        for sandbox in (skewed_sandbox(), ready_sandbox()):
            later = sandbox
            for _ in range(2):
                later = pod_unreadable_for_a_moment(later, **SKEW, owner_uid=owner)
            assert not isinstance(choose(later, SKEWED, after(20)).plan.action, DeletePod)

    @pytest.mark.parametrize(
        "spec",
        [
            {"lifetime": {"ttlSeconds": 7200}},
            {"ports": [{"name": "http", "containerPort": 80}]},
            {"docker": {"restart": {"maxRetries": 1}}},
        ],
        ids=lambda spec: next(iter(spec)),
    )
    def test_change_of_other_fields_keeps_the_pod(self, spec: dict[str, Any]) -> None:
        changed = with_spec(skewed_sandbox(), generation=2, **spec)
        unread = pod_unreadable_for_a_moment(changed, **SKEW, owner_uid=None)
        for sandbox in (changed, unread):
            decision = choose(sandbox, SKEWED, after(20))
            assert not isinstance(decision.plan.action, DeletePod)
            assert decision.status.spec_hash == spec_hash(make_spec())

    def test_change_of_pod_fields_replaces_the_pod(self) -> None:
        changed = with_spec(skewed_sandbox(), generation=2, image="alpine")
        assert choose(changed, SKEWED).plan.action == DeletePod("demo", POD_UID)

    def test_rejected_change_to_a_skewed_pod_is_applied_once_allowed(self) -> None:
        changed = with_spec(skewed_sandbox(), generation=2, runtimeClassName="other")
        rejected = written(changed, choose(changed, SKEWED))
        assert choose(rejected, SKEWED).plan.action is None
        config = CONFIG.model_copy(update={"allowed_runtime_classes": ("gvisor", "other")})
        assert choose_by(config, rejected, SKEWED).plan.action == DeletePod("demo", POD_UID)

    def test_reverted_change_keeps_the_pod(self) -> None:
        changed = with_spec(skewed_sandbox(), generation=2, runtimeClassName="other")
        reverted = with_spec(written(changed, choose(changed, SKEWED)), generation=3)
        assert not isinstance(choose(reverted, SKEWED).plan.action, DeletePod)

    @pytest.mark.parametrize(
        ("stored_reason", "is_replaced"),
        [
            (Reason.POD_TERMINATING, True),
            (Reason.RUNTIME_CLASS_NOT_ALLOWED, True),
            (Reason.POD_PENDING, False),
            ("OfANewerVersion", False),
        ],
    )
    def test_a_condition_about_a_replacement_replaces_the_pod(self, stored_reason: str, *, is_replaced: bool) -> None:
        """The status of this generation was written before the earlier pod was gone."""
        sandbox = ready_sandbox()
        conditions = [
            c.model_copy(update={"status": "False", "reason": stored_reason}) if c.type == "PodRunning" else c
            for c in sandbox.status.conditions
        ]
        status = sandbox.status.model_copy(update={"conditions": tuple(conditions)})
        decision = choose(sandbox.model_copy(update={"status": status}), SKEWED)
        assert isinstance(decision.plan.action, DeletePod) is is_replaced

    def test_a_pod_with_the_same_problem_is_not_replaced(self) -> None:
        """The condition describes the state of the pod, not a replacement."""
        sandbox = written(ready_sandbox(), choose(ready_sandbox(), ended_pod()))
        assert reason(choose(sandbox, ended_pod())) == ("False", Reason.CONTAINER_EXITED)
        decision = choose(sandbox, replace(ended_pod(), spec_hash=SKEWED.spec_hash))
        assert not isinstance(decision.plan.action, DeletePod)

    def test_third_version_keeps_the_pod(self) -> None:
        status = skewed_sandbox().status.model_copy(update={"spec_hash": "fedcba9876543210"})
        decision = choose(make_sandbox(status=status), SKEWED)
        assert not isinstance(decision.plan.action, DeletePod)
        assert decision.status.spec_hash == spec_hash(make_spec())


class TestPlain:
    """A sandbox without Docker."""

    def test_kernel_is_verified_without_starting_docker(self) -> None:
        spec = plain()
        decision = choose(make_sandbox(spec), make_pod(spec))
        assert isinstance(decision.plan.action, OpenSession)
        assert "verify" in decision.plan.action.command
        assert "start" not in decision.plan.action.command
        assert reason(decision, ConditionType.DOCKER_READY) == ("False", Reason.DOCKER_DISABLED)

    def test_sandbox_is_ready_after_verification(self) -> None:
        sandbox = make_sandbox(plain())
        pod = make_pod(sandbox.spec)
        first = choose(sandbox, pod, session=reported(Report("gVisor")))
        assert reason(first) == ("True", Reason.READY)
        later = choose(written(sandbox, first), pod, after(999))
        assert later.plan.action is None
        assert settled(written(sandbox, first), later)

    def test_lost_verification_is_retried_after_a_delay(self) -> None:
        sandbox = make_sandbox(plain())
        pod = make_pod(sandbox.spec)
        assert choose(sandbox, pod, session=lost(2)).plan.requeue_at == after(2)
        assert isinstance(choose(sandbox, pod, after(2), session=lost(2)).plan.action, OpenSession)


class TestConditions:
    """Conditions follow the conventions of Kubernetes."""

    def test_transition_time_changes_only_with_the_status(self) -> None:
        sandbox = make_sandbox()
        sandbox = written(sandbox, choose(sandbox, None))
        decision = choose(sandbox, make_pod(), after(7), session=RUNNING)
        docker, running = (
            decision.status.condition(t) for t in (ConditionType.DOCKER_READY, ConditionType.POD_RUNNING)
        )
        assert docker is not None
        assert docker.last_transition_time == NOW
        assert running is not None
        assert running.last_transition_time == after(7)

    def test_conditions_have_the_observed_generation(self) -> None:
        decision = choose(make_sandbox(generation=7), None)
        assert {c.observed_generation for c in decision.status.conditions} == {7}
        assert decision.status.observed_generation == 7

    def test_first_status_contains_every_condition(self) -> None:
        assert [c.type for c in choose(make_sandbox(), None).status.conditions] == [str(t) for t in ConditionType]


def test_created_pod_is_owned_by_its_sandbox() -> None:
    action = choose(make_sandbox(), None).plan.action
    assert isinstance(action, CreatePod)
    assert action.manifest["metadata"]["ownerReferences"][0]["uid"] == make_sandbox().metadata.uid
    assert action.manifest["spec"]["runtimeClassName"] == CONFIG.allowed_runtime_classes[0]
