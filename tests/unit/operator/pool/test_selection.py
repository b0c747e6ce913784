"""Which pod of a pool a Sandbox gets."""

import asyncio
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
from caisson.pool.revision import Revision, desired_pod
from caisson.pool.selection import Candidate, NoWarmPod, select_warm_pod
from caisson.pool.warm_pod import WarmPodPhase
from caisson.timing import WARM_POD_VERIFICATION_WINDOW
from tests.unit.operator.builders import CONFIG, NOW, after, ended_pod, make_pod, make_sandbox, make_warm_pod
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.cluster.responses import ApiError
from tests.unit.operator.pool.steps import POOL_REF, annotate, claim, die_at_the_claim, origin, start_pool

Json = dict[str, Any]

POOL_KEY = Key("default", "warm")

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

    def test_selection_includes_the_state_of_the_pod(self) -> None:
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


def find(cluster: Cluster) -> ClaimablePod | NoWarmPod:
    """Return the pod of the pool that a Sandbox would get at this moment."""
    pool = cluster.operator.pools.get(POOL_KEY)
    assert pool is not None
    return cluster.operator.pools.find_warm_pod(make_sandbox(), pool)


class TestFindWarmPod:
    """The pods of a pool, as the watch and the sessions report them."""

    async def test_no_pod_is_parsed(self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
        await cluster.fill_pool(replicas=3)
        pool = cluster.operator.pools.get(POOL_KEY)
        assert pool is not None
        desired = desired_pod(pool, CONFIG)

        def fail(text: object) -> None:
            raise AssertionError(text)

        with monkeypatch.context() as patch:
            patch.setattr(json, "loads", fail)
            chosen = cluster.operator.pools.find_warm_pod(make_sandbox(), pool)
            warm_pods = cluster.operator.warm_pods.warm_pods_of(pool, desired)
        assert isinstance(chosen, ClaimablePod)
        assert [warm_pod.revision for warm_pod in warm_pods] == [Revision.CURRENT] * 3

    async def test_the_newest_version_of_the_pod_is_claimed(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        annotate(cluster, name, "caisson.dev/touched", "yes")
        await cluster.settle()
        version = cluster.pods()[name]["metadata"]["resourceVersion"]
        await claim(cluster)
        (request,) = cluster.requests("PATCH", f"pods/{name}")
        assert request.body is not None
        assert request.body["metadata"]["resourceVersion"] == version

    async def test_a_pod_that_is_being_claimed_is_neither_selected_nor_deleted(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        gate = asyncio.Event()

        async def wait() -> None:
            await gate.wait()

        # No status names the pod yet.
        cluster.faults.before("PATCH", "sandboxes/demo/status", wait)
        await claim(cluster)
        cluster.apply_pool(replicas=0)
        await cluster.settle()
        assert cluster.requests("DELETE", "pods/*") == []
        await claim(cluster, "other")
        assert cluster.owners() == {name: "SandboxPool/warm", "other": "Sandbox/other"}
        gate.set()
        await cluster.settle()
        assert cluster.owners() == {name: "Sandbox/demo", "other": "Sandbox/other"}

    async def test_a_pod_is_deleted_if_its_claim_ends(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        cluster.faults.fail("PATCH", f"pods/{name}", ApiError(403, "Forbidden", "no"))
        await claim(cluster)
        cluster.apply_pool(replicas=0)
        await cluster.settle()
        assert cluster.owners() == {"demo": "Sandbox/demo"}

    async def test_a_pod_of_an_earlier_pool_of_this_name_is_not_claimed(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        (owner,) = cluster.pods()[name]["metadata"]["ownerReferences"]
        metadata = {"ownerReferences": [owner | {"uid": "of an earlier pool"}]}
        cluster.server.patch("pods", "default", name, {"metadata": metadata})
        await cluster.settle()
        await claim(cluster)
        assert cluster.owners()[name] == "SandboxPool/warm"
        assert origin(cluster) == "Cold"

    @pytest.mark.parametrize("status", [{"phase": "Failed"}, {"conditions": []}], ids=str)
    async def test_the_kubelets_report_counts_before_the_next_reconcile(self, cluster: Cluster, status: Json) -> None:
        (name,) = await cluster.fill_pool()
        assert isinstance(find(cluster), ClaimablePod)
        cluster.operator.caches.pods.put(cluster.server.patch("pods", "default", name, {"status": status}))
        assert find(cluster) is NoWarmPod.NONE

    async def test_a_pod_is_claimed_before_the_kubelets_first_probe(self, cluster: Cluster) -> None:
        name = await start_pool(cluster)
        await claim(cluster)
        assert cluster.owners()[name] == "Sandbox/demo"

    async def test_a_pod_that_turned_unready_is_not_claimed(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        await cluster.advance(7)
        cluster.kubelet.becomes_unready(name)
        await cluster.settle()
        await claim(cluster)
        assert cluster.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}

    @pytest.mark.parametrize("is_probed", [False, True], ids=["not-probed-yet", "turned-unready"])
    async def test_an_interrupted_claim_of_an_unready_pod_is_void(self, cluster: Cluster, *, is_probed: bool) -> None:
        name = await start_pool(cluster)
        if is_probed:
            cluster.kubelet.becomes_ready(name)
            await cluster.settle()
        await die_at_the_claim(cluster, name)
        await cluster.advance(7)
        if is_probed:
            cluster.kubelet.becomes_unready(name)
        await cluster.restart_operator()
        assert (cluster.owners()[name] == "Sandbox/demo") is not is_probed
        assert ("demo" in cluster.owners()) is is_probed

    async def test_an_interrupted_claim_of_an_ended_pod_is_void(self, cluster: Cluster) -> None:
        (name,) = await cluster.fill_pool()
        await die_at_the_claim(cluster, name)
        cluster.kubelet.container_exits(name, 1)
        await cluster.restart_operator()
        assert cluster.owners()["demo"] == "Sandbox/demo"
        assert cluster.owners().get(name) in {None, "SandboxPool/warm"}
        assert origin(cluster) == "Cold"

    async def test_a_recreated_pool_has_its_own_template(self, cluster: Cluster) -> None:
        await cluster.fill_pool()
        # The operator learns of both at once. Both have the generation 1.
        cluster.server.delete("sandboxpools", "default", "warm")
        cluster.apply_pool(template={"image": "another"})
        await cluster.settle()
        images = [pod["spec"]["containers"][0]["image"] for pod in cluster.pods().values()]
        assert images == ["another"]

    async def test_a_sandbox_does_not_wait_for_a_new_pod(self, cluster: Cluster) -> None:
        cluster.apply_pool()
        await cluster.settle()
        (name,) = cluster.pods()
        cluster.executor.hold(name)
        cluster.kubelet.runs(name)
        await cluster.settle()
        await claim(cluster)
        assert cluster.owners() == {name: "SandboxPool/warm", "demo": "Sandbox/demo"}

    @pytest.mark.parametrize(
        ("template", "external_message"),
        [
            ({"docker": {"enabled": False}}, "the pool's template has docker.enabled: false"),
            ({"ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}]}, "UDP"),
        ],
        ids=["no-docker", "udp"],
    )
    async def test_a_lifetime_needs_a_template_with_idle_detection(
        self, cluster: Cluster, template: Json, external_message: str
    ) -> None:
        (name,) = await cluster.fill_pool(template=template)
        cluster.apply_sandbox(poolRef=POOL_REF, lifetime={"idleSeconds": 600})
        await cluster.advance(60)
        assert cluster.condition() == ("False", "IdleDetectionUnsupported")
        assert external_message in str(cluster.sandbox()["status"])
        assert cluster.owners() == {name: "SandboxPool/warm"}
