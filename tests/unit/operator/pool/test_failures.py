"""Pools whose pods do not become ready."""

import asyncio
import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from caisson.kube.errors import Conflict, KubeUnreachable, kube_error
from caisson.kube.exec import ExecResult
from caisson.kube.workqueue import Result
from caisson.model.failure import PodStep
from caisson.model.key import Key
from caisson.pool.failures import Failures
from tests.unit.operator.fakes import KEY, READY_ANSWER, now
from tests.unit.operator.model.test_report import b64, line
from tests.unit.operator.pools import POOL_KEY, PRELOADED_ANSWER, PoolWorld


class TestFailures:
    """A problem is reported once and retried with a back-off."""

    @staticmethod
    async def fail(world: PoolWorld, names: list[str]) -> None:
        """Let the commands of these pods end, and reconcile the pods."""
        for name in names:
            ended = [{"name": "sandbox", "state": {"terminated": {"exitCode": 1}}}]
            world.kube.all_pods[name]["status"] = {"phase": "Failed", "containerStatuses": ended}
            world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        for name in names:
            await world.warm_pods.reconcile(Key("default", name))

    async def test_an_earlier_good_pod_does_not_end_the_failures(self) -> None:
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

    async def test_a_claimed_pod_ends_the_failures_and_a_failed_one_does_not(self) -> None:
        for is_taken in (False, True):
            world = PoolWorld(replicas=1)
            names = await world.fill()
            record = world.pools._records[POOL_KEY]
            record.failures = Failures(5, datetime(2026, 1, 1, tzinfo=UTC))
            await world.pools.reconcile(POOL_KEY)
            assert record.failures.count == 5
            if is_taken:
                await world.reconcile()
            else:
                await self.fail(world, names)
            await world.pools.reconcile(POOL_KEY)
            assert record.failures.count == (0 if is_taken else 6)

    async def test_a_repeated_rejection_is_written_once(self, world: PoolWorld) -> None:
        writes = []
        for _ in range(3):
            world.kube.pod_errors = [kube_error("POST", 403, "Forbidden", "{name} is forbidden: exceeded quota")]
            await world.pools.reconcile(POOL_KEY)
            record = world.pools._records[POOL_KEY]
            assert PodStep.CREATION in record.streaks
            rejected = record.streaks[PodStep.CREATION]
            record.streaks = {PodStep.CREATION: replace(rejected, at=datetime(2026, 1, 1, tzinfo=UTC))}
            record.changed_since = datetime(2026, 1, 1, tzinfo=UTC)
            world.watches_deliver()
            writes.append(copy.deepcopy(world.kube.pool["status"]))
        assert "warm-… is forbidden: exceeded quota" in str(writes[1])
        assert writes[1] == writes[2]

    async def test_a_problem_has_one_event_if_a_response_is_lost(self, world: PoolWorld) -> None:
        world.kube.pod_errors = [kube_error("POST", 403, "Forbidden", "{name} is forbidden: exceeded quota")]
        world.kube.lost_answers = [KubeUnreachable("lost")]
        with pytest.raises(KubeUnreachable):
            await world.pools.reconcile(POOL_KEY)
        world.watches_deliver()
        for _ in range(2):
            await world.pools.reconcile(POOL_KEY)
        assert [event["reason"] for event in world.kube.events] == ["PodRejected"]

    async def test_a_changed_template_is_tried_immediately(self, world: PoolWorld) -> None:
        await self.fail(world, await world.fill())
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.all_pods == {}
        world.kube.pool["spec"]["template"]["spec"]["image"] = "another"
        world.kube.pool["metadata"]["generation"] = 2
        world.kube._stamp(world.kube.pool)
        world.watches_deliver()
        await world.pools.reconcile(POOL_KEY)
        assert len(world.kube.all_pods) == 1

    async def test_the_events_of_a_pending_pod_are_fetched(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.all_pods[name]["spec"]["nodeName"] = "node"
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert await world.warm_pods.reconcile(Key("default", name)) == Result(timedelta(0))

    async def test_after_a_restart_a_sandbox_waits_for_pods_being_verified(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.operator_restarts()
        world.executor.answers = [READY_ANSWER]
        await world.warm_pods.reconcile(Key("default", name))
        await world.reconcile()
        assert "pool" not in world.kube.sandbox["status"]
        assert KEY not in world.operator.queues.sandboxes.waiting
        await world.look([name])
        assert KEY in world.operator.queues.sandboxes.waiting
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
        await world.reconcile(2)
        assert "pool" not in world.kube.sandbox["status"]
        # It does not poll: it comes back when its time is over.
        requeue_after = world.results[-1].requeue_after
        assert requeue_after is not None
        assert timedelta(seconds=15) < requeue_after <= timedelta(seconds=20)
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

    async def test_a_rejected_claim_causes_a_cold_start(self, world: PoolWorld) -> None:
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
    async def test_a_webhook_that_imitates_a_changed_pod_rejects_the_claim(self, world: PoolWorld, status: int) -> None:
        (name,) = await world.fill()

        def deny() -> None:
            raise kube_error("PATCH pods", status, "Denied", "admission webhook denied the request: no")

        world.kube.before_patch = deny
        await world.reconcile(4)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}
        assert [event["reason"] for event in world.kube.events] == ["PodClaimRejected"]

    async def test_a_webhook_that_answers_with_a_conflict_is_retried(self, world: PoolWorld) -> None:
        (name,) = await world.fill()

        def deny() -> None:
            raise kube_error("PATCH pods", 409, "Conflict", "admission webhook denied the request: no")

        world.kube.before_patch = deny
        for _ in range(3):
            with pytest.raises(Conflict):
                await world.reconcile()
        assert world.owners() == {name: "SandboxPool/warm"}
        assert len(world.kube.status_writes) == 1

    async def test_a_warm_pod_with_an_unreadable_template_is_replaced(self, world: PoolWorld) -> None:
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

    async def test_an_unreadable_status_is_rewritten(self, world: PoolWorld) -> None:
        world.kube.pool["status"] = {"replicas": "many", "left": "over"}
        world.kube._stamp(world.kube.pool)
        world.watches_deliver()
        await world.pools.reconcile(POOL_KEY)
        assert world.kube.pool["status"]["replicas"] == 1
        assert "left" not in world.kube.pool["status"]

    async def test_ready_since_survives_a_restart(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.all_pods[name]["status"]["conditions"][0]["lastTransitionTime"] = "2026-03-01T12:00:30Z"
        world.kube._stamp(world.kube.all_pods[name])
        world.operator_restarts()
        await world.look([name])
        since = world.warm_pods._states[Key("default", name)].ready_since
        assert since == datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)

    async def test_a_pool_with_an_invalid_spec_reports_it(self, world: PoolWorld) -> None:
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
