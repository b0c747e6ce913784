"""The scheduler and the kubelet of one node: what they write to pods, and nothing else."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from caisson.model.pod_shape import CONTAINER_NAME
from tests.unit.operator.cluster.api_server import MemoryApiServer
from tests.unit.operator.cluster.storage import Change, ObjectKey

Json = dict[str, Any]

NODE = "node-1"


class Kubelet:
    """Changes pods as the test says. Pods that are being deleted stop by themselves, unless `stops_pods` is False."""

    def __init__(self, server: MemoryApiServer, now: Callable[[], datetime]) -> None:
        """Run the pods of this server. `now` is the wall clock."""
        self._server, self._now = server, now
        self.starts_pods = False
        """Whether a pod runs as soon as it exists."""

        self.stops_pods = True
        server.storage.observers.append(self._observe)

    def runs(self, name: str, namespace: str = "default") -> Json:
        """Schedule a pod and start its container. It is not ready before its first probe."""
        started = {"name": CONTAINER_NAME, "ready": False, "state": {"running": {"startedAt": self._timestamp()}}}
        self._server.patch("pods", namespace, name, {"spec": {"nodeName": NODE}})
        status = {"phase": "Running", "podIP": "10.0.0.7", "hostIP": "10.1.0.1", "containerStatuses": [started]}
        conditions = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": "False", "Ready": "False"}
        return self._write(namespace, name, status, **conditions)

    def becomes_ready(self, name: str, namespace: str = "default") -> Json:
        """Let the readiness probe succeed."""
        return self._write(namespace, name, {}, ContainersReady="True", Ready="True")

    def becomes_unready(self, name: str, namespace: str = "default") -> Json:
        """Let the readiness probe fail."""
        return self._write(namespace, name, {}, ContainersReady="False", Ready="False")

    def waits(self, name: str, reason: str, message: str = "", namespace: str = "default") -> Json:
        """Schedule a pod whose container can't start, as with the reason ImagePullBackOff."""
        self._server.patch("pods", namespace, name, {"spec": {"nodeName": NODE}})
        state = {"name": CONTAINER_NAME, "ready": False, "state": {"waiting": {"reason": reason, "message": message}}}
        return self._write(namespace, name, {"containerStatuses": [state]}, PodScheduled="True", Ready="False")

    def container_exits(
        self, name: str, exit_code: int = 0, reason: str | None = None, message: str = "", namespace: str = "default"
    ) -> Json:
        """End the container. Its pod does not restart it."""
        reason = reason or ("Error" if exit_code else "Completed")
        end = {"exitCode": exit_code, "reason": reason, "message": message, "finishedAt": self._timestamp()}
        state = {"name": CONTAINER_NAME, "ready": False, "state": {"terminated": end}}
        status = {"phase": "Failed" if exit_code else "Succeeded", "containerStatuses": [state]}
        return self._write(namespace, name, status, ContainersReady="False", Ready="False")

    def evicts(self, name: str, message: str = "the node was low on memory", namespace: str = "default") -> Json:
        """Evict a pod."""
        return self._write(namespace, name, {"phase": "Failed", "reason": "Evicted", "message": message}, Ready="False")

    def removes(self, name: str, namespace: str = "default") -> None:
        """Finish the deletion of a pod."""
        self._server.delete("pods", namespace, name, grace_seconds=0)

    def records(self, name: str, reason: str, message: str, namespace: str = "default") -> None:
        """Record a Warning about a pod."""
        pod = self._server.get("pods", namespace, name)
        at = self._timestamp()
        self._server.create(
            "events",
            {
                "metadata": {"name": f"{name}.{self._server.storage.version}", "namespace": namespace},
                "involvedObject": {"kind": "Pod", "name": name, "namespace": namespace, "uid": pod["metadata"]["uid"]},
                "type": "Warning",
                "reason": reason,
                "message": message,
                "lastTimestamp": at,
            },
        )

    def _observe(self, change: Change) -> None:
        pod, loop = change.current, asyncio.get_running_loop()
        if change.key.plural != "pods" or pod is None:
            return
        if self.stops_pods and "deletionTimestamp" in pod["metadata"]:
            loop.call_soon(self._stop, change.key, pod["metadata"]["uid"])
        elif self.starts_pods and change.previous is None:
            loop.call_soon(self._start, change.key, pod["metadata"]["uid"])

    def _start(self, key: ObjectKey, uid: str) -> None:
        if self._is_there(key, uid):
            self.runs(key.name, key.namespace)

    def _stop(self, key: ObjectKey, uid: str) -> None:
        if self._is_there(key, uid):
            self.removes(key.name, key.namespace)

    def _is_there(self, key: ObjectKey, uid: str) -> bool:
        pod = self._server.storage.get(key)
        return pod is not None and pod["metadata"]["uid"] == uid

    def _write(self, namespace: str, name: str, status: Json, **conditions: str) -> Json:
        """Patch the status of a pod. A condition gets a new transition time only if its status changes."""
        before = self._server.get("pods", namespace, name).get("status", {}).get("conditions", [])
        merged = {condition["type"]: condition for condition in before}
        for type_, value in conditions.items():
            if merged.get(type_, {}).get("status") != value:
                merged[type_] = {"type": type_, "status": value, "lastTransitionTime": self._timestamp()}
        patch = {"status": status | {"conditions": list(merged.values())}}
        return self._server.patch("pods", namespace, name, patch)

    def _timestamp(self) -> str:
        return f"{self._now():%Y-%m-%dT%H:%M:%SZ}"
