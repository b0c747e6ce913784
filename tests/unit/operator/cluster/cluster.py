"""A cluster in memory with a running operator: what a test uses."""

import asyncio
from contextlib import suppress
from typing import Any, Self

from caisson.config.model import Config
from caisson.handlers.crd_check import compare_crds
from caisson.kube.client import KubeClient
from caisson.kube.transport import Request
from caisson.operator import Operator
from caisson.telemetry.health import Health
from caisson.telemetry.metrics import Metrics
from tests.unit.operator.builders import CONFIG
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.event_loop import VirtualTimeLoop
from tests.unit.operator.cluster.executor import ScriptedExecutor
from tests.unit.operator.cluster.kubelet import Kubelet
from tests.unit.operator.cluster.manifests import pool_manifest, runtime_class_manifest, sandbox_manifest
from tests.unit.operator.cluster.objects import sandbox_pods
from tests.unit.operator.cluster.wiring import build_memory_operator

Json = dict[str, Any]

NAMESPACE = "default"
_PLURALS = {"Sandbox": "sandboxes", "SandboxPool": "sandboxpools"}


class Cluster:
    """An API server, a node, exec sessions, and the operator, which runs while the context manager is entered."""

    def __init__(self, loop: VirtualTimeLoop, config: Config = CONFIG) -> None:
        """Have a guarded cluster with the RuntimeClass gvisor, and no operator yet. `loop` is the running loop."""
        self.config, self.loop = config, loop
        self.server = MemoryApiServer(loop.now)
        self.server.create("runtimeclasses", runtime_class_manifest())
        self.server.admission.append(sandbox_pods)
        self.faults, self.watches = self.server.faults, self.server.watches
        self.kubelet = Kubelet(self.server, loop.now)
        self.executor = ScriptedExecutor(self.server)
        self.operator: Operator
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start the operator."""
        self.start_operator()
        await self.settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the operator."""
        await self.stop_operator()

    # The operator

    def start_operator(self) -> None:
        """Start an operator that knows nothing but the cluster."""
        self._task = asyncio.create_task(self._run_operator(), name="operator")

    async def _run_operator(self) -> None:
        schemas = await compare_crds(KubeClient(self.server, Metrics()))
        self.operator = build_memory_operator(self.config, self.server, self.executor, self.loop, schemas)
        await self.operator.run()

    async def stop_operator(self) -> None:
        """Stop the operator, whatever it is doing."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def restart_operator(self) -> None:
        """Stop the operator, start another one and let it settle."""
        await self.stop_operator()
        self.start_operator()
        await self.settle()

    # Time

    async def settle(self) -> None:
        """Run until nothing can happen before the time advances. Raises what ended the operator, if it has ended."""
        await self.loop.idle()
        if self._task is not None and self._task.done():
            self._task.result()

    async def advance(self, seconds: float) -> None:
        """Let so much time pass, with everything that happens meanwhile."""
        await asyncio.sleep(seconds)
        await self.settle()

    # What a user does

    def apply(self, manifest: Json) -> Json:
        """Create an object, or replace its spec."""
        return self.server.apply(_PLURALS[manifest["kind"]], manifest)

    def apply_sandbox(self, name: str = "demo", **spec: Any) -> Json:
        """Apply a Sandbox with these fields in its spec."""
        return self.apply(sandbox_manifest(name, **spec))

    def apply_pool(self, name: str = "warm", replicas: int = 1, **spec: Any) -> Json:
        """Apply a SandboxPool with these fields in its spec."""
        return self.apply(pool_manifest(name, replicas=replicas, **spec))

    async def start_sandbox(self, name: str = "demo", **spec: Any) -> None:
        """Apply a Sandbox, and take it the usual way from there to a pod that is ready."""
        self.apply_sandbox(name, **spec)
        await self.settle()
        self.kubelet.runs(name)
        await self.settle()
        self.kubelet.becomes_ready(name)
        await self.settle()

    async def fill_pool(self, name: str = "warm", replicas: int = 1, **spec: Any) -> list[str]:
        """Apply a pool, let its pods become available, and return their names."""
        self.apply_pool(name, replicas, **spec)
        await self.settle()
        names = [pod for pod, owner in self.owners().items() if owner == f"SandboxPool/{name}"]
        for pod in names:
            self.kubelet.runs(pod)
        await self.settle()
        for pod in names:
            self.kubelet.becomes_ready(pod)
        await self.settle()
        return names

    # What the cluster shows

    def sandbox(self, name: str = "demo") -> Json:
        """Return a Sandbox."""
        return self.server.get("sandboxes", NAMESPACE, name)

    def pool(self, name: str = "warm") -> Json:
        """Return a SandboxPool."""
        return self.server.get("sandboxpools", NAMESPACE, name)

    def condition(self, type_: str = "Ready", name: str = "demo") -> tuple[str, str] | None:
        """Return the status and the reason of a condition of a Sandbox, None if it has not got it."""
        return _condition(self.sandbox(name), type_)

    def pool_condition(self, type_: str = "Ready", name: str = "warm") -> tuple[str, str] | None:
        """Return the status and the reason of a condition of a pool, None if it has not got it."""
        return _condition(self.pool(name), type_)

    def pods(self) -> dict[str, Json]:
        """Return all pods by name."""
        return {pod["metadata"]["name"]: pod for pod in self.server.storage.objects("pods", NAMESPACE)}

    def owners(self) -> dict[str, str]:
        """Return the owner of each pod that has one, as kind and name."""
        return {
            name: f"{owner['kind']}/{owner['name']}"
            for name, pod in self.pods().items()
            for owner in pod["metadata"].get("ownerReferences") or ()
        }

    def event_reasons(self, kind: str = "Sandbox") -> list[str]:
        """Return the reasons of the Events about objects of a kind, in the order in which they were recorded."""
        events = [e for e in self.server.storage.objects("events") if e["involvedObject"]["kind"] == kind]
        events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["reason"] for event in events]

    def requests(self, method: str, pattern: str) -> list[Request]:
        """Return the requests of a method whose path ends in a pattern, as `sandboxes/demo/status` or `pods/*`."""
        return self.server.requested(method, pattern)

    def pods_created(self) -> int:
        """Return how many pods the operator asked for, without those of the guard's dry run."""
        return len(self.requests("POST", "pods"))

    def status_writes(self, name: str = "demo") -> int:
        """Return how many times the operator wrote the status of a Sandbox, or tried to."""
        return len(self.requests("PATCH", f"sandboxes/{name}/status"))

    @property
    def health(self) -> Health:
        """The health of the present operator."""
        return self.operator.telemetry.health

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of a metric of the present operator."""
        return self.operator.telemetry.metrics.registry.get_sample_value(name, labels)


def _condition(obj: Json, type_: str) -> tuple[str, str] | None:
    for condition in obj.get("status", {}).get("conditions", ()):
        if condition["type"] == type_:
            return condition["status"], condition["reason"]
    return None
