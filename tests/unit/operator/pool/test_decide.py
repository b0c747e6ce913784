"""How many pods a pool creates and deletes, and what its status says."""

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
from tests.unit.operator.builders import NOW, after
from tests.unit.operator.pools import decided, make_pool, member


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
