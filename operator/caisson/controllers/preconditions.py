"""The preconditions of a pod, verified in the cluster: the namespace is guarded, and the handler is gVisor's.

A label on a namespace does not prove that the policies exist. So the operator sends a dry-run request for a pod that
the policy must reject. This pod is harmless, and complies with the strictest Pod Security level, because the API server
checks Pod Security before the policy.
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
from caisson.kube.rejection import is_rejected_by_our_policy, unguarded_problem
from caisson.kube.resources import PODS
from caisson.model.failure import Problem
from caisson.timing import (
    CREATE_TIMEOUT_SECONDS,
    GUARD_CACHE_SECONDS,
    HANDLER_CACHE_SECONDS,
    PROBLEM_CACHE_SECONDS,
    UNGUARDED_CACHE_SECONDS,
)

Json = dict[str, Any]


class UnguardedNamespaces:
    """Remembers in which namespaces the API server rejected an object because the policies are not enforced there.

    Without it, each Sandbox in such a namespace would repeat the rejected request with its own back-off.
    """

    def __init__(self) -> None:
        """Know no namespaces."""
        self._problems: dict[str, tuple[float, Problem]] = {}

    def problem(self, namespace: str) -> Problem | None:
        """Return why there must be no request for now; None if the caller may make one and record its result."""
        now = asyncio.get_running_loop().time()
        until, problem = self._problems.get(namespace, (0.0, None))
        if problem is None or now >= until:
            if problem is not None:
                # Others wait for the result of this attempt.
                self._problems[namespace] = (now + CREATE_TIMEOUT_SECONDS, problem)
            return None
        return problem

    def record(self, namespace: str, problem: Problem | None) -> None:
        """Record the result of a request: the rejection, or None if the namespace is guarded."""
        now = asyncio.get_running_loop().time()
        # Remove old entries, so that deleted namespaces do not accumulate.
        recent = {name: entry for name, entry in self._problems.items() if now < entry[0] + UNGUARDED_CACHE_SECONDS}
        recent.pop(namespace, None)
        if problem is not None:
            recent[namespace] = (now + UNGUARDED_CACHE_SECONDS, problem)
        self._problems = recent


class Preconditions:
    """Verifies the preconditions of pods, and caches the results for a while."""

    def __init__(self, *, kube: KubeClient, config: Config, unguarded: UnguardedNamespaces) -> None:
        """Use this connection."""
        self._kube, self._config, self._unguarded = kube, config, unguarded
        self._cache: dict[tuple[str, str], tuple[float, Problem | None]] = {}

    async def problem(self, manifest: Json) -> Problem | None:
        """Return why this pod must not be created, None if it may be created.

        Raises KubeUnreachable, or the KubeError of an API server that is overloaded or broken, because the result is
        unknown then.
        """
        namespace, runtime_class = manifest["metadata"]["namespace"], manifest["spec"]["runtimeClassName"]
        if (unguarded := self._unguarded.problem(namespace)) is not None:
            return unguarded
        check = partial(self._handler, runtime_class)
        problem = await self._cached("handler", runtime_class, HANDLER_CACHE_SECONDS, check)
        if problem is None and self._config.require_guarded_namespaces:
            check = partial(self._guard, namespace, manifest["spec"]["containers"][0]["resources"])
            problem = await self._cached("guard", namespace, GUARD_CACHE_SECONDS, check)
        return problem

    def accepted(self, namespace: str) -> None:
        """Record that the API server accepted the pod."""
        self._unguarded.record(namespace, None)

    def rejected(self, namespace: str, error: KubeError) -> None:
        """Record that the API server rejected the pod, or its PersistentVolumeClaim."""
        self._unguarded.record(namespace, unguarded_problem(error))

    async def _cached(
        self, kind: str, name: str, seconds: float, check: Callable[[], Awaitable[Problem | None]]
    ) -> Problem | None:
        now = asyncio.get_running_loop().time()
        until, problem = self._cache.get((kind, name), (0.0, None))
        if now < until:
            return problem
        # Remove expired entries, so that deleted namespaces do not accumulate.
        self._cache = {key: entry for key, entry in self._cache.items() if now < entry[0]}
        problem = await check()
        self._cache[kind, name] = (now + (seconds if problem is None else PROBLEM_CACHE_SECONDS), problem)
        return problem

    async def _handler(self, name: str) -> Problem | None:
        try:
            handler = str((await self._kube.get_runtime_class(name))["handler"])
        except NotFound as error:
            # Reported here, because a RuntimeClass that is created before the pod would not have been verified.
            return Reason.RUNTIME_CLASS_NOT_FOUND, error.message
        allowed = self._config.allowed_runtime_handlers
        if handler in allowed:
            return None
        message = f"RuntimeClass {name} names the handler {handler}; allowed handlers are {', '.join(allowed)}"
        return Reason.RUNTIME_HANDLER_NOT_ALLOWED, message

    async def _guard(self, namespace: str, resources: Json) -> Problem | None:
        problem = await self._test_guard(namespace, resources)
        self._unguarded.record(namespace, problem)
        return problem

    async def _test_guard(self, namespace: str, resources: Json) -> Problem | None:
        canary = _canary(resources)
        try:
            await self._kube.create(PODS, namespace, canary, dry_run=True)
        except KubeError as error:
            if is_rejected_by_our_policy(error.message):
                return None
            if error.status == 429 or error.status >= 500:
                raise
            # Each canary has another name, and the message must not change each time.
            return Reason.NAMESPACE_NOT_GUARDED, error.message.replace(canary["metadata"]["name"], "caisson-guard")
        return Reason.NAMESPACE_NOT_GUARDED, f"the namespace {namespace} accepts any pod"


def _canary(resources: Json) -> Json:
    """Return the pod that the policy must reject.

    It has the resources of the real pod, because the API server applies LimitRanges before the policy.
    """
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
