"""A world with a pool and its pods."""

import asyncio
import copy
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from caisson.kube.errors import KubeError, KubeUnreachable, kube_error
from caisson.kube.exec import ExecResult
from caisson.kube.resources import NETWORK_POLICIES, PODS, ApiResource
from caisson.model.actions import ChildKind
from caisson.model.errors import CaissonError
from caisson.model.key import Key
from caisson.model.ownership import controller_of
from tests.unit.operator.builders import (
    POOL_UID,
    make_sandbox,
    raw_sandbox,
)
from tests.unit.operator.fakes import READY_ANSWER, FakeKube, World, merged, now
from tests.unit.operator.model.test_report import line

Json = dict[str, Any]

POOL_KEY = Key("default", "warm")


PRELOADED_ANSWER = ExecResult(0, line("preloaded"), b"")


def raw_pool(replicas: int = 1, **spec: Any) -> Json:
    """Make a pool called default/warm, as the API server stores it."""
    metadata = {"name": "warm", "namespace": "default", "uid": POOL_UID, "generation": 1, "resourceVersion": "1"}
    template = {"spec": {"image": "debian:trixie-slim"} | spec.pop("template", {})}
    return {
        "apiVersion": "caisson.dev/v1alpha1",
        "kind": "SandboxPool",
        "metadata": metadata,
        "spec": {"replicas": replicas, "template": template} | spec,
    }


class PoolKube(FakeKube):
    """Holds many pods, and lets a test act before or after a write to a pod."""

    def __init__(self, sandbox: Json) -> None:
        super().__init__(sandbox)
        self.all_pods: dict[str, Json] = {}
        self.policies: dict[str, Json] = {}
        self.policy_errors: list[CaissonError] = []
        self.pod_errors: list[KubeError] = []
        self.before_patch: Callable[[], None] = lambda: None
        self.after_patch: list[CaissonError] = []
        self.pool: Json = {}

    async def create(self, kind: ApiResource, namespace: str, manifest: Json, *, dry_run: bool = False) -> Json:
        name = manifest["metadata"]["name"]
        if kind is NETWORK_POLICIES:
            if self.policy_errors:
                raise self.policy_errors.pop()
            policy = self.policies[name] = copy.deepcopy(manifest)
            policy["metadata"]["uid"] = f"uid of the policy {name}"
            return self._stamp(policy)
        if kind is not PODS or dry_run:
            return await super().create(kind, namespace, manifest, dry_run=dry_run)
        if name in self.all_pods:
            raise kube_error("POST pods", 409, "AlreadyExists", "exists")
        if self.pod_errors:
            error = self.pod_errors.pop()
            raise kube_error("POST pods", error.status, error.reason, error.message.format(name=name))
        pod = copy.deepcopy(manifest)
        pod["metadata"] |= {"uid": f"uid of {name}", "creationTimestamp": "2026-03-01T12:00:00Z"}
        pod["status"] = {"phase": "Pending"}
        self.all_pods[name] = pod
        return self._stamp(pod)

    async def get(self, kind: ApiResource, namespace: str, name: str) -> Json:
        if kind is not PODS:
            return await super().get(kind, namespace, name)
        if name not in self.all_pods:
            raise kube_error("GET pods", 404, "NotFound", "not found")
        return copy.deepcopy(self.all_pods[name])

    async def patch(self, kind: ApiResource, namespace: str, name: str, patch: Json) -> Json:
        assert kind is PODS
        self.before_patch()
        pod = await self.get(kind, namespace, name)
        if patch["metadata"]["uid"] != pod["metadata"]["uid"]:
            raise kube_error("PATCH pods", 422, "Invalid", "uid")
        if patch["metadata"]["resourceVersion"] != pod["metadata"]["resourceVersion"]:
            raise kube_error("PATCH pods", 409, "Conflict", "changed")
        self.all_pods[name] = merged(pod, patch)
        answer = self._stamp(self.all_pods[name])
        if self.after_patch:
            raise self.after_patch.pop()
        return answer

    async def delete(
        self, kind: ApiResource, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        if kind is not PODS:
            return await super().delete(kind, namespace, name, uid)
        pod = await self.get(kind, namespace, name)
        if resource_version not in (None, pod["metadata"]["resourceVersion"]):
            raise kube_error("DELETE pods", 409, "Conflict", "changed")
        del self.all_pods[name]
        return None

    async def patch_status(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        if plural == "sandboxes":
            return await super().patch_status(plural, namespace, name, patch)
        self.pool = merged(self.pool, {"status": patch["status"]})
        answer = self._stamp(self.pool)
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return answer

    def run(self, name: str) -> None:
        """Let the kubelet start a pod and report it ready."""
        pod = self.all_pods[name]
        pod["spec"]["nodeName"] = "node"
        pod["status"] = {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "containerStatuses": [
                {"name": "sandbox", "state": {"running": {"startedAt": f"{now():%Y-%m-%dT%H:%M:%SZ}"}}}
            ],
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": f"{now():%Y-%m-%dT%H:%M:%SZ}"}],
        }
        self._stamp(pod)

    def turns_unready(self, name: str, after_seconds: int) -> None:
        """Let the kubelet report a pod unready that long after its start; with 0, the pod was never ready."""
        pod = self.all_pods[name]
        started = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
        at = datetime.fromisoformat(started) + timedelta(seconds=after_seconds)
        pod["status"]["conditions"] = [
            {"type": "Ready", "status": "False", "lastTransitionTime": f"{at:%Y-%m-%dT%H:%M:%SZ}"}
        ]
        self._stamp(pod)


class PoolWorld(World):
    """A cluster with a pool and a Sandbox that refers to it."""

    kube: PoolKube

    def __init__(self, **pool: Any) -> None:
        raw = raw_sandbox(make_sandbox())
        raw["spec"] = {"poolRef": {"name": "warm"}}
        self._pool = raw_pool(**pool)
        super().__init__(raw)

    def make_kube(self, sandbox: Json) -> FakeKube:
        kube = PoolKube(sandbox)
        kube.pool = copy.deepcopy(self._pool)
        return kube

    def watches_deliver(self) -> None:
        super().watches_deliver()
        self.pool_store.put(copy.deepcopy(self.kube.pool))
        for pod in self.kube.all_pods.values():
            self.pods.put(copy.deepcopy(pod))
        for policy in self.kube.policies.values():
            self.children[ChildKind.NETWORK_POLICY].put(copy.deepcopy(policy))
        for pod in list(self.pods.all()):
            if pod["metadata"]["name"] not in self.kube.all_pods:
                self.pods.remove(pod)

    async def fill(self, *answers: ExecResult | Exception) -> list[str]:
        """Make the pool's pods available and return their names. See `look` for the answers."""
        await self.pools.reconcile(POOL_KEY)
        names = sorted(self.kube.all_pods)
        for name in names:
            self.kube.run(name)
        self.watches_deliver()
        await self.look(names, *answers)
        return names

    async def dies_at_the_claim(self) -> None:
        """Let the operator be killed after it wrote the claim to the status and before it patches the pod."""

        def die() -> None:
            raise KubeUnreachable("killed")

        self.kube.before_patch = die
        with pytest.raises(KubeUnreachable):
            await self.reconcile()

    async def look(self, names: list[str], *answers: ExecResult | Exception) -> None:
        """Reconcile pods of the pool. The sessions of each pod get these answers."""
        for name in names:
            self.executor.answers = list(answers or (READY_ANSWER,))
            for _ in range(3):
                await self.warm_pods.reconcile(Key("default", name))
                for _ in range(5):
                    await asyncio.sleep(0)

    def damage_template(self, name: str) -> None:
        """Give a pod a template that this version can't read."""
        pod = self.kube.all_pods[name]
        written = json.loads(pod["metadata"]["annotations"]["caisson.dev/pool-template"])
        written["spec"]["entrypoint"] = "OfANewerVersion"
        pod["metadata"]["annotations"]["caisson.dev/pool-template"] = json.dumps(written)
        self.kube._stamp(pod)

    async def replace_some(self) -> None:
        """Reconcile the pool and make its new pods available."""
        before = set(self.kube.all_pods)
        await self.pools.reconcile(POOL_KEY)
        names = sorted(set(self.kube.all_pods) - before)
        for name in names:
            self.kube.run(name)
        self.watches_deliver()
        await self.look(names)

    def owners(self) -> dict[str, str]:
        """Return the owner of each pod."""
        result = {name: controller_of(pod) for name, pod in self.kube.all_pods.items()}
        return {name: f"{owner['kind']}/{owner['name']}" for name, owner in result.items() if owner is not None}
