"""Pools: how many pods there are, what they are good for, and that a Sandbox gets one of them, and nobody else."""

import asyncio
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from caisson.api.pool import SandboxPool
from caisson.api.reasons import Reason
from caisson.api.sandbox import Origin, SandboxStatus
from caisson.config import Config, Sandboxes
from caisson.core.member import (
    PreloadState,
    Revision,
    WarmPodPhase,
    decide_warm_pod,
    placeholder_sandbox,
    render_warm_pod,
    template_hash,
)
from caisson.core.observation import LOST_SESSIONS_BEFORE_UNKNOWN, FailureStreak, ObservedState
from caisson.core.owned import POOL_LABEL, SANDBOX_LABEL, controller_of
from caisson.core.plan import ChildKind, SessionPurpose
from caisson.core.podview import PodSnapshot
from caisson.core.pool import Failures, ObservedPool, WarmPod, count_failed_pod, decide_pool, recovery_deadline
from caisson.core.template import PodTemplateRecord, read_template, write_template
from caisson.core.unreadable import stub_of
from caisson.core.verdict import condition_result
from caisson.shell.budget import Budget
from caisson.shell.clock import now
from caisson.shell.collections import NETWORK_POLICIES, PODS, SERVICES, ApiResource
from caisson.shell.errors import CaissonError, Conflict, KubeError, KubeUnreachable, kube_error
from caisson.shell.exec import ExecError, ExecResult
from caisson.shell.store import Key, Store
from tests.unit.operator.builders import (
    CONFIG,
    KILLED,
    NOW,
    RUNNING,
    after,
    ended_pod,
    failed_report,
    lost,
    make_pod,
    make_sandbox,
    make_spec,
    raw_sandbox,
    ready_report,
    reported,
)
from tests.unit.operator.fakes import READY_ANSWER, FakeKube, World, merged
from tests.unit.operator.policies import selects
from tests.unit.operator.test_operator_report import b64, line

Json = dict[str, Any]

POOL_KEY = Key("default", "warm")
POOL_UID = "33333333-3333-3333-3333-333333333333"
PRELOADED_ANSWER = ExecResult(0, line("preloaded"), b"")


def raw_pool(replicas: int = 1, **spec: Any) -> Json:
    """Make a pool called default/warm, as the API server stores it."""
    metadata = {"name": "warm", "namespace": "default", "uid": POOL_UID, "generation": 1, "resourceVersion": "1"}
    template = {"spec": {"image": "debian:trixie-slim"} | spec.pop("template", {})}
    return {
        "apiVersion": "caisson.dev/v1alpha1",
        "kind": "SandboxPool",
        "metadata": metadata,
        "spec": {"replicas": replicas, "template": template} | spec,
    }


def make_pool(replicas: int = 1, **spec: Any) -> SandboxPool:
    return SandboxPool.model_validate(raw_pool(replicas, **spec))


def member(name: str, standing: WarmPodPhase = WarmPodPhase.AVAILABLE, **fields: Any) -> WarmPod:
    """Make a pod of the pool."""
    ready = NOW if standing is WarmPodPhase.AVAILABLE else None
    ordinary = WarmPod(name, f"uid of {name}", "7", NOW, False, Revision.CURRENT, standing, ready)
    return replace(ordinary, **fields)


def decided(replicas: int, *warm_pods: WarmPod, **observed: Any) -> tuple[int, list[str]]:
    """Return how many pods are to be made, and the names of those that go."""
    decision = decide_pool(ObservedPool(make_pool(replicas), warm_pods, **observed), NOW)
    return decision.create, [m.pod_name for m in decision.delete]


class TestHowMany:
    def test_an_empty_pool_is_filled_some_at_a_time(self) -> None:
        assert decided(10) == (4, [])
        pending = [member(str(n), WarmPodPhase.PENDING) for n in range(3)]
        assert decided(10, *pending) == (1, [])

    def test_ready_ones_do_not_count_as_on_their_way(self) -> None:
        assert decided(10, *(member(str(n)) for n in range(5))) == (4, [])

    def test_a_pool_that_is_full_is_left_alone(self) -> None:
        assert decided(2, member("a"), member("b")) == (0, [])

    def test_of_too_many_the_pending_and_the_newest_go(self) -> None:
        ready = [member("old"), member("new", created_at=after(5))]
        assert decided(1, member("pending", WarmPodPhase.PENDING), *ready) == (0, ["new", "pending"])

    def test_scaled_to_nothing_all_go(self) -> None:
        assert decided(0, member("a"), member("b", WarmPodPhase.PENDING)) == (0, ["a", "b"])

    @pytest.mark.parametrize("revision", [Revision.OUTDATED, Revision.UNREADABLE])
    def test_an_outdated_pod_is_deleted_when_its_replacement_is_available(self, revision: Revision) -> None:
        old = member("old", revision=revision)
        assert decided(1, old) == (1, [])
        assert decided(1, old, member("new", WarmPodPhase.PENDING)) == (0, [])
        assert decided(1, old, member("new")) == (0, ["old"])

    def test_outdated_pods_that_are_of_no_use_are_replaced_first(self) -> None:
        outdated = [
            member("usable", revision=Revision.OUTDATED),
            member("pending", WarmPodPhase.PENDING, revision=Revision.OUTDATED),
            member("other", revision=Revision.UNREADABLE),
        ]
        assert decided(3, *outdated, member("new"))[1] == ["pending"]
        assert decided(3, *outdated, member("new"), member("newer"))[1] == ["other", "pending"]
        assert decided(0, *outdated)[1] == ["usable", "other", "pending"]

    def test_a_failed_outdated_pod_goes_at_once(self) -> None:
        problem = condition_result("False", Reason.CONTAINER_EXITED)
        failed = member("failed", WarmPodPhase.FAILED, revision=Revision.OUTDATED, problem=problem)
        assert decided(1, failed) == (1, ["failed"])

    def test_while_no_pod_may_be_made_those_there_are_counted_and_none_can_be_taken(self) -> None:
        conflict = condition_result("False", Reason.RUNTIME_CLASS_NOT_ALLOWED)
        there = (member("a", revision=Revision.OTHER_TEMPLATE), member("b", revision=Revision.OTHER_TEMPLATE))
        status = decide_pool(ObservedPool(make_pool(2), there, conflict), NOW).status
        assert (status.replicas, status.ready_replicas) == (2, 0)

    def test_while_no_pod_may_be_made_none_goes_and_none_is_made(self) -> None:
        conflict = condition_result("False", Reason.RUNTIME_CLASS_NOT_ALLOWED)
        assert decided(2, member("a", revision=Revision.OTHER_TEMPLATE), conflict=conflict) == (0, [])

    def test_one_that_is_going_is_neither_counted_nor_deleted_again(self) -> None:
        assert decided(1, member("a", terminating=True)) == (1, [])

    def test_after_a_failure_they_are_made_one_by_one_with_pauses_that_grow(self) -> None:
        failed = member("a", WarmPodPhase.FAILED, problem=condition_result("False", Reason.CONTAINER_EXITED))
        failures = count_failed_pod(count_failed_pod(Failures(), failed, NOW), failed, NOW)
        observed = ObservedPool(make_pool(3), (), failures=failures)
        assert (decide_pool(observed, NOW).create, decide_pool(observed, NOW).requeue_at) == (0, after(2))
        assert decide_pool(observed, after(2)).create == 1

    def test_one_that_is_of_use_for_a_minute_excuses_what_failed_before_it(self) -> None:
        failures = Failures(3, NOW)
        later: dict[str, Any] = {"created_at": after(5), "ready_since": after(6)}
        assert recovery_deadline(member("a", **later), failures) == after(66)
        assert recovery_deadline(member("a", **later), Failures()) is None
        assert recovery_deadline(member("a", **(later | {"created_at": NOW})), failures) is None
        assert recovery_deadline(member("a", WarmPodPhase.PENDING, **later), failures) is None
        assert recovery_deadline(member("a", revision=Revision.OTHER_TEMPLATE, **later), failures) is None

    def test_what_the_api_server_refuses_is_asked_for_less_and_less(self) -> None:
        refused = FailureStreak(Reason.POD_REJECTED, "quota", 1, NOW, 3)
        assert decided(3, create_failure=refused) == (0, [])
        observed = ObservedPool(make_pool(3), (), create_failure=refused)
        assert decide_pool(observed, after(4)).create == 1


class TestStatus:
    def test_it_counts_and_says_that_it_is_ready(self) -> None:
        warm_pods = (member("a", ready_since=after(-60)), member("b"))
        status = decide_pool(ObservedPool(make_pool(2), warm_pods), NOW).status
        assert (status.replicas, status.ready_replicas, status.oldest_ready_since) == (2, 2, after(-60))
        ready = status.condition("Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("True", "PoolReady")

    def test_pods_that_are_taken_are_not_selected(self) -> None:
        status = decide_pool(ObservedPool(make_pool(), ()), NOW).status
        assert status.selector == "app.kubernetes.io/managed-by=caisson,caisson.dev/pool=warm,!caisson.dev/sandbox"

    def test_it_tells_what_hinders_it_once_for_as_long_as_it_lasts(self) -> None:
        problem = condition_result("False", Reason.IMAGE_PULL_FAILED, external_message="no such image")
        hindered = member("a", WarmPodPhase.PENDING, problem=problem)
        pool = make_pool()
        first = decide_pool(ObservedPool(pool, (hindered,)), NOW).status
        assert first.last_failure is not None
        assert (first.last_failure.reason, first.last_failure.pod_name) == ("ImagePullFailed", "a")
        ready = first.condition("Ready")
        assert ready is not None
        assert ready.reason == "ImagePullFailed"
        later = pool.model_copy(update={"status": first})
        assert decide_pool(ObservedPool(later, (hindered,)), after(100)).status == first

    def test_what_takes_long_is_told(self) -> None:
        starts, pulls = member("a", WarmPodPhase.PENDING), member("b", WarmPodPhase.PRELOADING)
        for warm_pods, reported_value in (((starts,), False), ((starts, pulls), True)):
            ready = decide_pool(ObservedPool(make_pool(2), warm_pods), NOW).status.condition("Ready")
            assert ready is not None
            assert (ready.reason, "spec.preload" in ready.message) == ("PoolFilling", reported_value)

    def test_what_is_wrong_though_pods_may_be_made_is_told_and_keeps_none_from_being_made(self) -> None:
        concern = condition_result("False", Reason.NETWORK_POLICY_REJECTED)
        decision = decide_pool(ObservedPool(make_pool(2), (member("a"),), concern=concern), NOW)
        ready = decision.status.condition("Ready")
        assert ready is not None
        assert (ready.reason, decision.create) == ("NetworkPolicyRejected", 1)

    def test_a_failure_stays_after_a_recovery(self) -> None:
        failed = member("a", WarmPodPhase.FAILED, problem=condition_result("False", Reason.CONTAINER_EXITED))
        failures = replace(count_failed_pod(Failures(), failed, NOW), count=0)
        status = decide_pool(ObservedPool(make_pool(), (member("b"),), failures=failures), NOW).status
        assert status.last_failure is not None
        assert status.last_failure.pod_name == "a"
        ready = status.condition("Ready")
        assert ready is not None
        assert ready.status == "True"


class TestTemplate:
    def test_what_is_written_on_the_pod_is_read_from_it(self) -> None:
        pool = make_pool(template={"env": [{"name": "A", "value": "b"}]}, preload=["postgres:16"])
        template_record = read_template(render_warm_pod(pool, CONFIG, "warm-abcde"))
        assert template_record == PodTemplateRecord(pool.spec.template.spec, ("postgres:16",))

    @pytest.mark.parametrize("written", ["", "{", "[]", '{"spec": {}, "preload": []}', '{"spec": 1, "preload": 2}'])
    def test_one_that_can_not_be_read_is_none(self, written: str) -> None:
        assert read_template({"metadata": {"annotations": {"caisson.dev/pool-template": written}}}) is None

    def test_fields_at_their_default_make_no_difference(self) -> None:
        plain, external_message = make_pool(), make_pool(template={"docker": {"enabled": True}, "entrypoint": "Idle"})
        assert write_template(plain.spec.template.spec) == write_template(external_message.spec.template.spec)

    @pytest.mark.parametrize(
        "changed",
        [
            {"template": {"image": "other"}},
            {"template": {"ports": [{"name": "a", "containerPort": 1}]}},
            {"preload": ["a"]},
        ],
        ids=str,
    )
    def test_a_change_of_it_is_told_by_the_hash(self, changed: Json) -> None:
        before, later = (render_warm_pod(p, CONFIG, "x") for p in (make_pool(), make_pool(**changed)))
        assert template_hash(before) != template_hash(later)

    def test_so_is_one_of_the_configuration_and_not_the_pods_name(self) -> None:
        pool = make_pool()
        assert template_hash(render_warm_pod(pool, CONFIG, "x")) == template_hash(render_warm_pod(pool, CONFIG, "y"))
        other = CONFIG.model_copy(update={"toolboxes": CONFIG.toolboxes[1:]})
        assert template_hash(render_warm_pod(pool, CONFIG, "x")) != template_hash(render_warm_pod(pool, other, "x"))

    def test_a_new_field_of_the_configuration_with_a_default_changes_no_hash(self) -> None:
        class NewerSandboxes(Sandboxes):
            new_field: int = 7

        class NewerConfig(Config):
            sandboxes: NewerSandboxes = NewerSandboxes()

        newer = NewerConfig.model_validate(CONFIG.model_dump(by_alias=True))
        before, later = (template_hash(render_warm_pod(make_pool(), config, "x")) for config in (CONFIG, newer))
        assert before == later
        changed = newer.model_copy(update={"sandboxes": newer.sandboxes.model_copy(update={"new_field": 8})})
        assert template_hash(render_warm_pod(make_pool(), changed, "x")) != before

    def test_the_pod_is_the_pools_and_has_the_shape_of_a_sandboxs(self) -> None:
        pod = render_warm_pod(make_pool(), CONFIG, "warm-abcde")
        owner = controller_of(pod)
        assert owner is not None
        assert (owner["kind"], owner["name"], owner["uid"]) == ("SandboxPool", "warm", POOL_UID)
        assert pod["metadata"]["labels"][POOL_LABEL] == "warm"
        assert SANDBOX_LABEL not in pod["metadata"]["labels"]


class TestMembers:
    template_record = PodTemplateRecord(make_spec(), ())

    def state(
        self,
        pod: PodSnapshot,
        status: SandboxStatus | None = None,
        preload: PreloadState | None = None,
        at: datetime = NOW,
        **observed: Any,
    ) -> Any:
        """Look at a pod of the pool whose preload is as told."""
        sandbox = placeholder_sandbox("default", "demo", POOL_UID, make_spec(), status)
        pod = replace(pod, owner_uid=POOL_UID, owner_kind="SandboxPool", pool="warm")
        template_record = (
            self.template_record if preload is None else replace(self.template_record, preload=("postgres:16",))
        )
        return decide_warm_pod(
            ObservedState(sandbox, pod, **observed), template_record, preload or PreloadState(), CONFIG, at
        )

    def ready(self, **observed: Any) -> Any:
        return self.state(make_pod(), session=reported(ready_report()), **observed)

    def test_one_that_runs_is_started_like_any_other(self) -> None:
        result = self.state(make_pod())
        assert result.phase is WarmPodPhase.PENDING
        assert result.plan.action.purpose is SessionPurpose.START

    def test_it_can_be_taken_while_docker_and_the_kubelet_say_so(self) -> None:
        assert self.ready().phase is WarmPodPhase.AVAILABLE
        died = make_pod(ready=False, ready_changed_at=after(5))
        assert self.state(died, self.ready().status).phase is WarmPodPhase.PENDING

    def test_before_the_kubelets_first_probe_a_look_of_our_own_holds_for_as_long_as_one(self) -> None:
        pod = make_pod(ready=False)
        fresh = self.state(pod, session=reported(ready_report()))
        assert fresh.phase is WarmPodPhase.AVAILABLE
        previous = self.state(pod, fresh.status)
        look = self.state(pod, fresh.status, at=previous.plan.requeue_at)
        assert (previous.phase, look.phase) == (WarmPodPhase.AVAILABLE, WarmPodPhase.AVAILABLE)
        assert look.plan.action.purpose is SessionPurpose.START
        assert self.state(pod, fresh.status, at=after(22), session=RUNNING).phase is WarmPodPhase.PENDING
        assert self.state(pod, fresh.status, at=after(22), looked_at=after(15)).phase is WarmPodPhase.AVAILABLE
        # By now the kubelet would have called it ready.
        assert self.state(pod, fresh.status, at=after(26), looked_at=after(25)).phase is WarmPodPhase.PENDING

    @pytest.mark.parametrize("pod", [ended_pod(), ended_pod(reason="OOMKilled", exit_code=137)], ids=["exit", "oom"])
    def test_one_that_has_ended_has_failed(self, pod: PodSnapshot) -> None:
        result = self.state(pod)
        assert (result.phase, result.problem is not None) == (WarmPodPhase.FAILED, True)

    def test_so_has_one_whose_dockerd_is_not_started_again(self) -> None:
        result = self.state(make_pod(), session=reported(failed_report(stderr="unknown flag: --x", exit_code=125)))
        assert result.problem.reason == Reason.INVALID_FLAGS
        assert result.phase is WarmPodPhase.FAILED

    def test_one_whose_dockerd_is_started_again_has_not(self) -> None:
        assert self.state(make_pod(), session=reported(failed_report())).phase is WarmPodPhase.PENDING

    @pytest.mark.parametrize("spec_hash", [None, "0123456789abcdef"])
    def test_a_pod_whose_spec_hash_differs_is_as_good_as_any(self, spec_hash: str | None) -> None:
        result = self.state(make_pod(spec_hash=spec_hash), session=reported(ready_report()))
        assert (result.phase, result.problem) == (WarmPodPhase.AVAILABLE, None)

    def test_images_are_pulled_before_it_can_be_taken(self) -> None:
        result = self.ready(preload=PreloadState())
        assert result.phase is WarmPodPhase.PRELOADING
        assert result.plan.action.command[-2:] == ("--", "postgres:16")
        assert self.ready(preload=PreloadState(done=True)).phase is WarmPodPhase.AVAILABLE

    def test_an_image_that_can_not_be_pulled_is_told_and_tried_again_later(self) -> None:
        failed = PreloadState(problem="postgres:16: no such host", tries=2, at=NOW)
        result = self.ready(preload=failed)
        assert result.problem.reason == Reason.PRELOAD_FAILED
        assert "no such host" in result.problem.message
        assert (result.plan.action, result.plan.requeue_at) == (None, after(10))
        again = self.ready(preload=failed, looked_at=after(1), at=after(10))
        assert again.plan.action.purpose is SessionPurpose.PRELOAD

    @pytest.mark.parametrize("tries", [1, 9])
    def test_dockerd_is_looked_at_before_the_next_preload_attempt(self, tries: int) -> None:
        failed = PreloadState(problem="Cannot connect to the Docker daemon", tries=tries, at=after(100))
        for looked_at in (None, after(50)):
            result = self.state(make_pod(), self.ready().status, failed, after(9999), looked_at=looked_at)
            assert (result.phase, result.plan.action.purpose) == (WarmPodPhase.PRELOADING, SessionPurpose.START)

    def test_dockerd_is_looked_at_when_the_pod_turns_unready_between_preload_attempts(self) -> None:
        failed = PreloadState(problem="timeout", tries=9, at=after(100))
        dead = make_pod(ready=False, ready_changed_at=after(150))
        result = self.state(dead, self.ready().status, failed, after(160), looked_at=after(110))
        assert result.plan.action.purpose is SessionPurpose.START

    def test_a_lost_look_at_dockerd_is_repeated_before_the_images(self) -> None:
        failed = PreloadState(problem="timeout", tries=1, at=NOW)
        observed: Json = {"status": self.ready().status, "preload": failed, "session": lost(at=after(9))}
        assert self.state(make_pod(), at=after(9), **observed).plan.requeue_at == after(10)
        assert self.state(make_pod(), at=after(10), **observed).plan.action.purpose is SessionPurpose.START

    def test_a_dockerd_that_died_while_it_preloads_is_restarted_or_fails(self) -> None:
        failed = PreloadState(problem="Cannot connect to the Docker daemon", tries=1, at=NOW)
        died = self.state(make_pod(), self.ready().status, failed, session=reported(failed_report(**KILLED)))
        assert (died.phase, died.problem.reason) == (WarmPodPhase.PENDING, Reason.DOCKERD_KILLED)
        restart = self.state(make_pod(), died.status, failed, after(60))
        assert restart.plan.action.purpose is SessionPurpose.START
        final = failed_report(stderr="unknown flag: --x", exit_code=125)
        gone = self.state(make_pod(), self.ready().status, failed, session=reported(final))
        assert gone.phase is WarmPodPhase.FAILED


class PoolKube(FakeKube):
    """Holds many pods, and lets the test do something before or after any write to one."""

    def __init__(self, sandbox: Json) -> None:
        super().__init__(sandbox)
        self.all_pods: dict[str, Json] = {}
        self.policies: dict[str, Json] = {}
        self.policy_errors: list[CaissonError] = []
        self.pod_errors: list[KubeError] = []
        self.before_patch: Callable[[], None] = lambda: None
        self.after_patch: list[CaissonError] = []
        self.pool: Json = {}

    async def create(self, kind: ApiResource, namespace: str, manifest: Json, *, dry_run: bool = False) -> Json:
        name = manifest["metadata"]["name"]
        if kind is NETWORK_POLICIES:
            if self.policy_errors:
                raise self.policy_errors.pop()
            policy = self.policies[name] = copy.deepcopy(manifest)
            policy["metadata"]["uid"] = f"uid of the policy {name}"
            return self._stamp(policy)
        if kind is not PODS or dry_run:
            return await super().create(kind, namespace, manifest, dry_run=dry_run)
        if name in self.all_pods:
            raise kube_error("POST pods", 409, "AlreadyExists", "exists")
        if self.pod_errors:
            error = self.pod_errors.pop()
            raise kube_error("POST pods", error.status, error.reason, error.message.format(name=name))
        pod = copy.deepcopy(manifest)
        pod["metadata"] |= {"uid": f"uid of {name}", "creationTimestamp": "2026-03-01T12:00:00Z"}
        pod["status"] = {"phase": "Pending"}
        self.all_pods[name] = pod
        return self._stamp(pod)

    async def get(self, kind: ApiResource, namespace: str, name: str) -> Json:
        if kind is not PODS:
            return await super().get(kind, namespace, name)
        if name not in self.all_pods:
            raise kube_error("GET pods", 404, "NotFound", "not found")
        return copy.deepcopy(self.all_pods[name])

    async def patch(self, kind: ApiResource, namespace: str, name: str, patch: Json) -> Json:
        if kind is not PODS:
            return await super().patch(kind, namespace, name, patch)
        self.before_patch()
        pod = await self.get(kind, namespace, name)
        if patch["metadata"]["uid"] != pod["metadata"]["uid"]:
            raise kube_error("PATCH pods", 422, "Invalid", "uid")
        if patch["metadata"]["resourceVersion"] != pod["metadata"]["resourceVersion"]:
            raise kube_error("PATCH pods", 409, "Conflict", "changed")
        self.all_pods[name] = merged(pod, patch)
        answer = self._stamp(self.all_pods[name])
        if self.after_patch:
            raise self.after_patch.pop()
        return answer

    async def delete(
        self, kind: ApiResource, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        if kind is not PODS:
            return await super().delete(kind, namespace, name, uid)
        pod = await self.get(kind, namespace, name)
        if resource_version not in (None, pod["metadata"]["resourceVersion"]):
            raise kube_error("DELETE pods", 409, "Conflict", "changed")
        del self.all_pods[name]
        return None

    async def patch_status(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        if plural == "sandboxes":
            return await super().patch_status(plural, namespace, name, patch)
        self.pool = merged(self.pool, {"status": patch["status"]})
        answer = self._stamp(self.pool)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return answer

    def run(self, name: str) -> None:
        """Let the kubelet start a pod, and find it good."""
        pod = self.all_pods[name]
        pod["spec"]["nodeName"] = "node"
        pod["status"] = {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "containerStatuses": [
                {"name": "sandbox", "state": {"running": {"startedAt": f"{now():%Y-%m-%dT%H:%M:%SZ}"}}}
            ],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": f"{now():%Y-%m-%dT%H:%M:%SZ}"}],
        }
        self._stamp(pod)

    def turns_unready(self, name: str, after_seconds: int) -> None:
        """Let the kubelet call a pod unready that long after its start; before that, it has not called it ready."""
        pod = self.all_pods[name]
        started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        at = datetime.fromisoformat(started) + timedelta(seconds=after_seconds)
        pod["status"]["conditions"] = [
            {"type": "Ready", "status": "False", "lastTransitionTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        ]
        self._stamp(pod)


class PoolWorld(World):
    """A cluster with a pool and a Sandbox that takes from it."""

    kube: PoolKube

    def __init__(self, **pool: Any) -> None:
        raw = raw_sandbox(make_sandbox())
        raw["spec"] = {"poolRef": {"name": "warm"}}
        self._pool = raw_pool(**pool)
        super().__init__(raw)

    def make_kube(self, sandbox: Json) -> FakeKube:
        kube = PoolKube(sandbox)
        kube.pool = copy.deepcopy(self._pool)
        return kube

    def watches_deliver(self) -> None:
        super().watches_deliver()
        self.pool_store.put(copy.deepcopy(self.kube.pool))
        for pod in self.kube.all_pods.values():
            self.pods.put(copy.deepcopy(pod))
        for policy in self.kube.policies.values():
            self.children[ChildKind.NETWORK_POLICY].put(copy.deepcopy(policy))
        for pod in list(self.pods.all()):
            if pod["metadata"]["name"] not in self.kube.all_pods:
                self.pods.remove(pod)

    async def fill(self, *answers: ExecResult | Exception) -> list[str]:
        """Bring the pool's pods to where they can be taken, and return their names. See `look` for the answers."""
        await self.pools.reconcile(POOL_KEY)
        names = sorted(self.kube.all_pods)
        for name in names:
            self.kube.run(name)
        self.watches_deliver()
        await self.look(names, *answers)
        return names

    async def dies_at_the_claim(self) -> None:
        """Let the operator be killed between the claim in the status and the pod that it is about."""

        def die() -> None:
            raise KubeUnreachable("killed")

        self.kube.before_patch = die
        with pytest.raises(KubeUnreachable):
            await self.reconcile()

    async def look(self, names: list[str], *answers: ExecResult | Exception) -> None:
        """Look at pods of the pool, as after a restart of the operator too. The sessions of each get these answers."""
        for name in names:
            self.executor.answers = list(answers or (READY_ANSWER,))
            for _ in range(3):
                await self.warm_pods.reconcile(Key("default", name))
                for _ in range(5):
                    await asyncio.sleep(0)

    def damage_template(self, name: str) -> None:
        """Let the template on a pod be one that this version can't read."""
        pod = self.kube.all_pods[name]
        written = json.loads(pod["metadata"]["annotations"]["caisson.dev/pool-template"])
        written["spec"]["entrypoint"] = "OfANewerVersion"
        pod["metadata"]["annotations"]["caisson.dev/pool-template"] = json.dumps(written)
        self.kube._stamp(pod)

    async def replace_some(self) -> None:
        """Let the pool act, and its new pods become ready."""
        before = set(self.kube.all_pods)
        await self.pools.reconcile(POOL_KEY)
        names = sorted(set(self.kube.all_pods) - before)
        for name in names:
            self.kube.run(name)
        self.watches_deliver()
        await self.look(names)

    def owners(self) -> dict[str, str]:
        """Return whose each pod is."""
        result = {name: controller_of(pod) for name, pod in self.kube.all_pods.items()}
        return {name: f"{owner['kind']}/{owner['name']}" for name, owner in result.items() if owner is not None}


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld(replicas=1)


class TestClaims:
    async def test_a_sandbox_takes_a_pod_that_is_ready_with_two_writes(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile()
        assert world.condition() == ("True", "Ready")
        assert world.owners() == {name: "Sandbox/demo"}
        assert world.kube.all_pods[name]["metadata"]["labels"][SANDBOX_LABEL] == "demo"
        status = world.kube.sandbox["status"]
        assert (status["podName"], status["pool"]["origin"]) == (name, "Warm")
        assert status["docker"]["version"]
        assert len(world.kube.status_writes) == 2

    async def test_the_claim_is_written_before_the_pod_changes(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        observed: list[str] = []
        world.kube.before_patch = lambda: observed.append(world.kube.sandbox["status"]["podUID"])
        await world.reconcile()
        assert observed == [f"uid of {name}"]

    async def test_then_it_is_left_alone_but_for_a_look(self, world: PoolWorld) -> None:
        await world.fill()
        await world.reconcile(5)
        assert len(world.kube.status_writes) == 2
        assert world.owners() == {next(iter(world.kube.all_pods)): "Sandbox/demo"}

    async def test_of_two_pods_the_one_in_an_unreadable_status_is_kept(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile(3)
        twin = copy.deepcopy(world.kube.all_pods[name])
        twin["metadata"] |= {"name": "a-twin", "uid": "uid of the twin"}
        world.kube.all_pods["a-twin"] = twin
        world.kube._stamp(twin)
        world.kube.sandbox["status"]["docker"]["restarts"] = "of another version"
        world.kube._stamp(world.kube.sandbox)
        world.operator_restarts()
        await world.reconcile(3)
        assert list(world.kube.all_pods) == [name]

    async def test_an_operator_that_dies_in_between_goes_on_with_the_same_pod(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        assert world.owners() == {name: "SandboxPool/warm"}
        world.kube.before_patch = lambda: None
        world.operator_restarts()
        await world.pools.reconcile(POOL_KEY)
        await world.reconcile(2)
        assert world.owners()[name] == "Sandbox/demo"
        assert world.condition() == ("True", "Ready")

    async def test_an_answer_that_was_lost_takes_no_second_pod(self) -> None:
        world = PoolWorld(replicas=2)
        names = await world.fill()
        world.kube.after_patch = [KubeUnreachable("lost")]
        with pytest.raises(KubeUnreachable):
            await world.reconcile()
        await world.reconcile(2)
        assert sorted(world.owners().values()) == ["Sandbox/demo", "SandboxPool/warm"]
        assert world.condition() == ("True", "Ready")
        assert len(names) == 2

    async def test_a_claim_counts_once_when_an_answer_is_lost(self) -> None:
        for lost_answers in ("lost_answers", "after_patch"):
            world = PoolWorld(replicas=1)
            (name,) = await world.fill()
            setattr(world.kube, lost_answers, [KubeUnreachable("lost")])
            with pytest.raises(KubeUnreachable):
                await world.reconcile()
            world.watches_deliver()
            await world.reconcile(3)
            assert world.owners() == {name: "Sandbox/demo"}
            assert [event["reason"] for event in world.kube.events] == ["Ready"]
            assert world.metrics.registry.get_sample_value("caisson_pool_claims_total", {"origin": "Warm"}) == 1

    async def test_a_pod_that_another_took_is_not_taken(self) -> None:
        world = PoolWorld(replicas=2)
        await world.fill()

        def steal() -> None:
            world.kube.before_patch = lambda: None
            name = world.kube.sandbox["status"]["podName"]
            pod = world.kube.all_pods[name]
            pod["metadata"]["ownerReferences"] = [
                {
                    "apiVersion": "caisson.dev/v1alpha1",
                    "kind": "Sandbox",
                    "name": "thief",
                    "uid": "t",
                    "controller": True,
                }
            ]
            world.kube._stamp(pod)

        world.kube.before_patch = steal
        await world.reconcile(3)
        assert sorted(world.owners().values()) == ["Sandbox/demo", "Sandbox/thief"]
        assert world.condition() == ("True", "Ready")

    async def test_a_pod_that_changed_meanwhile_and_is_still_the_pools_is_taken(self, world: PoolWorld) -> None:
        (name,) = await world.fill()

        def touch() -> None:
            world.kube.before_patch = lambda: None
            world.kube._stamp(world.kube.all_pods[name])

        world.kube.before_patch = touch
        await world.reconcile(3)
        assert world.owners() == {name: "Sandbox/demo"}
        assert world.condition() == ("True", "Ready")
        assert len(world.kube.status_writes) == 2

    async def test_a_pod_that_is_gone_by_then_is_given_up(self, world: PoolWorld) -> None:
        await world.fill()
        world.kube.before_patch = world.kube.all_pods.clear
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"

    async def test_a_pool_does_not_delete_what_a_sandbox_has_claimed(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.pool["spec"]["replicas"] = 0
        world.kube._stamp(world.kube.pool)
        world.operator_restarts()
        await world.pools.reconcile(POOL_KEY)
        assert name in world.kube.all_pods

    async def test_a_pod_that_was_taken_since_is_not_deleted_with_the_pools(self, world: PoolWorld) -> None:
        """By another operator: the version in the delete is an older one."""
        (name,) = await world.fill()
        world.kube._stamp(world.kube.all_pods[name])
        world.pool_store.put(merged(world.kube.pool, {"metadata": {"resourceVersion": "99"}, "spec": {"replicas": 0}}))
        await world.pools.reconcile(POOL_KEY)
        assert name in world.kube.all_pods

    async def test_what_is_left_of_two_pods_is_the_one_that_the_status_names(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile()
        twin = copy.deepcopy(world.kube.all_pods[name])
        twin["metadata"] |= {"name": "demo", "uid": "twin"}
        world.kube.all_pods["demo"] = twin
        world.kube._stamp(twin)
        world.watches_deliver()
        await world.reconcile(2)
        assert list(world.kube.all_pods) == [name]


class TestPolicy:
    async def test_it_is_there_before_the_pods_and_selects_those_that_nobody_has_taken(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        policy = world.kube.policies["pool.warm"]
        (pod,) = world.kube.all_pods.values()
        assert int(policy["metadata"]["resourceVersion"]) < int(pod["metadata"]["resourceVersion"])
        selector, labels = policy["spec"]["podSelector"], pod["metadata"]["labels"]
        assert selects(selector, labels)
        assert not selects(selector, labels | {SANDBOX_LABEL: "demo"})

    async def test_a_sandboxs_own_is_there_before_the_pod_is_its(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        observed: list[bool] = []
        world.kube.before_patch = lambda: observed.append("demo" in world.kube.policies)
        await world.reconcile()
        assert observed == [True]
        selector = world.kube.policies["demo"]["spec"]["podSelector"]
        assert selects(selector, world.kube.all_pods[name]["metadata"]["labels"])

    async def test_without_it_no_pod_is_taken(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.policy_errors = [kube_error("POST", 403, "Forbidden", "exceeded quota: none")] * 2
        await world.reconcile(2)
        assert world.owners() == {name: "SandboxPool/warm"}
        assert world.condition() == ("False", "NetworkPolicyRejected")
        assert not {"podUID", "pool"} & set(world.kube.sandbox["status"])

    async def test_one_that_opens_too_much_keeps_the_pool_from_filling(self) -> None:
        world = PoolWorld(replicas=1, template={"network": {"allow": [{"cidr": "169.254.169.254/32"}]}})
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.all_pods == {}
        (ready,) = world.kube.pool["status"]["conditions"]
        assert ready["reason"] == "EgressNotAllowed"


class TestTrouble:
    """What goes wrong is told, once, and tried again less and less."""

    @staticmethod
    async def fail(world: PoolWorld, names: list[str]) -> None:
        """Let the commands of these pods end, and the operator see it."""
        for name in names:
            ended = [{"name": "sandbox", "state": {"terminated": {"exitCode": 1}}}]
            world.kube.all_pods[name]["status"] = {"phase": "Failed", "containerStatuses": ended}
            world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        for name in names:
            await world.warm_pods.reconcile(Key("default", name))

    async def test_one_that_is_good_does_not_excuse_those_that_fail(self) -> None:
        world = PoolWorld(replicas=3)
        made = set(await world.fill())
        bad = sorted(made)[1:]
        for _ in range(6):
            await self.fail(world, bad)
            await world.pools.reconcile(POOL_KEY)
            await world.pools.reconcile(POOL_KEY)
            bad = [name for name in world.kube.all_pods if name not in made]
            made |= set(bad)
        assert len(made) == 3

    async def test_one_that_soon_fails_too_excuses_nothing_and_one_that_a_sandbox_takes_does(self) -> None:
        for is_taken in (False, True):
            world = PoolWorld(replicas=1)
            names = await world.fill()
            memory = world.pools._memories[POOL_KEY]
            memory.failures = Failures(5, datetime(2026, 1, 1, tzinfo=UTC))
            await world.pools.reconcile(POOL_KEY)
            assert memory.failures.count == 5
            if is_taken:
                await world.reconcile()
            else:
                await self.fail(world, names)
            await world.pools.reconcile(POOL_KEY)
            assert memory.failures.count == (0 if is_taken else 6)

    async def test_a_refusal_that_stays_the_same_is_written_once(self, world: PoolWorld) -> None:
        writes = []
        for _ in range(3):
            world.kube.pod_errors = [kube_error("POST", 403, "Forbidden", "{name} is forbidden: exceeded quota")]
            await world.pools.reconcile(POOL_KEY)
            memory = world.pools._memories[POOL_KEY]
            assert memory.create_failure is not None
            memory.create_failure = replace(memory.create_failure, at=datetime(2026, 1, 1, tzinfo=UTC))
            memory.changed_since = datetime(2026, 1, 1, tzinfo=UTC)
            world.watches_deliver()
            writes.append(copy.deepcopy(world.kube.pool["status"]))
        assert "warm-… is forbidden: exceeded quota" in str(writes[1])
        assert writes[1] == writes[2]

    async def test_a_trouble_has_one_event_when_the_answer_to_its_write_is_lost(self, world: PoolWorld) -> None:
        world.kube.pod_errors = [kube_error("POST", 403, "Forbidden", "{name} is forbidden: exceeded quota")]
        world.kube.lost_answers = [KubeUnreachable("lost")]
        with pytest.raises(KubeUnreachable):
            await world.pools.reconcile(POOL_KEY)
        world.watches_deliver()
        for _ in range(2):
            await world.pools.reconcile(POOL_KEY)
        assert [event["reason"] for event in world.kube.events] == ["PodRejected"]

    async def test_another_template_gets_another_chance(self, world: PoolWorld) -> None:
        await self.fail(world, await world.fill())
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.all_pods == {}
        world.kube.pool["spec"]["template"]["spec"]["image"] = "another"
        world.kube.pool["metadata"]["generation"] = 2
        world.kube._stamp(world.kube.pool)
        world.watches_deliver()
        await world.pools.reconcile(POOL_KEY)
        assert len(world.kube.all_pods) == 1

    async def test_what_the_node_says_is_looked_at(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.all_pods[name]["spec"]["nodeName"] = "node"
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        world.wishes.clear()
        await world.warm_pods.reconcile(Key("default", name))
        assert world.wishes == [0]

    async def test_after_a_restart_a_sandbox_waits_for_those_that_are_being_looked_at(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.operator_restarts()
        world.executor.answers = [READY_ANSWER]
        await world.warm_pods.reconcile(Key("default", name))
        await world.reconcile()
        assert "pool" not in world.kube.sandbox["status"]
        await world.look([name])
        await world.reconcile()
        assert world.owners() == {name: "Sandbox/demo"}

    @pytest.mark.parametrize("is_probed", [True, False], ids=["probed", "not-probed-yet"])
    async def test_after_a_restart_a_sandbox_waits_for_preloaded_pods(self, is_probed: bool) -> None:
        world = PoolWorld(replicas=1, preload=["postgres:16"])
        (name,) = await world.fill(READY_ANSWER, PRELOADED_ANSWER)
        if not is_probed:
            world.kube.turns_unready(name, 0)
        world.operator_restarts()
        await world.reconcile()
        for answer in (READY_ANSWER, PRELOADED_ANSWER):
            assert "pool" not in world.kube.sandbox["status"]
            world.executor.answers = [answer]
            await world.warm_pods.reconcile(Key("default", name))
            await asyncio.sleep(0.01)
            await world.reconcile()
        await world.warm_pods.reconcile(Key("default", name))
        await world.reconcile()
        assert world.owners() == {name: "Sandbox/demo"}

    async def test_a_sandbox_does_not_wait_longer_for_pods_that_are_not_verified(self, world: PoolWorld) -> None:
        await world.fill()
        world.operator_restarts()
        await world.reconcile()
        assert "pool" not in world.kube.sandbox["status"]
        world.warm_pods._began = now() - timedelta(seconds=20)
        await world.reconcile()
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"

    async def test_a_sandbox_does_not_wait_for_pods_whose_images_are_missing(self) -> None:
        world = PoolWorld(replicas=1, preload=["postgres:16"])
        (name,) = await world.fill(READY_ANSWER, PRELOADED_ANSWER)
        world.operator_restarts()
        failed = ExecResult(1, line("preloadFailed", image64=b64("postgres:16"), stderr64=b64("no such host")), b"")
        await world.look([name], READY_ANSWER, failed, READY_ANSWER)
        await world.reconcile()
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"

    async def test_where_no_pod_may_be_taken_one_is_started(self, world: PoolWorld) -> None:
        (name,) = await world.fill()

        def deny() -> None:
            raise kube_error("PATCH pods", 403, "Forbidden", "admission webhook denied the request: no")

        world.kube.before_patch = deny
        await world.reconcile(4)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"
        (reported_value,) = world.kube.events
        assert (reported_value["type"], reported_value["reason"]) == ("Warning", "PodClaimRejected")
        assert "admission webhook denied the request: no" in reported_value["message"]

    @pytest.mark.parametrize("status", [404, 422])
    async def test_a_webhook_that_answers_as_if_the_pod_had_changed_is_told_as_one_that_refuses(
        self, world: PoolWorld, status: int
    ) -> None:
        (name,) = await world.fill()

        def deny() -> None:
            raise kube_error("PATCH pods", status, "Denied", "admission webhook denied the request: no")

        world.kube.before_patch = deny
        await world.reconcile(4)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}
        assert [event["reason"] for event in world.kube.events] == ["PodClaimRejected"]

    async def test_one_that_answers_with_a_conflict_is_asked_again_after_a_pause(self, world: PoolWorld) -> None:
        (name,) = await world.fill()

        def deny() -> None:
            raise kube_error("PATCH pods", 409, "Conflict", "admission webhook denied the request: no")

        world.kube.before_patch = deny
        for _ in range(3):
            with pytest.raises(Conflict):
                await world.reconcile()
        assert world.owners() == {name: "SandboxPool/warm"}
        assert len(world.kube.status_writes) == 1

    async def test_a_pod_that_can_not_be_read_is_replaced(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.all_pods[name]["metadata"]["annotations"]["caisson.dev/pool-template"] = "{"
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        await world.warm_pods.reconcile(Key("default", name))
        assert world.warm_pods._states == {}
        await world.replace_some()
        assert name in world.kube.all_pods
        await world.pools.reconcile(POOL_KEY)
        assert name not in world.kube.all_pods

    async def test_a_status_that_can_not_be_read_is_written_anew(self, world: PoolWorld) -> None:
        world.kube.pool["status"] = {"replicas": "many", "left": "over"}
        world.kube._stamp(world.kube.pool)
        world.watches_deliver()
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.pool["status"]["replicas"] == 1
        assert "left" not in world.kube.pool["status"]

    async def test_since_when_a_pod_is_ready_outlives_the_operator(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.all_pods[name]["status"]["conditions"][0]["lastTransitionTime"] = "2026-03-01T12:00:30Z"
        world.kube._stamp(world.kube.all_pods[name])
        world.operator_restarts()
        await world.look([name])
        since = world.warm_pods._states[Key("default", name)].ready_since
        assert since == datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)

    async def test_a_pool_that_can_not_be_read_says_so(self, world: PoolWorld) -> None:
        world.kube.pool["spec"]["template"]["spec"]["image"] = 7
        world.kube._stamp(world.kube.pool)
        world.watches_deliver()
        await world.pools.reconcile(POOL_KEY)
        (ready,) = world.kube.pool["status"]["conditions"]
        assert ready["reason"] == "InvalidSpec"
        assert "template.spec.image" in ready["message"]
        await world.pools.reconcile(POOL_KEY)
        (reported_value,) = world.kube.events
        assert (reported_value["type"], reported_value["reason"]) == ("Warning", "InvalidSpec")
        assert reported_value["involvedObject"]["kind"] == "SandboxPool"


class TestCold:
    async def test_a_pod_that_an_earlier_sandbox_of_this_name_took_is_not_waited_for(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.reconcile(3)
        assert world.owners() == {name: "Sandbox/demo"}
        world.kube.policies.clear()
        raw = copy.deepcopy(world.kube.sandbox) | {"status": {}}
        raw["metadata"]["uid"] = "44444444-4444-4444-4444-444444444444"
        world.kube.sandbox = raw
        world.kube._stamp(raw)
        world.operator_restarts()
        await world.reconcile(3)
        assert world.owners() == {name: "Sandbox/demo", "demo": "Sandbox/demo"}

    async def test_without_a_pod_that_is_ready_one_is_started_and_that_is_told(self, world: PoolWorld) -> None:
        await world.reconcile(3)
        assert world.owners() == {"demo": "Sandbox/demo"}
        assert world.kube.sandbox["status"]["pool"]["origin"] == "Cold"
        assert [event["reason"] for event in world.kube.events] == ["PoolEmpty"]

    async def test_then_none_is_taken_though_the_answer_to_its_creation_was_lost(self, world: PoolWorld) -> None:
        await world.reconcile()
        assert world.kube.sandbox["status"]["pool"]["origin"] == Origin.COLD
        names = await world.fill()
        await world.reconcile(3)
        assert world.owners() == {names[0]: "SandboxPool/warm", "demo": "Sandbox/demo"}

    async def test_it_keeps_its_pod_when_the_pools_template_changes(self, world: PoolWorld) -> None:
        await world.reconcile(3)
        world.kube.pool["spec"]["template"]["spec"]["image"] = "other"
        world.kube._stamp(world.kube.pool)
        world.kube.run("demo")
        world.watches_deliver()
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods
        assert world.condition() != ("False", "PodTerminating")

    @pytest.mark.parametrize("pool_is_there", [True, False], ids=["pool", "no-pool"])
    @pytest.mark.parametrize("origin", [Origin.COLD, Origin.WARM])
    async def test_a_pod_is_kept_when_its_template_can_not_be_read(self, origin: Origin, pool_is_there: bool) -> None:
        """As after a rollback of the operator."""
        world = PoolWorld(replicas=int(origin is Origin.WARM), template={"image": "debian:trixie"})
        if origin is Origin.WARM:
            await world.fill()
        await world.reconcile(3)
        (name,) = (pod for pod, owner in world.owners().items() if owner == "Sandbox/demo")
        world.kube.run(name)
        world.watches_deliver()
        world.executor.answers = [READY_ANSWER]
        await world.reconcile(5)
        assert world.condition() == ("True", "Ready")
        world.damage_template(name)
        world.kube.pool["spec"]["template"]["spec"]["image"] = "other"
        world.kube._stamp(world.kube.pool)
        policy = copy.deepcopy(world.kube.policies["demo"])
        world.operator_restarts()
        if not pool_is_there:
            world.pool_store.remove(world.kube.pool)
        sessions = len(world.executor.commands)
        await world.reconcile(3)
        assert world.owners()[name] == "Sandbox/demo"
        assert world.condition() == ("True", "Ready")
        running = next(c for c in world.kube.sandbox["status"]["conditions"] if c["type"] == "PodRunning")
        assert "can't read which template" in running["message"]
        # dockerd dies: no session starts it with the settings of another template.
        world.kube.turns_unready(name, 60)
        world.watches_deliver()
        await world.reconcile(3)
        assert world.condition() == ("Unknown", "PodTemplateUnreadable")
        assert (world.owners()[name], len(world.executor.commands)) == ("Sandbox/demo", sessions)
        assert world.kube.policies["demo"] == policy

    async def test_a_pod_is_kept_when_this_version_reads_its_template_differently(self) -> None:
        world = PoolWorld(replicas=0)
        await world.reconcile(3)
        pod = world.kube.all_pods["demo"]
        pod["metadata"]["annotations"]["caisson.dev/spec-hash"] = "0123456789abcdef"
        world.kube.run("demo")
        world.operator_restarts()
        await world.reconcile(3)
        assert "demo" in world.kube.all_pods

    async def test_what_a_suspended_one_is_reached_by_outlives_its_pool(self) -> None:
        world = PoolWorld(replicas=0, template={"ports": [{"name": "web", "containerPort": 8080}]})
        await world.reconcile(3)
        made = copy.deepcopy((world.kube.beside[SERVICES], world.kube.policies["demo"]))
        world.kube.sandbox["spec"]["suspend"] = True
        world.kube._stamp(world.kube.sandbox)
        world.kube.all_pods.clear()
        world.watches_deliver()
        world.pool_store.remove(world.kube.pool)
        await world.reconcile(3)
        assert world.condition() == ("False", "Suspended")
        assert (world.kube.beside[SERVICES], world.kube.policies["demo"]) == made

    async def test_a_pool_that_is_not_there_is_told(self, world: PoolWorld) -> None:
        world.pool_store.remove(world.kube.pool)
        await world.reconcile(2)
        assert world.condition() == ("False", "PoolNotFound")
        assert world.owners() == {}


class TestUnreadable:
    @pytest.fixture
    async def filled(self) -> PoolWorld:
        """Return a pool with two pods that can be taken, of which the first becomes too large to be read."""
        world = PoolWorld(replicas=2)
        first, _ = await world.fill()
        world.kube._stamp(world.kube.all_pods[first])
        size = 6 * 2**20
        world.pods.put(stub_of(copy.deepcopy(world.kube.all_pods[first]), "Pod", Reason.OBJECT_TOO_LARGE, size))
        await world.warm_pods.reconcile(Key("default", first))
        return world

    async def test_a_pod_that_is_too_large_counts_and_stays(self, filled: PoolWorld) -> None:
        names = set(filled.kube.all_pods)
        for _ in range(3):
            await filled.pools.reconcile(POOL_KEY)
        assert set(filled.kube.all_pods) == names

    async def test_it_is_not_deleted_when_the_pool_shrinks(self, filled: PoolWorld) -> None:
        first = min(filled.kube.all_pods)
        filled.kube.pool["spec"]["replicas"] = 0
        filled.kube.pool["metadata"]["generation"] = 2
        filled.pool_store.put(filled.kube._stamp(filled.kube.pool))
        for _ in range(3):
            await filled.pools.reconcile(POOL_KEY)
        assert set(filled.kube.all_pods) == {first}

    async def test_a_sandbox_takes_another(self, filled: PoolWorld) -> None:
        first, second = sorted(filled.kube.all_pods)
        await filled.reconcile(3)
        assert filled.owners() == {first: "SandboxPool/warm", second: "Sandbox/demo"}

    async def test_a_pool_over_its_namespaces_limit_says_so_once_and_keeps_its_pods(self) -> None:
        world = PoolWorld(replicas=1)
        await world.fill()
        names = set(world.kube.all_pods)
        world.pool_store = Store(kind="SandboxPool", budget=Budget(100, 100))
        world.pools._pools = world.pool_store
        world.pool_store.put(copy.deepcopy(world.kube.pool))
        finds: list[str] = []

        async def find(kind: ApiResource, namespace: str, name: str) -> Json:
            finds.append(f"{kind.plural}/{namespace}/{name}")
            return copy.deepcopy(world.kube.pool)

        world.kube.find = find  # type: ignore[method-assign]
        for _ in range(3):
            await world.pools.reconcile(POOL_KEY)
        assert set(world.kube.all_pods) == names
        [ready] = world.kube.pool["status"]["conditions"]
        assert (ready["status"], ready["reason"]) == ("False", "NamespaceOverLimit")
        assert finds == ["sandboxpools/default/warm"]

    async def test_a_pool_that_is_over_the_limit_at_the_first_look_has_an_event_that_says_so(self) -> None:
        world = PoolWorld(replicas=1)
        world.pools._pools = Store(kind="SandboxPool", budget=Budget(100, 100))
        world.pools._pools.put(copy.deepcopy(world.kube.pool))

        async def find(kind: ApiResource, namespace: str, name: str) -> Json:
            return copy.deepcopy(world.kube.pool)

        world.kube.find = find  # type: ignore[method-assign]
        for _ in range(3):
            await world.pools.reconcile(POOL_KEY)
        events = [(event["involvedObject"]["kind"], event["reason"]) for event in world.kube.events]
        assert events == [("SandboxPool", "NamespaceOverLimit")]


class TestScaling:
    async def test_what_was_scaled_away_is_no_failure_though_it_has_ended_before_it_is_gone(self) -> None:
        world = PoolWorld(replicas=2)
        names = await world.fill()
        for name in names:
            pod = world.kube.all_pods[name]
            pod["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
            pod["status"]["phase"] = "Failed"
            world.kube._stamp(pod)
        world.watches_deliver()
        for name in names:
            await world.warm_pods.reconcile(Key("default", name))
        await world.pools.reconcile(POOL_KEY)
        assert len(set(world.kube.all_pods) - set(names)) == 2
        assert "lastFailure" not in world.kube.pool.get("status", {})


class TestOffer:
    @pytest.mark.parametrize("status", [{"phase": "Failed"}, {"phase": "Running", "conditions": []}], ids=str)
    async def test_what_the_kubelet_says_counts_before_this_process_has_looked(
        self, world: PoolWorld, status: Json
    ) -> None:
        (name,) = await world.fill()
        world.kube.all_pods[name]["status"] |= status
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    async def test_before_the_kubelets_first_probe_our_own_look_counts_for_a_while(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.run(name)
        world.kube.turns_unready(name, 0)
        world.watches_deliver()
        await world.look([name])
        warm, _ = world.pools.find_warm_pod(make_sandbox(), make_pool())
        assert warm is not None
        world.warm_pods._states[Key("default", name)].until = now()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    async def test_one_that_the_kubelet_no_longer_calls_ready_is_not_offered(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.turns_unready(name, 7)
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    @pytest.mark.parametrize(("after_seconds", "taken"), [(0, True), (7, False)])
    async def test_nor_is_it_where_the_claim_is_written_already(
        self, world: PoolWorld, after_seconds: int, taken: bool
    ) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.before_patch = lambda: None
        world.kube.turns_unready(name, after_seconds)
        world.operator_restarts()
        await world.reconcile(3)
        assert (world.owners()[name] == "Sandbox/demo") is taken
        assert ("demo" in world.owners()) is not taken

    async def test_a_pool_that_was_made_anew_gets_what_it_says(self, world: PoolWorld) -> None:
        await world.fill()
        before = world.pools._render(make_pool()).desired
        anew = make_pool(template={"image": "another"})
        anew = anew.model_copy(update={"metadata": anew.metadata.model_copy(update={"uid": "another"})})
        assert world.pools._render(anew).desired not in (before, None)

    async def test_a_claim_of_a_pod_that_has_ended_is_void(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.before_patch = lambda: None
        world.kube.all_pods[name]["status"]["phase"] = "Failed"
        world.kube._stamp(world.kube.all_pods[name])
        world.operator_restarts()
        await world.reconcile(3)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}

    async def test_one_that_is_new_to_the_cluster_is_not_waited_for(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        previous = world.warm_pods._states[Key("default", name)]
        previous.phase = WarmPodPhase.PENDING
        world.kube.all_pods[name]["metadata"]["creationTimestamp"] = f"{now():%Y-%m-%dT%H:%M:%SZ}"
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) == (None, False)

    @pytest.mark.parametrize(
        ("template", "external_message"),
        [
            ({"docker": {"enabled": False}}, "docker.enabled of the pool's template is false"),
            ({"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}, "UDP"),
        ],
        ids=["no-docker", "udp"],
    )
    async def test_idleness_that_nobody_would_see_is_refused(self, template: Json, external_message: str) -> None:
        world = PoolWorld(replicas=1, template=template)
        world.kube.sandbox["spec"]["lifetime"] = {"idleSeconds": 600}
        await world.reconcile(3)
        assert world.condition() == ("False", "IdleDetectionUnsupported")
        assert external_message in str(world.kube.sandbox["status"])
        assert world.owners() == {}


class TestPreload:
    async def test_a_pod_is_offered_once_the_images_are_there(self) -> None:
        world = PoolWorld(replicas=1, preload=["postgres:16"])
        pool = make_pool(preload=["postgres:16"])
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.run(name)
        world.watches_deliver()
        world.executor.answers = [READY_ANSWER, PRELOADED_ANSWER]
        for _ in range(3):
            assert world.pools.find_warm_pod(make_sandbox(), pool)[0] is None
            await world.warm_pods.reconcile(Key("default", name))
            await asyncio.sleep(0.01)
        await world.warm_pods.reconcile(Key("default", name))
        warm, _ = world.pools.find_warm_pod(make_sandbox(), pool)
        assert warm is not None
        assert warm.pod.name == name

    async def test_a_session_that_is_lost_over_it_says_nothing_of_docker(self) -> None:
        world = PoolWorld(replicas=1, preload=["postgres:16"])
        (name,) = await world.fill()
        previous, key = world.warm_pods._states[Key("default", name)], Key("default", name)
        for _ in range(LOST_SESSIONS_BEFORE_UNKNOWN + 1):
            # Long ago, so that the next attempt is due.
            previous.preload, previous.memory.looked_at = replace(previous.preload, at=NOW), NOW
            world.executor.answers = [READY_ANSWER, ExecError("broken")]
            for _ in range(4):
                await world.warm_pods.reconcile(key)
                await asyncio.sleep(0.01)
        assert previous.problem is not None
        assert previous.problem.reason is Reason.PRELOAD_FAILED
        assert "broken" in previous.problem.message
        verbs = [command[3] for command in world.executor.commands]
        assert verbs == ["start", "preload"] * (LOST_SESSIONS_BEFORE_UNKNOWN + 2)
