"""How the operator is wired: which keys a change requeues, and what goes when an object is gone."""

import asyncio
import copy
from typing import Any, cast

import pytest
from kubernetes.aio import client

from caisson.kube.exec import Executor
from caisson.kube.workqueue import Result, WorkQueue
from caisson.model.actions import ChildKind, OpenSession, SessionPurpose
from caisson.model.errors import ConfigError
from caisson.model.key import Key
from caisson.operator import Operator, build_operator
from tests.unit.operator.builders import CONFIG, make_sandbox, raw_sandbox
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.sessions import make_executor

Json = dict[str, Any]


@pytest.fixture
async def operator() -> Operator:
    return build_operator(CONFIG, client.Configuration(), executor=cast("Executor", make_executor()))


def obj(name: str, owner: str | None = None, labels: dict[str, str] | None = None, version: int = 1) -> Json:
    """Make an object of the namespace default, controlled by `Kind/name`."""
    kind, _, owner_name = (owner or "").partition("/")
    owners = [{"kind": kind, "name": owner_name, "uid": f"uid of {owner}", "controller": True}] if owner else []
    metadata: Json = {"namespace": "default", "name": name, "uid": f"uid of {name}", "resourceVersion": str(version)}
    metadata |= {"creationTimestamp": "2026-03-01T00:00:00Z", "ownerReferences": owners, "labels": labels or {}}
    return {"metadata": metadata, "spec": {}}


def sandbox(name: str, created: int = 0, *, version: int = 1, status: Json | None = None, **spec: Any) -> Json:
    """Make a Sandbox of the pool warm, which was created so many seconds after midnight."""
    raw = raw_sandbox(make_sandbox(name=name, uid=f"uid of {name}"), resourceVersion=str(version))
    raw["metadata"]["creationTimestamp"] = f"2026-03-01T00:00:{created:02}Z"
    return raw | {"spec": {"poolRef": {"name": "warm"}} | spec, "status": status or {}}


def pod_reason(reason: str, **status: Any) -> Json:
    return {"conditions": [{"type": "PodRunning", "status": "False", "reason": reason}], **status}


def names(queue: WorkQueue) -> set[str]:
    """Return the names of the keys that wait or come back later."""
    return {key.name for key in queue.waiting | queue.scheduled}


def requeued(operator: Operator) -> dict[str, set[str]]:
    """Return what is in the queues."""
    queues = operator.queues
    return {
        name: keys
        for name, queue in (("sandboxes", queues.sandboxes), ("pools", queues.pools), ("warm_pods", queues.warm_pods))
        if (keys := names(queue))
    }


class TestRouting:
    @pytest.mark.parametrize(
        ("pod", "expected"),
        [
            (obj("a-pod", "Sandbox/demo"), {"sandboxes": {"demo"}}),
            (obj("demo"), {"sandboxes": {"demo"}}),
            (obj("warm-x", "SandboxPool/warm"), {"pools": {"warm"}, "warm_pods": {"warm-x"}}),
            (
                obj("warm-x", "Sandbox/demo", {"caisson.dev/pool": "warm"}),
                {"sandboxes": {"demo"}, "pools": {"warm"}, "warm_pods": {"warm-x"}},
            ),
        ],
        ids=["own", "of-the-name", "of-a-pool", "claimed"],
    )
    async def test_a_pod_requeues_its_owner(self, operator: Operator, pod: Json, expected: dict[str, set[str]]) -> None:
        operator.router.pod_changed(pod)
        assert requeued(operator) == expected

    async def test_the_pool_of_a_claimed_pod_comes_back_after_its_sandbox(self, operator: Operator) -> None:
        operator.router.pod_changed(obj("warm-x", "Sandbox/demo", {"caisson.dev/pool": "warm"}))
        assert operator.queues.sandboxes.waiting == {Key("default", "demo")}
        assert operator.queues.pools.waiting == set()

    @pytest.mark.parametrize(
        ("child", "expected"),
        [
            (obj("demo", "Sandbox/demo"), {"sandboxes": {"demo"}}),
            (obj("pool.warm", "SandboxPool/warm"), {"pools": {"warm"}}),
        ],
        ids=["sandbox", "pool"],
    )
    async def test_a_child_object_requeues_its_owner(
        self, operator: Operator, child: Json, expected: dict[str, set[str]]
    ) -> None:
        operator.router.child_changed(child)
        assert requeued(operator) == expected

    async def test_a_session_requeues_the_current_owner_of_its_pod(self, operator: Operator) -> None:
        operator.caches.pods.put(obj("warm-x", "SandboxPool/warm"))
        operator.router.session_changed(Key("default", "warm-x"))
        assert requeued(operator) == {"warm_pods": {"warm-x"}}
        operator.caches.pods.put(obj("warm-x", "Sandbox/demo", version=2))
        operator.router.session_changed(Key("default", "warm-x"))
        assert requeued(operator) == {"warm_pods": {"warm-x"}, "sandboxes": {"demo"}}

    async def test_a_session_into_a_pod_that_is_gone_requeues_nothing(self, operator: Operator) -> None:
        operator.router.session_changed(Key("default", "gone"))
        assert requeued(operator) == {}


class TestWaitingForAPool:
    def wait(self, operator: Operator, *sandboxes: Json) -> None:
        for each in sandboxes:
            operator.caches.sandboxes.put(each)

    async def test_a_pool_requeues_every_sandbox_without_a_pod(self, operator: Operator) -> None:
        self.wait(
            operator,
            sandbox("new"),
            sandbox("early", status=pod_reason("PoolNotFound")),
            sandbox("cold", status=pod_reason("PodRejected", pool={"origin": "Cold"})),
            sandbox("running", status={"podUID": "p"}),
            sandbox("stopping", suspend=True),
            sandbox("suspended", status=pod_reason("Suspended")),
            sandbox("expired", status=pod_reason("Expired")),
            sandbox("elsewhere", poolRef={"name": "other"}),
        )
        operator.router.pool_changed(obj("warm"))
        assert requeued(operator) == {"pools": {"warm"}, "sandboxes": {"new", "early", "cold"}}

    @pytest.mark.parametrize(
        ("generation", "observed", "is_cached", "expected"),
        [(1, None, True, True), (2, 1, True, True), (2, 2, True, False), (2, 2, False, True)],
        ids=["new", "spec-changed", "status-changed", "deleted"],
    )
    async def test_a_change_of_the_pools_status_requeues_no_sandbox(
        self, operator: Operator, generation: int, observed: int | None, *, is_cached: bool, expected: bool
    ) -> None:
        self.wait(operator, sandbox("new"))
        changed = obj("warm") | {"status": {"observedGeneration": observed}}
        changed["metadata"]["generation"] = generation
        if is_cached:
            operator.caches.pools.put(changed)
        operator.router.pool_changed(changed)
        assert requeued(operator) == {"pools": {"warm"}} | ({"sandboxes": {"new"}} if expected else {})

    async def test_a_pod_requeues_only_the_sandbox_that_waits_the_longest(self, operator: Operator) -> None:
        self.wait(
            operator,
            sandbox("third", 3),
            sandbox("second", 2, status=pod_reason("PodPending")),
            sandbox("first", 1, status=pod_reason("PoolNotFound")),
            sandbox("zeroth", 0, status=pod_reason("PodPending", pool={"origin": "Cold"})),
        )
        operator.router.warm_pod_changed(Key("default", "warm"))
        assert requeued(operator) == {"pools": {"warm"}, "sandboxes": {"second"}}

    @pytest.mark.parametrize("status", [{"podUID": "p"}, pod_reason("PodPending", pool={"origin": "Cold"}), None])
    async def test_a_sandbox_that_stops_waiting_requeues_the_next(
        self, operator: Operator, status: Json | None
    ) -> None:
        first = sandbox("first", 1)
        self.wait(operator, first, sandbox("second", 2), sandbox("third", 3))
        if status is None:
            operator.caches.sandboxes.remove(first | {"metadata": first["metadata"] | {"resourceVersion": "2"}})
        else:
            operator.caches.sandboxes.put(sandbox("first", 1, version=2, status=status))
        assert requeued(operator) == {"sandboxes": {"second"}}

    @pytest.mark.parametrize(("pods", "reconciles"), [(1, 2), (3, 4), (0, 1)])
    async def test_a_pod_costs_two_reconciles_however_many_sandboxes_wait(
        self, virtual_loop: VirtualTimeLoop, operator: Operator, pods: int, reconciles: int
    ) -> None:
        self.wait(operator, *(sandbox(f"demo-{n}", n % 60) for n in range(500)))
        reconciled: list[Key] = []

        async def claim(key: Key) -> Result:
            reconciled.append(key)
            if len(reconciled) <= pods:
                self.wait(operator, sandbox(key.name, version=2, status={"podUID": f"uid of {key}"}))
            return Result()

        running = asyncio.create_task(operator.queues.sandboxes.run(claim, workers=4))
        for _ in range(max(pods, 1)):
            operator.router.warm_pod_changed(Key("default", "warm"))
        await virtual_loop.idle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(reconciled) == reconciles

    async def test_a_sandbox_that_still_waits_requeues_nothing(self, operator: Operator) -> None:
        self.wait(operator, sandbox("first", 1), sandbox("second", 2))
        self.wait(operator, sandbox("first", 1, version=2, status=pod_reason("PodPending")))
        assert requeued(operator) == {}

    async def test_a_status_that_makes_no_sense_waits_all_the_same(self, operator: Operator) -> None:
        self.wait(operator, sandbox("odd", status={"conditions": [{"type": "PodRunning", "reason": []}], "pool": 1}))
        operator.router.pod_changed(obj("warm-x", "SandboxPool/warm"))
        assert names(operator.queues.sandboxes) == {"odd"}


class TestVoidClaim:
    @pytest.mark.parametrize("is_deleted", [False, True], ids=["another-pod", "deleted"])
    @pytest.mark.parametrize("owner", ["SandboxPool/warm", "Sandbox/demo"])
    async def test_it_requeues_the_pool_that_still_owns_the_pod(
        self, operator: Operator, owner: str, *, is_deleted: bool
    ) -> None:
        operator.caches.pods.put(obj("warm-x", owner))
        claim = sandbox("demo", status={"podUID": "uid of warm-x"})
        operator.caches.sandboxes.put(claim)
        assert requeued(operator) == {}
        after = sandbox("demo", version=2, status={"podUID": "another"})
        (operator.caches.sandboxes.remove if is_deleted else operator.caches.sandboxes.put)(after)
        is_of_pool = owner == "SandboxPool/warm"
        assert requeued(operator) == ({"pools": {"warm"}, "warm_pods": {"warm-x"}} if is_of_pool else {})


async def test_the_sessions_of_a_pod_that_is_gone_are_dropped(operator: Operator) -> None:
    pod = obj("demo", "Sandbox/demo")
    operator.caches.pods.put(pod)
    operator.sessions.open("default", OpenSession("demo", "uid of demo", "node", (), 1.0, SessionPurpose.START))
    operator.caches.pods.put(obj("demo", "Sandbox/demo", version=2))
    assert operator.sessions.of("uid of demo").session is not None
    operator.caches.pods.remove(pod | {"metadata": pod["metadata"] | {"resourceVersion": "3"}})
    assert operator.sessions.of("uid of demo").session is None


async def test_events_of_kopf_reach_the_caches_and_the_queues(operator: Operator) -> None:
    watch = operator.sandbox_watch
    raw = sandbox("demo")
    for plural, event in (("sandboxes", raw), ("sandboxpools", obj("warm"))):
        watch.deliver(plural, {"type": "ADDED", "object": event})
    assert requeued(operator) == {"sandboxes": {"demo"}, "pools": {"warm"}}
    watch.deliver("sandboxes", {"type": "DELETED", "object": copy.deepcopy(raw)})
    assert operator.caches.sandboxes.get(Key("default", "demo")) is None


async def test_an_object_that_is_dropped_for_lack_of_room_requeues_its_owner() -> None:
    config = CONFIG.model_copy(update={"bytes_per_namespace": 2000, "bytes_in_all": 2000})
    operator = build_operator(config, client.Configuration())
    policies = operator.caches.children[ChildKind.NETWORK_POLICY]
    for name in ("a", "b"):
        policies.put(obj(name, f"Sandbox/{name}") | {"spec": {"x": "x" * 600}})
    assert len(names(operator.queues.sandboxes)) == 1


async def test_nothing_is_ready_before_the_first_lists(operator: Operator) -> None:
    assert not operator.is_ready()
    for part in operator.lists:
        part.synced.set()
    assert operator.is_ready()


async def test_leader_election_needs_a_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    enabled = CONFIG.leader_election.model_copy(update={"enabled": True})
    config = CONFIG.model_copy(update={"leader_election": enabled})
    with pytest.raises(ConfigError, match="POD_NAMESPACE"):
        build_operator(config, client.Configuration())
