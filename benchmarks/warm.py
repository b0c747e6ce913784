"""From the request that creates a Sandbox to the watch event that it is Ready, where a pool has its pod already.

The floor is what an adoption can't do without, by hand: the Sandbox's creation seen by a watch, then its status, the
pod and its status again, seen by a watch. ConfigMaps stand for both, so that no operator has a part in it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import plots
from benchmarks.client import Api, Json, Sightings, connected, eventually
from benchmarks.cluster import IMAGE, NAMESPACE, SANDBOXES, is_ready, namespaces, sandbox
from benchmarks.figures import compared, save

_POOL = "bench"
_CRD = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sandboxpools.caisson.dev"
_POOLS = f"{SANDBOXES}/namespaces/{NAMESPACE}/sandboxpools"
_COLLECTION = f"{SANDBOXES}/namespaces/{NAMESPACE}/sandboxes"
_PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
_STAND_INS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_PATIENCE_SECONDS = 300.0


def run(output: Path, rounds: int, burst: int) -> None:
    """Measure, print, and write warm.json and warm.png."""
    with namespaces(NAMESPACE):
        figures = asyncio.run(_run(rounds, burst))
    if figures is None:
        print("\nwarm: left out, because this cluster has no SandboxPools (there is no CRD sandboxpools.caisson.dev)")
        return
    seconds, origins = figures
    print(f"\nwarm: the request to the watch event that says Ready, {rounds} one by one and {burst} at once")
    print(compared(seconds, "by hand", "ms", 1000))
    print(f"where the pods came from: {origins}")
    save(output, "warm", {"seconds": seconds, "origins": origins})
    plots.strips(output / "warm.png", "Request to Ready, from a pool", seconds)


async def _run(rounds: int, burst: int) -> tuple[dict[str, list[float]], dict[str, int]] | None:
    async with connected() as api:
        if not await api.exists(_CRD):
            return None
        seconds: dict[str, list[float]] = {"by hand": [], "one by one": []}
        origins: dict[str, int] = {}
        sightings = Sightings(api, _COLLECTION, {"ready": is_ready})
        stand_ins = Sightings(api, _STAND_INS, {"made": lambda _: True, "ready": _says_ready})
        await _make_pool(api, max(4, burst))
        async with sightings.running(), stand_ins.running():
            for number in range(rounds + 1):
                await _until_full(api)
                by_hand = await _by_hand(api, stand_ins, f"by-hand-{number}")
                claimed = await _claim(api, sightings, f"claim-{number}")
                await _count_and_delete(api, origins, [f"claim-{number}"])
                if number:  # the first of each opens the connections
                    seconds["by hand"].append(by_hand)
                    seconds["one by one"].append(claimed)
            await _until_full(api)
            names = [f"burst-{number}" for number in range(burst)]
            seconds["at once"] = await asyncio.gather(*(_claim(api, sightings, name) for name in names))
            await _count_and_delete(api, origins, names)
        return seconds, origins


async def _make_pool(api: Api, replicas: int) -> None:
    await api.create(
        _POOLS,
        {
            "apiVersion": "caisson.dev/v1alpha1",
            "kind": "SandboxPool",
            "metadata": {"name": _POOL},
            "spec": {"replicas": replicas, "template": {"spec": {"image": IMAGE}}},
        },
    )


async def _claim(api: Api, sightings: Sightings, name: str) -> float:
    manifest = sandbox(name) | {"spec": {"poolRef": {"name": _POOL}}}
    return await _measured(lambda: api.create(_COLLECTION, manifest), sightings, name)


async def _measured(begin: Callable[[], Awaitable[object]], sightings: Sightings, name: str) -> float:
    began = time.monotonic()
    await begin()
    await sightings.until("ready", [(NAMESPACE, name)])
    return sightings.moments["ready"][NAMESPACE, name] - began


async def _by_hand(api: Api, stand_ins: Sightings, name: str) -> float:
    pod = f"{name}-pod"
    await api.create(_STAND_INS, _stand_in(pod))

    async def adopt() -> None:
        await api.create(_STAND_INS, _stand_in(name))
        await stand_ins.until("made", [(NAMESPACE, name)])
        await api.patch(f"{_STAND_INS}/{name}", {"data": {"pod": pod}})
        await api.patch(f"{_STAND_INS}/{pod}", {"metadata": {"labels": {"owner": name}}})
        await api.patch(f"{_STAND_INS}/{name}", {"data": {"ready": "True"}})

    return await _measured(adopt, stand_ins, name)


def _stand_in(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"pod": ""}}


def _says_ready(thing: Json) -> bool:
    return bool(thing.get("data", {}).get("ready"))


async def _count_and_delete(api: Api, origins: dict[str, int], names: list[str]) -> None:
    for name in names:
        status = (await api.get(f"{_COLLECTION}/{name}"))["status"]
        origin = status["pool"]["origin"]
        origins[origin] = origins.get(origin, 0) + 1
        await api.delete(f"{_COLLECTION}/{name}")


async def _until_full(api: Api) -> None:
    """Wait until the pool has its pods, and none that was claimed is on its way out: both cost CPU."""
    await eventually(lambda: _is_full(api), "the pool is full", _PATIENCE_SECONDS)


async def _is_full(api: Api) -> bool:
    pool = await api.get(f"{_POOLS}/{_POOL}")
    # Its status follows a second after its pods.
    pods = (await api.get(_PODS))["items"]
    waiting = [pod for pod in pods if is_ready(pod) and _owner(pod) == "SandboxPool"]
    wanted = pool["spec"]["replicas"]
    return bool(pool.get("status", {}).get("readyReplicas") == wanted == len(waiting) == len(pods))


def _owner(pod: Json) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["kind"])
