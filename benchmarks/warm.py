"""Measure claims from a pool: from the request that creates a Sandbox to the watch event that it is Ready.

The floor performs the minimum requests of a claim: create an object, receive it from a watch, write its status, the pod
and its status again, and receive the result from a watch. ConfigMaps represent the Sandbox and the pod, so that no
operator is involved.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks import plots
from benchmarks.client import Api, ConditionTimes, Json, connected, eventually
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
        print("\nwarm: skipped, because the CRD sandboxpools.caisson.dev is not installed")
        return
    seconds, origins = figures
    print(f"\nwarm: request to Ready, {rounds} sequential and {burst} concurrent claims")
    print(compared(seconds, "by hand", "ms", 1000))
    print(f"origins of the pods: {origins}")
    save(output, "warm", {"seconds": seconds, "origins": origins})
    plots.strips(output / "warm.png", "Request to Ready, from a pool", seconds)


async def _run(rounds: int, burst: int) -> tuple[dict[str, list[float]], dict[str, int]] | None:
    async with connected() as api:
        if not await api.exists(_CRD):
            return None
        seconds: dict[str, list[float]] = {"by hand": [], "one by one": []}
        origins: dict[str, int] = {}
        sandboxes = ConditionTimes(api, _COLLECTION, {"ready": is_ready})
        stand_ins = ConditionTimes(api, _STAND_INS, {"created": lambda _: True, "ready": _has_ready_key})
        await _make_pool(api, max(4, burst))
        async with sandboxes.running(), stand_ins.running():
            for number in range(rounds + 1):
                await _until_full(api)
                by_hand = await _by_hand(api, stand_ins, f"by-hand-{number}")
                warm = await _claim(api, sandboxes, f"claim-{number}")
                await _count_and_delete(api, origins, [f"claim-{number}"])
                if number:  # the first round opens the connections
                    seconds["by hand"].append(by_hand)
                    seconds["one by one"].append(warm)
            await _until_full(api)
            names = [f"burst-{number}" for number in range(burst)]
            seconds["at once"] = await asyncio.gather(*(_claim(api, sandboxes, name) for name in names))
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


async def _claim(api: Api, sandboxes: ConditionTimes, name: str) -> float:
    manifest = sandbox(name) | {"spec": {"poolRef": {"name": _POOL}}}
    return await _measured(lambda: api.create(_COLLECTION, manifest), sandboxes, name)


async def _measured(begin: Callable[[], Awaitable[object]], sandboxes: ConditionTimes, name: str) -> float:
    start = time.monotonic()
    await begin()
    await sandboxes.until("ready", [(NAMESPACE, name)])
    return sandboxes.times["ready"][NAMESPACE, name] - start


async def _by_hand(api: Api, stand_ins: ConditionTimes, name: str) -> float:
    pod = f"{name}-pod"
    await api.create(_STAND_INS, _stand_in(pod))

    async def adopt() -> None:
        await api.create(_STAND_INS, _stand_in(name))
        await stand_ins.until("created", [(NAMESPACE, name)])
        await api.patch(f"{_STAND_INS}/{name}", {"data": {"pod": pod}})
        await api.patch(f"{_STAND_INS}/{pod}", {"metadata": {"labels": {"owner": name}}})
        await api.patch(f"{_STAND_INS}/{name}", {"data": {"ready": "True"}})

    return await _measured(adopt, stand_ins, name)


def _stand_in(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"pod": ""}}


def _has_ready_key(obj: Json) -> bool:
    return bool(obj.get("data", {}).get("ready"))


async def _count_and_delete(api: Api, origins: dict[str, int], names: list[str]) -> None:
    for name in names:
        status = (await api.get(f"{_COLLECTION}/{name}"))["status"]
        origin = status["pool"]["origin"]
        origins[origin] = origins.get(origin, 0) + 1
        await api.delete(f"{_COLLECTION}/{name}")


async def _until_full(api: Api) -> None:
    """Wait until the pool is full and no claimed pod is terminating, because both use CPU."""
    await eventually(lambda: _is_full(api), "the pool is full", _PATIENCE_SECONDS)


async def _is_full(api: Api) -> bool:
    pool = await api.get(f"{_POOLS}/{_POOL}")
    # The pool's status lags one second behind its pods.
    pods = (await api.get(_PODS))["items"]
    available = [pod for pod in pods if is_ready(pod) and _owner(pod) == "SandboxPool"]
    replicas = pool["spec"]["replicas"]
    return bool(pool.get("status", {}).get("readyReplicas") == replicas == len(available) == len(pods))


def _owner(pod: Json) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["kind"])
