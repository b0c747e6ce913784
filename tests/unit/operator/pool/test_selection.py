"""Which pod of a pool a Sandbox gets."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.api.status.sandbox import SandboxStatus
from caisson.model.condition import condition_result
from caisson.model.key import Key
from caisson.model.observed import ClaimablePod
from caisson.model.pod_snapshot import PodSnapshot
from caisson.pool.revision import Revision
from caisson.pool.selection import Candidate, NoWarmPod, select_warm_pod
from caisson.pool.warm_pod import WarmPodPhase
from caisson.timing import WARM_POD_VERIFICATION_WINDOW
from tests.unit.operator.builders import NOW, after, ended_pod, make_pod, make_pool, make_sandbox, make_warm_pod
from tests.unit.operator.fakes import now
from tests.unit.operator.pools import POOL_KEY, PoolWorld

Json = dict[str, Any]

STARTED = after(-60)
"""When the kubelet started the pods of these tests."""

NOT_PROBED_YET = make_pod(ready=False, running_since=STARTED, ready_changed_at=STARTED)
TURNED_UNREADY = make_pod(ready=False, running_since=STARTED, ready_changed_at=after(-1))

OLDER: Json = {"created_at": after(-60), "phase": WarmPodPhase.PENDING, "status": None}
"""A pod that is older than this process, which has not looked at it yet."""


def candidate(name: str = "a", pod: PodSnapshot | None = None, **fields: Any) -> Candidate:
    """Make an available pod; `fields` are those of the candidate or of the warm pod."""
    of_candidate = {key: fields.pop(key) for key in ("status", "is_reserved", "is_claimed") if key in fields}
    warm_pod = make_warm_pod(name, fields.pop("phase", WarmPodPhase.AVAILABLE), **fields)
    defaults: Json = {"status": SandboxStatus(pod_name=name), "is_reserved": False, "is_claimed": False}
    pod = replace(pod or make_pod(), name=name, uid=warm_pod.pod_uid, created_at=warm_pod.created_at)
    return Candidate(warm_pod, pod, **(defaults | of_candidate))


def select(*candidates: Candidate, claimed: str | None = None, leader_since: datetime = NOW, at: datetime = NOW) -> Any:
    """Return the name of the selected pod, or why there is none. The Sandbox's status names the pod `claimed`."""
    status = SandboxStatus(pod_uid=f"uid of {claimed}") if claimed is not None else SandboxStatus()
    result = select_warm_pod(candidates, make_sandbox(status=status), leader_since, at)
    return result.pod.name if isinstance(result, ClaimablePod) else result


class TestSelection:
    def test_an_empty_pool_has_none(self) -> None:
        assert select() is NoWarmPod.NONE

    def test_the_pod_that_has_been_ready_longest_is_selected(self) -> None:
        newer, older = candidate("newer", ready_since=after(-5)), candidate("older", ready_since=after(-9))
        assert select(newer, older) == select(older, newer) == "older"

    def test_the_selected_pod_comes_with_what_is_known_of_it(self) -> None:
        chosen = candidate()
        result = select_warm_pod([chosen], make_sandbox(), NOW, NOW)
        assert result == ClaimablePod(chosen.pod, SandboxStatus(pod_name="a"))

    def test_an_outdated_pod_is_selected_last(self) -> None:
        outdated = candidate("outdated", ready_since=after(-9), revision=Revision.OUTDATED)
        assert select(outdated, candidate("current")) == "current"
        assert select(outdated) == "outdated"

    @pytest.mark.parametrize(
        "fields",
        [
            {"revision": Revision.OTHER_TEMPLATE},
            {"revision": Revision.UNREADABLE},
            {"terminating": True},
            {"is_reserved": True},
            {"is_claimed": True},
            {"status": None},
            {"phase": WarmPodPhase.PENDING},
            {"phase": WarmPodPhase.PRELOADING},
            {"phase": WarmPodPhase.FAILED},
            {"pod": ended_pod()},
            {"pod": TURNED_UNREADY},
        ],
        ids=lambda fields: str(next(iter(fields.items())))[:40],
    )
    def test_a_pod_that_can_not_be_claimed_is_not_selected(self, fields: Json) -> None:
        assert select(candidate("other", **fields)) is NoWarmPod.NONE
        assert select(candidate("other", **fields), candidate()) == "a"

    def test_a_pod_that_the_kubelet_has_not_probed_yet_is_selected(self) -> None:
        assert select(candidate(pod=NOT_PROBED_YET)) == "a"

    @pytest.mark.parametrize("phase", [WarmPodPhase.AVAILABLE, WarmPodPhase.PENDING])
    def test_an_interrupted_claim_continues_with_the_same_pod(self, phase: WarmPodPhase) -> None:
        named = candidate("named", is_claimed=True, status=None, phase=phase, revision=Revision.OTHER_TEMPLATE)
        assert select(candidate("longer ready", ready_since=after(-9)), named, claimed="named") == "named"

    @pytest.mark.parametrize(
        "fields",
        [
            {"terminating": True},
            {"is_reserved": True},
            {"phase": WarmPodPhase.FAILED},
            {"pod": ended_pod()},
            {"pod": TURNED_UNREADY},
        ],
        ids=lambda fields: str(next(iter(fields.items())))[:40],
    )
    def test_a_claim_whose_pod_became_useless_is_void(self, fields: Json) -> None:
        named = candidate("named", is_claimed=True, **fields)
        assert select(named, claimed="named") is NoWarmPod.NONE
        assert select(named, candidate(), claimed="named") == "a"


class TestVerification:
    """A new leader does not know yet which pods of its predecessor are available."""

    @pytest.mark.parametrize("phase", [WarmPodPhase.PENDING, WarmPodPhase.PRELOADING])
    @pytest.mark.parametrize("pod", [make_pod(), NOT_PROBED_YET], ids=["ready", "not-probed-yet"])
    def test_a_sandbox_waits_for_older_pods(self, phase: WarmPodPhase, pod: PodSnapshot) -> None:
        assert select(candidate(pod=pod, **(OLDER | {"phase": phase}))) is NoWarmPod.SOON

    def test_a_sandbox_does_not_wait_if_another_pod_is_available(self) -> None:
        assert select(candidate("older", **OLDER), candidate()) == "a"

    def test_a_sandbox_does_not_wait_longer_than_the_window(self) -> None:
        last = NOW + WARM_POD_VERIFICATION_WINDOW
        assert select(candidate(**OLDER), at=last - (after(1) - NOW)) is NoWarmPod.SOON
        assert select(candidate(**OLDER), at=last) is NoWarmPod.NONE

    @pytest.mark.parametrize(
        "fields",
        [
            {"created_at": after(-1)},
            {"problem": condition_result("False", Reason.PRELOAD_FAILED)},
            {"pod": TURNED_UNREADY},
            {"phase": WarmPodPhase.FAILED},
            {"is_claimed": True},
            {"is_reserved": True},
            {"revision": Revision.OTHER_TEMPLATE},
        ],
        ids=lambda fields: str(next(iter(fields.items())))[:40],
    )
    def test_a_sandbox_does_not_wait_for_other_pods(self, fields: Json) -> None:
        assert select(candidate(**(OLDER | fields))) is NoWarmPod.NONE


class TestFindWarmPod:
    """The pods of a pool, as the watch and the sessions report them."""

    async def test_no_pod_is_parsed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world, pool = PoolWorld(replicas=3), make_pool(3)
        await world.fill()
        desired = world.pools._render(pool).desired

        def fail(text: object) -> None:
            raise AssertionError(text)

        monkeypatch.setattr(json, "loads", fail)
        assert isinstance(world.pools.find_warm_pod(make_sandbox(), pool), ClaimablePod)
        assert len(world.warm_pods.warm_pods_of(pool, desired)) == 3

    async def test_the_newest_version_of_the_pod_is_selected(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        version = world.kube._stamp(world.kube.all_pods[name])["metadata"]["resourceVersion"]
        world.watches_deliver()
        warm = world.pools.find_warm_pod(make_sandbox(), make_pool())
        assert isinstance(warm, ClaimablePod)
        assert warm.pod.resource_version == version

    async def test_a_pod_that_is_being_claimed_is_neither_selected_nor_deleted(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.pool["spec"]["replicas"] = 0
        world.pool_store.put(world.kube._stamp(world.kube.pool))
        with world.warm_pods._reservations.holding(f"uid of {name}"):
            assert world.pools.find_warm_pod(make_sandbox(), make_pool()) is NoWarmPod.NONE
            await world.pools.reconcile(POOL_KEY)
            assert name in world.kube.all_pods
        await world.pools.reconcile(POOL_KEY)
        assert name not in world.kube.all_pods

    async def test_a_pod_of_an_earlier_pool_of_this_name_is_not_selected(self, world: PoolWorld) -> None:
        await world.fill()
        pool = make_pool()
        recreated = pool.model_copy(update={"metadata": pool.metadata.model_copy(update={"uid": "another"})})
        assert world.pools.find_warm_pod(make_sandbox(), recreated) is NoWarmPod.NONE

    @pytest.mark.parametrize("status", [{"phase": "Failed"}, {"phase": "Running", "conditions": []}], ids=str)
    async def test_the_kubelets_report_counts_before_the_next_look(self, world: PoolWorld, status: Json) -> None:
        (name,) = await world.fill()
        world.kube.all_pods[name]["status"] |= status
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) is NoWarmPod.NONE

    async def test_a_pod_is_selected_before_the_kubelets_first_probe(self, world: PoolWorld) -> None:
        await world.pools.reconcile(POOL_KEY)
        (name,) = world.kube.all_pods
        world.kube.run(name)
        world.kube.turns_unready(name, 0)
        world.watches_deliver()
        await world.look([name])
        warm = world.pools.find_warm_pod(make_sandbox(), make_pool())
        assert isinstance(warm, ClaimablePod)

    async def test_a_pod_that_turned_unready_is_not_selected(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        world.kube.turns_unready(name, 7)
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) is NoWarmPod.NONE

    @pytest.mark.parametrize(("after_seconds", "taken"), [(0, True), (7, False)])
    async def test_an_interrupted_claim_of_an_unready_pod_is_void(
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

    async def test_a_recreated_pool_has_its_own_template(self, world: PoolWorld) -> None:
        await world.fill()
        before = world.pools._render(make_pool()).desired
        anew = make_pool(template={"image": "another"})
        anew = anew.model_copy(update={"metadata": anew.metadata.model_copy(update={"uid": "another"})})
        assert world.pools._render(anew).desired not in (before, None)

    async def test_an_interrupted_claim_of_an_ended_pod_is_void(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        await world.dies_at_the_claim()
        world.kube.before_patch = lambda: None
        world.kube.all_pods[name]["status"]["phase"] = "Failed"
        world.kube._stamp(world.kube.all_pods[name])
        world.operator_restarts()
        await world.reconcile(3)
        assert world.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}

    async def test_a_sandbox_does_not_wait_for_a_new_pod(self, world: PoolWorld) -> None:
        (name,) = await world.fill()
        previous = world.warm_pods._states[Key("default", name)]
        previous.phase = WarmPodPhase.PENDING
        world.kube.all_pods[name]["metadata"]["creationTimestamp"] = f"{now():%Y-%m-%dT%H:%M:%SZ}"
        world.kube._stamp(world.kube.all_pods[name])
        world.watches_deliver()
        assert world.pools.find_warm_pod(make_sandbox(), make_pool()) is NoWarmPod.NONE

    @pytest.mark.parametrize(
        ("template", "external_message"),
        [
            ({"docker": {"enabled": False}}, "the pool's template has docker.enabled: false"),
            ({"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}, "UDP"),
        ],
        ids=["no-docker", "udp"],
    )
    async def test_a_lifetime_needs_a_template_with_idle_detection(self, template: Json, external_message: str) -> None:
        world = PoolWorld(replicas=1, template=template)
        world.kube.sandbox["spec"]["lifetime"] = {"idleSeconds": 600}
        await world.reconcile(3)
        assert world.condition() == ("False", "IdleDetectionUnsupported")
        assert external_message in str(world.kube.sandbox["status"])
        assert world.owners() == {}
