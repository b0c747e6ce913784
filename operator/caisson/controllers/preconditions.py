"""What must hold before a pod is made, looked up in the cluster: the namespace is guarded, the handler is gVisor's.

A label on a namespace says little: the policies may be gone. So the guard is proven, by a dry run of a pod that must be
refused. It is harmless, and fit for the strictest Pod Security level, which is asked before the policy.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from caisson.api.reasons import Reason
from caisson.config.model import Config
from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeError, NotFound
from caisson.kube.rejection import is_rejected_by_our_policy
from caisson.kube.resources import PODS
from caisson.model.failure import Problem
from caisson.timing import GUARD_CACHE_SECONDS, HANDLER_CACHE_SECONDS, PROBLEM_CACHE_SECONDS

Json = dict[str, Any]


class Preconditions:
    """Looks before a pod is made, and remembers for a while what it saw."""

    def __init__(self, *, kube: KubeClient, config: Config) -> None:
        """Look through this connection."""
        self._kube, self._config = kube, config
        self._cache: dict[tuple[str, str], tuple[float, Problem | None]] = {}

    async def problem(self, manifest: Json) -> Problem | None:
        """Return why this pod may not be made, None when it may.

        Raises KubeUnreachable, or the KubeError of a server that is overloaded or broken: nothing is known then.
        """
        namespace, runtime_class = manifest["metadata"]["namespace"], manifest["spec"]["runtimeClassName"]
        look = partial(self._handler, runtime_class)
        problem_ = await self._remembered("handler", runtime_class, HANDLER_CACHE_SECONDS, look)
        if problem_ is None and self._config.require_guarded_namespaces:
            look = partial(self._guard, namespace, manifest["spec"]["containers"][0]["resources"])
            problem_ = await self._remembered("guard", namespace, GUARD_CACHE_SECONDS, look)
        return problem_

    async def _remembered(
        self, kind: str, name: str, seconds: float, look: Callable[[], Awaitable[Problem | None]]
    ) -> Problem | None:
        now = asyncio.get_running_loop().time()
        until, problem = self._cache.get((kind, name), (0.0, None))
        if now < until:
            return problem
        # What is out of date goes, so that namespaces that come and go leave nothing behind.
        self._cache = {key: entry for key, entry in self._cache.items() if now < entry[0]}
        problem = await look()
        self._cache[kind, name] = (now + (seconds if problem is None else PROBLEM_CACHE_SECONDS), problem)
        return problem

    async def _handler(self, name: str) -> Problem | None:
        try:
            handler = str((await self._kube.get_runtime_class(name))["handler"])
        except NotFound as error:
            # Not for the pod's creation to tell: what is made meanwhile would not have been looked at.
            return Reason.RUNTIME_CLASS_NOT_FOUND, error.message
        allowed = self._config.allowed_runtime_handlers
        if handler in allowed:
            return None
        message = f"RuntimeClass {name} names the handler {handler}; those of gVisor are {', '.join(allowed)} here"
        return Reason.RUNTIME_HANDLER_NOT_ALLOWED, message

    async def _guard(self, namespace: str, resources: Json) -> Problem | None:
        canary = _canary(resources)
        try:
            await self._kube.create(PODS, namespace, canary, dry_run=True)
        except KubeError as error:
            if is_rejected_by_our_policy(error.message):
                return None
            if error.status == 429 or error.status >= 500:
                raise
            # The next one has another name, and what is told must not differ each time.
            return Reason.NAMESPACE_NOT_GUARDED, error.message.replace(canary["metadata"]["name"], "caisson-guard")
        return Reason.NAMESPACE_NOT_GUARDED, f"the namespace {namespace} takes any pod"


def _canary(resources: Json) -> Json:
    """Make the pod that must be refused, of the real pod's size: a limit range is asked before the policy."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"caisson-guard-{secrets.token_hex(4)}"},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "canary",
                    "image": "caisson.dev/never-run",
                    "resources": resources,
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                }
            ],
        },
    }
