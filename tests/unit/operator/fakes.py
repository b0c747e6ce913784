"""An API server for one Sandbox and its pod, in memory, and an exec that answers what it is told to."""

# ruff: noqa: ARG002  the methods are those of what they stand for

import asyncio
import copy
from collections.abc import Callable
from typing import Any, cast

from kubernetes.aio import client

from caisson.config.model import Config
from caisson.kube.client import KubeClient
from caisson.kube.clock import SystemClock
from caisson.kube.errors import KubeUnreachable, kube_error
from caisson.kube.exec import ExecError, ExecResult, Executor
from caisson.kube.resources import CHILD_RESOURCES, PODS, ApiResource
from caisson.kube.workqueue import Result
from caisson.model.errors import CaissonError
from caisson.model.key import Key
from caisson.operator import build_operator
from caisson.status.patch import StatusSchemas
from tests.unit.operator.builders import CONFIG, POD_UID
from tests.unit.operator.model.test_report import READY, b64, line

Json = dict[str, Any]
KEY = Key("default", "demo")
now = SystemClock().now
GUARDED = (
    "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'caisson-sandbox-pods' with binding 'caisson-sandbox-pods'"
    " denied request: caisson: spec.runtimeClassName: set one of gvisor"
)


def merged(target: Json, patch: Json) -> Json:
    """Apply a JSON merge patch, as RFC 7386 has it."""
    result = {key: value for key, value in target.items() if not (key in patch and patch[key] is None)}
    for key, value in patch.items():
        if isinstance(value, dict):
            before = result.get(key)
            result[key] = merged(before if isinstance(before, dict) else {}, value)
        elif value is not None:
            result[key] = value
    return result


class FakeKube:
    """Holds one Sandbox and at most one pod; counts what is asked of it and fails where it is told to."""

    def __init__(self, sandbox: Json) -> None:
        """Hold this Sandbox."""
        self.sandbox, self.pod = sandbox, cast("Json | None", None)
        self.version = 1
        self.beside: dict[ApiResource, Json] = {}
        self.errors_beside: dict[ApiResource, list[CaissonError]] = {}
        self.mutations: dict[ApiResource, Json] = {}
        self.before_replace: Callable[[], None] = lambda: None
        self.replaced: list[ApiResource] = []
        self.status_writes: list[Json] = []
        self.events: list[Json] = []
        self.pods_created = self.finds = 0
        self.create_errors: list[CaissonError] = []
        self.guard_answer: CaissonError | None = kube_error("POST pods", 422, "Invalid", GUARDED)
        self.guard_asked = 0
        self.guard_asked_with: Json = {}
        self.handler: str | None = "runsc"
        self.patch_errors: list[CaissonError] = []
        self.lost_answers: list[CaissonError] = []
        """What the next writes of a status raise after they were applied."""
        self.has_finalizer: set[ApiResource] = set()
        self.pruned: set[str] = set()

    def _stamp(self, obj: Json) -> Json:
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(obj)

    async def create(self, kind: ApiResource, namespace: str, manifest: Json, *, dry_run: bool = False) -> Json:
        """Create the object, once; of a pod's dry run, answer as the admission policies would."""
        if kind is not PODS:
            return self._create_beside(kind, manifest)
        if dry_run:
            self.guard_asked += 1
            self.guard_asked_with = manifest
            if self.guard_answer is not None:
                raise self.guard_answer
            return manifest
        if self.create_errors:
            raise self.create_errors.pop(0)
        if self.pod is not None:
            raise kube_error("POST pods", 409, "AlreadyExists", "exists")
        self.pods_created += 1
        self.pod = copy.deepcopy(manifest)
        self.pod["metadata"] |= {"uid": POD_UID, "creationTimestamp": "2026-03-01T12:00:00Z"}
        self.pod["spec"]["nodeName"] = "node"
        self.pod["status"] = {"phase": "Pending"}
        return self._stamp(self.pod)

    async def get_runtime_class(self, name: str) -> Json:
        """Return the RuntimeClass, if there is one."""
        if self.handler is None:
            raise kube_error("GET runtimeclass", 404, "NotFound", f'runtimeclasses.node.k8s.io "{name}" not found')
        return {"metadata": {"name": name}, "handler": self.handler}

    def _create_beside(self, kind: ApiResource, manifest: Json) -> Json:
        if errors := self.errors_beside.get(kind):
            raise errors.pop(0)
        if kind in self.beside:
            raise kube_error(f"POST {kind.plural}", 409, "AlreadyExists", "exists")
        self.beside[kind] = merged(copy.deepcopy(manifest), self.mutations.get(kind, {}))
        self.beside[kind]["metadata"] |= {"uid": f"uid of the {kind.plural}"}
        return self._stamp(self.beside[kind])

    async def get(self, kind: ApiResource, namespace: str, name: str) -> Json:
        """Return the object."""
        result = self.pod if kind is PODS else self.beside.get(kind)
        if result is None:
            raise kube_error(f"GET {kind.plural}", 404, "NotFound", "not found")
        return copy.deepcopy(result)

    async def find(self, kind: ApiResource, namespace: str, name: str) -> Json | None:
        """Return the Sandbox, which is the one kind that is read this way here."""
        self.finds += 1
        return copy.deepcopy(self.sandbox)

    async def replace(self, kind: ApiResource, namespace: str, obj: Json) -> Json:
        """Replace the object, if it is about the newest version."""
        self.before_replace()
        stored = self.beside.get(kind)
        if stored is None:
            raise kube_error(f"PUT {kind.plural}", 404, "NotFound", "not found")
        if any(obj["metadata"][name] != stored["metadata"][name] for name in ("uid", "resourceVersion")):
            raise kube_error(f"PUT {kind.plural}", 409, "Conflict", "the object has been modified")
        self.replaced.append(kind)
        self.beside[kind] = merged(copy.deepcopy(obj), self.mutations.get(kind, {}))
        return self._stamp(self.beside[kind])

    async def delete(
        self, kind: ApiResource, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete the object."""
        if kind is PODS:
            self.pod = None
        elif kind in self.has_finalizer:
            self.beside[kind]["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
            self._stamp(self.beside[kind])
        else:
            self.beside.pop(kind, None)

    async def pod_events(self, namespace: str, pod_uid: str) -> list[Json]:
        """Return no Events."""
        return []

    async def patch_status(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        """Apply the patch, if it is about the newest version."""
        if self.patch_errors:
            raise self.patch_errors.pop(0)
        if patch["metadata"]["resourceVersion"] != self.sandbox["metadata"]["resourceVersion"]:
            raise kube_error("PATCH", 409, "Conflict", "changed")
        self.status_writes.append(patch["status"])
        children = {field: value for field, value in patch["status"].items() if field not in self.pruned}
        changed = merged(self.sandbox, {"status": children})
        is_same = changed == self.sandbox
        self.sandbox = changed
        answer = copy.deepcopy(changed) if is_same else self._stamp(changed)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return answer

    async def create_event(self, namespace: str, event: Json) -> None:
        """Keep the Event, once."""
        if event["metadata"]["name"] in {previous["metadata"]["name"] for previous in self.events}:
            raise kube_error("POST events", 409, "AlreadyExists", "exists")
        self.events.append(event)

    def pod_runs(self) -> Json:
        """Let the kubelet start the pod, and find it ready."""
        assert self.pod is not None
        at = f"{now():%Y-%m-%dT%H:%M:%SZ}"
        self.pod["spec"]["nodeName"] = "node"
        self.pod["status"] = {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "containerStatuses": [{"name": "sandbox", "state": {"running": {"startedAt": at}}}],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": at}],
        }
        return self._stamp(self.pod)


class FakeExecutor:
    """Answers each session with the next of its answers."""

    def __init__(self) -> None:
        """Have no answers yet."""
        self.answers: list[ExecResult | Exception] = []
        self.commands: list[tuple[str, ...]] = []

    async def run(
        self,
        namespace: str,
        pod: str,
        command: tuple[str, ...],
        timeout_seconds: float,
        printed: Callable[[bytes], None],
    ) -> ExecResult:
        """Return or raise the next answer; what it prints comes in two parts."""
        self.commands.append(command)
        await asyncio.sleep(0)
        if not self.answers:
            raise ExecError("no answer")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        printed(answer.stdout[: len(answer.stdout) // 2])
        printed(answer.stdout)
        await asyncio.sleep(0)
        return answer


class World:
    """A reconciler with everything around it; `operator_restarts` puts a new one in its place."""

    def __init__(self, sandbox: Json, config: Config = CONFIG) -> None:
        """Have a cluster with this Sandbox."""
        self.config, self.schemas = config, StatusSchemas()
        self.kube, self.executor = self.make_kube(sandbox), FakeExecutor()
        self.operator_restarts()

    def make_kube(self, sandbox: Json) -> FakeKube:
        """Make the API server."""
        return FakeKube(sandbox)

    def operator_restarts(self) -> None:
        """Forget all but what is in the cluster."""
        self.results: list[Result] = []
        self.operator = build_operator(
            self.config,
            client.Configuration(),
            kube=cast("KubeClient", self.kube),
            executor=cast("Executor", self.executor),
            schemas=self.schemas,
        )
        caches = self.operator.caches
        self.sandboxes, self.pods, self.pool_store, self.children = (
            caches.sandboxes,
            caches.pods,
            caches.pools,
            caches.children,
        )
        self.metrics, self.health = self.operator.telemetry.metrics, self.operator.telemetry.health
        self.sessions = self.operator.sessions
        self.reconciler, self.pools, self.warm_pods = (
            self.operator.sandboxes,
            self.operator.pools,
            self.operator.warm_pods,
        )
        self.watches_deliver()

    def watches_deliver(self) -> None:
        """Bring the stores up to date."""
        self.sandboxes.put(copy.deepcopy(self.kube.sandbox))
        if self.kube.pod is not None:
            self.pods.put(copy.deepcopy(self.kube.pod))
        for kind, store in self.children.items():
            if CHILD_RESOURCES[kind] in self.kube.beside:
                store.put(copy.deepcopy(self.kube.beside[CHILD_RESOURCES[kind]]))

    async def reconcile(self, times: int = 1) -> None:
        """Look at the Sandbox some times, with the sessions' tasks having their turn between."""
        for _ in range(times):
            self.results.append(await self.reconciler.reconcile(KEY))
            for _ in range(5):
                await asyncio.sleep(0)

    def condition(self, type_: str = "Ready") -> tuple[str, str] | None:
        """Return status and reason of a condition as it is written."""
        for condition in self.kube.sandbox.get("status", {}).get("conditions", ()):
            if condition["type"] == type_:
                return condition["status"], condition["reason"]
        return None


UNREACHABLE = KubeUnreachable("no answer")


READY_ANSWER = ExecResult(0, line("isolated", kernel64=b64("gVisor")) + line("ready", **READY), b"")
KILLED_ANSWER = ExecResult(1, line("failed", cause="Exited", attempt=0, exitCode=137), b"")


async def becomes_ready(world: World) -> None:
    """Go the usual way from applied to ready."""
    await world.reconcile(2)
    world.pods.put(world.kube.pod_runs())
    world.executor.answers = [READY_ANSWER]
    await world.reconcile(4)
