"""How many pods a pool creates and deletes, and its status."""

from dataclasses import replace
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.model.condition import condition_result
from caisson.model.failure import FailureStreak
from caisson.pool.decide import ObservedPool, decide_pool
from caisson.pool.failures import Failures, count_failed_pod, recovery_deadline
from caisson.pool.revision import Revision
from caisson.pool.warm_pod import WarmPodPhase
from tests.unit.operator.builders import NOW, after, decided, make_pool, make_warm_pod


class TestReplicas:
    def test_an_empty_pool_is_filled_four_at_a_time(self) -> None:
        assert decided(10) == (4, [])
        pending = [make_warm_pod(str(n), WarmPodPhase.PENDING) for n in range(3)]
        assert decided(10, *pending) == (1, [])

    def test_available_pods_do_not_count_as_pending(self) -> None:
        assert decided(10, *(make_warm_pod(str(n)) for n in range(5))) == (4, [])

    def test_a_full_pool_is_left_alone(self) -> None:
        assert decided(2, make_warm_pod("a"), make_warm_pod("b")) == (0, [])

    def test_pending_and_newest_pods_are_deleted_first(self) -> None:
        ready = [make_warm_pod("old"), make_warm_pod("new", created_at=after(5))]
        assert decided(1, make_warm_pod("pending", WarmPodPhase.PENDING), *ready) == (0, ["new", "pending"])

    def test_scaling_to_zero_deletes_all_pods(self) -> None:
        assert decided(0, make_warm_pod("a"), make_warm_pod("b", WarmPodPhase.PENDING)) == (0, ["a", "b"])

    @pytest.mark.parametrize("revision", [Revision.OUTDATED, Revision.UNREADABLE])
    def test_an_outdated_pod_is_deleted_when_its_replacement_is_available(self, revision: Revision) -> None:
        old = make_warm_pod("old", revision=revision)
        assert decided(1, old) == (1, [])
        assert decided(1, old, make_warm_pod("new", WarmPodPhase.PENDING)) == (0, [])
        assert decided(1, old, make_warm_pod("new")) == (0, ["old"])

    def test_outdated_pods_that_can_not_be_claimed_are_replaced_first(self) -> None:
        outdated = [
            make_warm_pod("usable", revision=Revision.OUTDATED),
            make_warm_pod("pending", WarmPodPhase.PENDING, revision=Revision.OUTDATED),
            make_warm_pod("other", revision=Revision.UNREADABLE),
        ]
        assert decided(3, *outdated, make_warm_pod("new"))[1] == ["pending"]
        assert decided(3, *outdated, make_warm_pod("new"), make_warm_pod("newer"))[1] == ["other", "pending"]
        assert decided(0, *outdated)[1] == ["usable", "other", "pending"]

    def test_a_failed_outdated_pod_is_deleted_immediately(self) -> None:
        problem = condition_result("False", Reason.CONTAINER_EXITED)
        failed = make_warm_pod("failed", WarmPodPhase.FAILED, revision=Revision.OUTDATED, problem=problem)
        assert decided(1, failed) == (1, ["failed"])

    def test_a_conflict_counts_the_pods_but_none_is_ready(self) -> None:
        conflict = condition_result("False", Reason.RUNTIME_CLASS_NOT_ALLOWED)
        there = (
            make_warm_pod("a", revision=Revision.OTHER_TEMPLATE),
            make_warm_pod("b", revision=Revision.OTHER_TEMPLATE),
        )
        status = decide_pool(ObservedPool(make_pool(2), there, conflict), NOW).status
        assert (status.replicas, status.ready_replicas) == (2, 0)

    def test_a_conflict_creates_and_deletes_no_pod(self) -> None:
        conflict = condition_result("False", Reason.RUNTIME_CLASS_NOT_ALLOWED)
        assert decided(2, make_warm_pod("a", revision=Revision.OTHER_TEMPLATE), conflict=conflict) == (0, [])

    def test_a_terminating_pod_is_neither_counted_nor_deleted_again(self) -> None:
        assert decided(1, make_warm_pod("a", terminating=True)) == (1, [])

    def test_after_a_failure_pods_are_created_singly_with_a_back_off(self) -> None:
        failed = make_warm_pod("a", WarmPodPhase.FAILED, problem=condition_result("False", Reason.CONTAINER_EXITED))
        failures = count_failed_pod(count_failed_pod(Failures(), failed, NOW), failed, NOW)
        observed = ObservedPool(make_pool(3), (), failures=failures)
        assert (decide_pool(observed, NOW).create, decide_pool(observed, NOW).requeue_at) == (0, after(2))
        assert decide_pool(observed, after(2)).create == 1

    def test_a_later_pod_that_stays_available_ends_the_failures(self) -> None:
        failures = Failures(3, NOW)
        later: dict[str, Any] = {"created_at": after(5), "ready_since": after(6)}
        assert recovery_deadline(make_warm_pod("a", **later), failures) == after(66)
        assert recovery_deadline(make_warm_pod("a", **later), Failures()) is None
        assert recovery_deadline(make_warm_pod("a", **(later | {"created_at": NOW})), failures) is None
        assert recovery_deadline(make_warm_pod("a", WarmPodPhase.PENDING, **later), failures) is None
        assert recovery_deadline(make_warm_pod("a", revision=Revision.OTHER_TEMPLATE, **later), failures) is None

    def test_a_rejected_pod_is_retried_with_a_back_off(self) -> None:
        refused = FailureStreak(Reason.POD_REJECTED, "quota", 1, NOW, 3)
        assert decided(3, create_failure=refused) == (0, [])
        observed = ObservedPool(make_pool(3), (), create_failure=refused)
        assert decide_pool(observed, after(4)).create == 1


class TestStatus:
    def test_a_full_pool_is_ready(self) -> None:
        warm_pods = (make_warm_pod("a", ready_since=after(-60)), make_warm_pod("b"))
        status = decide_pool(ObservedPool(make_pool(2), warm_pods), NOW).status
        assert (status.replicas, status.ready_replicas, status.oldest_ready_since) == (2, 2, after(-60))
        ready = status.condition("Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("True", "PoolReady")

    def test_the_selector_excludes_claimed_pods(self) -> None:
        status = decide_pool(ObservedPool(make_pool(), ()), NOW).status
        assert status.selector == "app.kubernetes.io/managed-by=caisson,caisson.dev/pool=warm,!caisson.dev/sandbox"

    def test_a_lasting_problem_changes_the_status_once(self) -> None:
        problem = condition_result("False", Reason.IMAGE_PULL_FAILED, external_message="no such image")
        hindered = make_warm_pod("a", WarmPodPhase.PENDING, problem=problem)
        pool = make_pool()
        first = decide_pool(ObservedPool(pool, (hindered,)), NOW).status
        assert first.last_failure is not None
        assert (first.last_failure.reason, first.last_failure.pod_name) == ("ImagePullFailed", "a")
        ready = first.condition("Ready")
        assert ready is not None
        assert ready.reason == "ImagePullFailed"
        later = pool.model_copy(update={"status": first})
        assert decide_pool(ObservedPool(later, (hindered,)), after(100)).status == first

    def test_a_long_preload_is_reported(self) -> None:
        starts, pulls = make_warm_pod("a", WarmPodPhase.PENDING), make_warm_pod("b", WarmPodPhase.PRELOADING)
        for warm_pods, reported_value in (((starts,), False), ((starts, pulls), True)):
            ready = decide_pool(ObservedPool(make_pool(2), warm_pods), NOW).status.condition("Ready")
            assert ready is not None
            assert (ready.reason, "spec.preload" in ready.message) == ("PoolFilling", reported_value)

    def test_a_concern_is_reported_and_pods_are_created(self) -> None:
        concern = condition_result("False", Reason.NETWORK_POLICY_REJECTED)
        decision = decide_pool(ObservedPool(make_pool(2), (make_warm_pod("a"),), concern=concern), NOW)
        ready = decision.status.condition("Ready")
        assert ready is not None
        assert (ready.reason, decision.create) == ("NetworkPolicyRejected", 1)

    def test_a_failure_stays_after_a_recovery(self) -> None:
        failed = make_warm_pod("a", WarmPodPhase.FAILED, problem=condition_result("False", Reason.CONTAINER_EXITED))
        failures = replace(count_failed_pod(Failures(), failed, NOW), count=0)
        status = decide_pool(ObservedPool(make_pool(), (make_warm_pod("b"),), failures=failures), NOW).status
        assert status.last_failure is not None
        assert status.last_failure.pod_name == "a"
        ready = status.condition("Ready")
        assert ready is not None
        assert ready.status == "True"
