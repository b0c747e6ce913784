"""Rollouts: which pods a change of the template, the configuration or Caisson replaces, and how many at a time."""

from dataclasses import replace
from typing import cast

import pytest

from caisson.api.reasons import Reason
from caisson.model.condition import condition_result
from caisson.model.failure import FailureStreak
from caisson.pool.decide import ObservedPool, decide_pool
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPodPhase
from caisson.timing import STATUS_DEBOUNCE
from tests.unit.operator.builders import NOW, after, decided, make_pool, make_warm_pod
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.pool.steps import annotate, claim, damage_template, origin, read_template, write_template


class Rollout:
    """A pool whose pods are outdated, in a cluster that has room for a number of pods."""

    def __init__(self, replicas: int, revision: Revision, room: int) -> None:
        self.pool, self.room, self.refused = make_pool(replicas), room, cast("FailureStreak | None", None)
        self.pods = {f"old-{n}": make_warm_pod(f"old-{n}", revision=revision) for n in range(replicas)}
        self.made = self.most = self.rounds = 0
        self.fewest_usable, self.most_at_once = replicas, 0

    @property
    def is_done(self) -> bool:
        return all(pod.revision is Revision.CURRENT for pod in self.pods.values())

    def advance(self) -> None:
        """Carry out the decision. Pods that were created before become available."""
        self.rounds += 1
        at = after(600 * self.rounds)
        pods = tuple(self.pods.values())
        decision = decide_pool(ObservedPool(self.pool, pods, create_failure=self.refused), at)
        self.pods = {name: replace(pod, phase=WarmPodPhase.AVAILABLE) for name, pod in self.pods.items()}
        for gone in decision.delete:
            del self.pods[gone.pod_name]
        self.most_at_once = max(self.most_at_once, decision.create, len(decision.delete))
        for _ in range(decision.create):
            if len(self.pods) >= self.room:
                self.refused = FailureStreak(Reason.POD_REJECTED, "exceeded quota", 1, at, 1)
                break
            self.refused, self.made = None, self.made + 1
            self.pods[f"new-{self.made}"] = make_warm_pod(f"new-{self.made}", WarmPodPhase.PENDING)
        # A Sandbox can take these.
        usable = [p for p in self.pods.values() if p.phase is WarmPodPhase.AVAILABLE and p.revision.has_pool_template]
        self.fewest_usable = min(self.fewest_usable, len(usable))
        self.most = max(self.most, len(self.pods))


class TestRollout:
    @pytest.mark.parametrize("replicas", [1, 2, 3, 4, 9, 40])
    @pytest.mark.parametrize("revision", [Revision.OUTDATED, Revision.UNREADABLE])
    def test_a_pool_is_replaced_a_few_at_a_time_and_stays_full(self, replicas: int, revision: Revision) -> None:
        rollout = Rollout(replicas, revision, room=10**6)
        while not rollout.is_done:
            rollout.advance()
            assert rollout.rounds < 10 * replicas
        plan = max(1, min(4, replicas // 4))
        assert (len(rollout.pods), rollout.made) == (replicas, replicas)
        # A Sandbox can take no pod with an unreadable template.
        assert rollout.fewest_usable == (replicas if revision.has_pool_template else 0)
        assert (rollout.most, rollout.most_at_once) == (replicas + plan, plan)

    @pytest.mark.parametrize("phase", [WarmPodPhase.AVAILABLE, WarmPodPhase.PENDING])
    def test_pods_with_another_template_are_deleted_immediately(self, phase: WarmPodPhase) -> None:
        other = [make_warm_pod(f"other-{n}", phase, revision=Revision.OTHER_TEMPLATE) for n in range(7)]
        names = [pod.pod_name for pod in other]
        assert decided(7, *other) == (4, names)
        assert decided(7, *other, make_warm_pod("new", WarmPodPhase.PENDING)) == (3, names)
        assert decided(7, *other, *(make_warm_pod(f"new-{n}") for n in range(7))) == (0, names)

    def test_only_pods_that_are_replaced_gradually_limit_the_surge(self) -> None:
        other = [make_warm_pod(f"other-{n}", revision=Revision.OTHER_TEMPLATE) for n in range(4)]
        outdated = [make_warm_pod(f"old-{n}", revision=Revision.OUTDATED) for n in range(7)]
        names = [pod.pod_name for pod in other]
        assert decided(7, *other, *outdated) == (1, names)
        assert decided(7, *other, *outdated[:5]) == (3, names)
        assert decided(7, *other) == (4, names)

    def test_the_status_does_not_count_pods_with_another_template(self) -> None:
        problem = condition_result("False", Reason.IMAGE_PULL_FAILED)
        other = make_warm_pod("other", WarmPodPhase.PENDING, revision=Revision.OTHER_TEMPLATE, problem=problem)
        status = decide_pool(ObservedPool(make_pool(2), (other, replace(other, pod_name="more"))), NOW).status
        assert (status.replicas, status.ready_replicas, status.last_failure) == (0, 0, None)
        condition = status.condition("Ready")
        assert condition is not None
        assert (condition.reason, "a few at a time" in condition.message) == ("PoolFilling", False)

    @pytest.mark.parametrize("replicas", [2, 3, 4, 9, 40])
    def test_without_room_for_more_pods_they_are_replaced_in_place(self, replicas: int) -> None:
        rollout = Rollout(replicas, Revision.OUTDATED, room=replicas)
        while not rollout.is_done:
            rollout.advance()
            assert rollout.rounds < 10 * replicas
        for _ in range(2):
            rollout.advance()
        assert len(rollout.pods) == replicas
        assert rollout.fewest_usable >= replicas - max(1, min(4, replicas // 4))

    def test_the_last_pod_that_can_be_claimed_makes_no_room(self) -> None:
        rollout = Rollout(1, Revision.OUTDATED, room=1)
        for _ in range(9):
            rollout.advance()
        assert list(rollout.pods) == ["old-0"]
        unreadable = Rollout(1, Revision.UNREADABLE, room=1)
        while not unreadable.is_done:
            unreadable.advance()
            assert unreadable.rounds < 9

    def test_unschedulable_replacements_free_only_one_step(self) -> None:
        stuck = make_warm_pod("new", WarmPodPhase.PENDING, problem=condition_result("False", Reason.UNSCHEDULABLE))
        old = [make_warm_pod(f"old-{n}", revision=Revision.OUTDATED) for n in range(8)]
        assert decided(8, *old, stuck) == (1, ["old-6", "old-7"])
        assert decided(8, *old[:6], stuck, replace(stuck, pod_name="newer")) == (0, [])

    def test_the_status_reports_the_progress_of_a_rollout(self) -> None:
        old, other = (
            make_warm_pod("old", revision=Revision.OUTDATED),
            make_warm_pod("other", revision=Revision.UNREADABLE),
        )
        new = make_warm_pod("new", WarmPodPhase.PENDING)
        for warm_pods, counts, ready in (
            ((old, replace(old, pod_name="older"), new), (3, 2, 1), ("True", "PoolReady")),
            ((old, other, new), (3, 1, 1), ("False", "PoolFilling")),
        ):
            status = decide_pool(ObservedPool(make_pool(2), warm_pods), NOW).status
            assert (status.replicas, status.ready_replicas, status.updated_replicas) == counts
            condition = status.condition("Ready")
            assert condition is not None
            assert (condition.status, condition.reason) == ready
            assert "replaces them a few at a time" in condition.message

    def test_the_status_reports_a_stuck_rollout(self) -> None:
        old = make_warm_pod("old", revision=Revision.OUTDATED)
        new = make_warm_pod("new", WarmPodPhase.PENDING, problem=condition_result("False", Reason.TOOLBOX_PULL_FAILED))
        status = decide_pool(ObservedPool(make_pool(1), (old, new)), NOW).status
        ready = status.condition("Ready")
        assert ready is not None
        assert (ready.status, "status.lastFailure" in ready.message) == ("True", True)
        assert status.last_failure is not None
        assert (status.last_failure.reason, status.last_failure.pod_name) == ("ToolboxPullFailed", "new")


async def outdate(cluster: Cluster, *names: str) -> None:
    """Let an earlier release have created these pods: they have another hash and the same template."""
    for name in names:
        annotate(cluster, name, "caisson.dev/pool-template-hash", "earlier")
    await cluster.settle()


def new_pods_become_ready(cluster: Cluster) -> None:
    """Let the kubelet start every pod that does not run yet."""
    for name, pod in cluster.pods().items():
        if pod["status"]["phase"] == "Pending":
            cluster.kubelet.runs(name)
            cluster.kubelet.becomes_ready(name)


class TestRolloutInCluster:
    async def test_an_upgrade_of_caisson_does_not_empty_a_pool(self, cluster: Cluster) -> None:
        names = set(await cluster.fill_pool(replicas=4))
        await cluster.stop_operator()
        await outdate(cluster, *names)
        cluster.start_operator()
        for _ in range(9):
            # The status is written once it has settled.
            await cluster.advance(STATUS_DEBOUNCE.total_seconds())
            assert len(cluster.pods()) <= 5
            assert cluster.pool()["status"]["readyReplicas"] == 4
            new_pods_become_ready(cluster)
        assert not names & set(cluster.pods())
        assert len(cluster.pods()) == 4
        await claim(cluster)
        assert origin(cluster) == "Warm"

    async def test_a_sandbox_prefers_a_current_pod_to_an_outdated_one(self, cluster: Cluster) -> None:
        old = set(await cluster.fill_pool(replicas=2))
        await cluster.advance(60)
        await outdate(cluster, *old)
        await claim(cluster, "first")
        new_pods_become_ready(cluster)
        await cluster.settle()
        await claim(cluster, "second")
        owners = cluster.owners()
        assert {owners[name] for name in old} == {"Sandbox/first", "SandboxPool/warm"}
        assert "Sandbox/second" in owners.values()
        assert cluster.sandbox("second")["status"]["pool"]["origin"] == "Warm"

    async def test_a_pod_of_another_template_is_not_claimed(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        # The pool can't delete it at once.
        cluster.faults.fail("DELETE", f"pods/{name}")
        cluster.apply_pool(template={"image": "another"})
        await cluster.settle()
        await claim(cluster)
        assert cluster.owners()[name] == "SandboxPool/warm"
        assert origin(cluster) == "Cold"

    async def test_a_changed_template_replaces_the_whole_pool(self, cluster: Cluster) -> None:
        names = set(await cluster.fill_pool(replicas=6))
        cluster.apply_pool(replicas=6, template={"image": "another"})
        await cluster.settle()
        assert not names & set(cluster.pods())
        assert len(cluster.pods()) == 4

    @pytest.mark.parametrize("restarts", [False, True], ids=["", "after-a-restart"])
    async def test_a_template_in_another_notation_is_the_same(self, cluster: Cluster, *, restarts: bool) -> None:
        (name,) = await cluster.fill_pool()
        before = cluster.pods()[name]["metadata"]["annotations"]
        write_template(cluster, name, read_template(cluster, name))
        assert cluster.pods()[name]["metadata"]["annotations"] != before
        await cluster.settle()
        if restarts:
            await cluster.restart_operator()
        assert cluster.owners() == {name: "SandboxPool/warm"}
        await claim(cluster)
        assert cluster.owners()[name] == "Sandbox/demo"

    async def test_unreadable_templates_do_not_empty_a_pool(self, cluster: Cluster) -> None:
        names = await cluster.fill_pool(replicas=4)
        await cluster.stop_operator()
        for name in names:
            damage_template(cluster, name)
        cluster.start_operator()
        await cluster.advance(60)
        assert set(names) < set(cluster.pods())
        assert len(cluster.pods()) == 5
        # Their replacement is not ready yet, and what they are made of is unknown.
        await claim(cluster)
        assert {cluster.owners()[name] for name in names} == {"SandboxPool/warm"}
        assert origin(cluster) == "Cold"
