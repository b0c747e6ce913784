"""Images that a pool pulls before a pod is available."""

import asyncio
from dataclasses import replace

from caisson.api.reasons import Reason
from caisson.kube.exec import ExecError
from caisson.model.key import Key
from caisson.model.observed import ClaimablePod
from caisson.pool.selection import NoWarmPod
from caisson.timing import LOST_SESSIONS_BEFORE_UNKNOWN
from tests.unit.operator.builders import (
    NOW,
    make_sandbox,
)
from tests.unit.operator.fakes import READY_ANSWER
from tests.unit.operator.pools import POOL_KEY, PRELOADED_ANSWER, PoolWorld, make_pool


class TestPreload:
    async def test_a_pod_is_available_once_the_images_are_pulled(self) -> None:
        world = PoolWorld(replicas=1, preload=["postgres:16"])
        pool = make_pool(preload=["postgres:16"])
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.run(name)
        world.watches_deliver()
        world.executor.answers = [READY_ANSWER, PRELOADED_ANSWER]
        for _ in range(3):
            assert isinstance(world.pools.find_warm_pod(make_sandbox(), pool), NoWarmPod)
            await world.warm_pods.reconcile(Key("default", name))
            await asyncio.sleep(0.01)
        await world.warm_pods.reconcile(Key("default", name))
        warm = world.pools.find_warm_pod(make_sandbox(), pool)
        assert isinstance(warm, ClaimablePod)
        assert warm.pod.name == name

    async def test_a_lost_preload_session_says_nothing_about_docker(self) -> None:
        world = PoolWorld(replicas=1, preload=["postgres:16"])
        (name,) = await world.fill()
        previous, key = world.warm_pods._states[Key("default", name)], Key("default", name)
        for _ in range(LOST_SESSIONS_BEFORE_UNKNOWN + 1):
            # Long ago, so that the next attempt is due.
            previous.preload = replace(previous.preload, at=NOW)
            world.sessions._set(previous.pod_uid, looked_at=NOW)
            world.executor.answers = [READY_ANSWER, ExecError("broken")]
            for _ in range(4):
                await world.warm_pods.reconcile(key)
                await asyncio.sleep(0.01)
        assert previous.problem is not None
        assert previous.problem.reason is Reason.PRELOAD_FAILED
        assert "broken" in previous.problem.message
        verbs = [command[3] for command in world.executor.commands]
        assert verbs == ["start", "preload"] * (LOST_SESSIONS_BEFORE_UNKNOWN + 2)
