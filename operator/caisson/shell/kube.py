"""The API server, as far as Caisson needs it. Objects are plain JSON: the core reads the few fields that matter.

The transport is the official client's (connection pool, TLS, credentials and their renewal); its generated models
are passed by, because validating a whole Pod to read ten fields costs more than all of a reconcile.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

import aiohttp
from kubernetes.aio import client, config

from caisson.api.sandbox import GROUP, VERSION
from caisson.shell.collections import OWN, Collection
from caisson.shell.errors import ConfigError, KubeUnreachable, NotLeading, kube_error
from caisson.shell.metrics import Metrics

Json = dict[str, Any]

_TIMEOUT_SECONDS = 30
_TIMES_PUT_OFF = 3
_PAGE = 100
_LONGEST_PUT_OFF_SECONDS = 60
_QUIET_SECONDS = 75
"""The API server sends a bookmark about once a minute; a watch silent for longer is a dead connection."""


async def configuration() -> client.Configuration:
    """Return how to reach the cluster: $KUBECONFIG or ~/.kube/config, else the pod's own service account.

    Raises `kubernetes.aio.config.ConfigException` when there is neither.
    """
    found = client.Configuration()
    kubeconfig = _kubeconfig()
    if kubeconfig is not None:
        await config.load_kube_config(str(kubeconfig), client_configuration=found, persist_config=False)
    else:
        config.load_incluster_config(client_configuration=found)
    # Unlimited, because the queue and the sessions are bounded already, and a wait here would not show.
    found.connection_pool_maxsize = 0
    # Else each request looks for a proxy in the environment, and for a password in ~/.netrc: a fifth of our CPU.
    found.client_session_kwargs = {"trust_env": bool(getproxies_environment())}
    return found


def _kubeconfig() -> Path | None:
    named = os.environ.get("KUBECONFIG")
    path = Path(named or "~/.kube/config").expanduser()
    if path.is_file():
        return path
    if named:
        raise ConfigError(f"KUBECONFIG: {named} is not a file; name one file, or unset it to use the service account")
    return None


class Kube:
    """A connection to the API server. Methods raise KubeError or KubeUnreachable (`shell.errors`)."""

    def __init__(
        self, api_client: client.ApiClient, metrics: Metrics, may_write: Callable[[], bool] = lambda: True
    ) -> None:
        """Use a client of the official library, which the caller closes.

        Writes ask `may_write` right before the request and raise NotLeading where it says no; those to a Lease don't.
        """
        self._api, self._metrics, self._may_write = api_client, metrics, may_write
        self._host = urlsplit(api_client.configuration.host).netloc

    async def version(self) -> tuple[int, int]:
        """Return the API server's version: major and minor number."""
        found = await self._call("GET", "/version")
        return int(found["major"]), int(found["minor"].rstrip("+"))

    async def create(self, kind: Collection, namespace: str, manifest: Json, *, dry_run: bool = False) -> Json:
        """Create an object and return it. A dry run goes through admission, and makes nothing."""
        query = {"dryRun": "All"} if dry_run else None
        return await self._call("POST", kind.path(namespace), query=query, body=manifest)

    async def get_runtime_class(self, name: str) -> Json:
        """Return a RuntimeClass."""
        return await self._call("GET", f"/apis/node.k8s.io/v1/runtimeclasses/{name}")

    async def get(self, kind: Collection, namespace: str, name: str) -> Json:
        """Return an object, whoever owns it."""
        return await self._call("GET", kind.path(namespace, name))

    async def patch(self, kind: Collection, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch and return the object. A `metadata.uid` in it is a precondition."""
        path = kind.path(namespace, name)
        return await self._call("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def delete(
        self, kind: Collection, namespace: str, name: str, uid: str, resource_version: str | None = None
    ) -> None:
        """Delete an object, a pod with its usual grace period, if it still has this UID, and this version if given."""
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions}
        await self._call("DELETE", kind.path(namespace, name), body=body)

    async def pod_events(self, namespace: str, pod_uid: str) -> list[Json]:
        """Return the Events about a pod."""
        query = {"fieldSelector": f"involvedObject.uid={pod_uid}", "limit": "100"}
        return list((await self._call("GET", f"/api/v1/namespaces/{namespace}/events", query=query))["items"])

    async def patch_status(self, plural: str, namespace: str, name: str, patch: Json) -> Json:
        """Apply a JSON merge patch to the status of a Sandbox, or a SandboxPool, and return the whole."""
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{plural}/{name}/status"
        return await self._call("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def create_event(self, namespace: str, event: Json) -> None:
        """Record an Event (core/v1)."""
        await self._call("POST", f"/api/v1/namespaces/{namespace}/events", body=event)

    async def get_lease(self, namespace: str, name: str) -> Json:
        """Return a Lease."""
        return await self._call("GET", f"{_leases(namespace)}/{name}")

    async def create_lease(self, namespace: str, lease: Json) -> Json:
        """Create a Lease and return it."""
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **lease}
        return await self._call("POST", _leases(namespace), body=body, leading_only=False)

    async def update_lease(self, namespace: str, lease: Json) -> Json:
        """Replace a Lease, if it is still of this resource version, and return it."""
        path = f"{_leases(namespace)}/{lease['metadata']['name']}"
        return await self._call("PUT", path, body=lease, leading_only=False)

    def list_resource(self, plural: str, namespace: str | None) -> AsyncIterator[Json]:
        """Yield the pages of a list of Sandboxes, or SandboxPools, of a namespace, or of all when None.

        Raises NotFound where the CRD is missing.
        """
        scope = "" if namespace is None else f"/namespaces/{namespace}"
        return self._pages(f"/apis/{GROUP}/{VERSION}{scope}/{plural}", {})

    def list_own(self, kind: Collection, namespace: str | None) -> AsyncIterator[Json]:
        """Yield the pages of a list of the objects that Caisson made; `namespace` None means all."""
        return self._pages(kind.path(namespace), {"labelSelector": OWN})

    async def watch_own(
        self, kind: Collection, namespace: str | None, resource_version: str, seconds: int
    ) -> AsyncIterator[Json]:
        """Yield watch events and bookmarks for some seconds, or less. Silence raises KubeUnreachable."""
        query = {
            "watch": "true",
            "labelSelector": OWN,
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_TIMEOUT_SECONDS, sock_read=_QUIET_SECONDS)
        path = kind.path(namespace)
        response = await self._send("GET", path, query, None, None, timeout)
        try:
            if response.status != 200:
                await _raise_for(f"watch {path}", response)
            while line := await response.content.readline():
                yield json.loads(line)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise KubeUnreachable(f"watch {path}: {error or type(error).__name__}") from error
        finally:
            response.close()

    async def _pages(self, path: str, query: dict[str, str]) -> AsyncIterator[Json]:
        """Yield a list by the page: a user's objects may be large, and there may be many. All are of one version."""
        query = query | {"limit": str(_PAGE)}
        while True:
            page = await self._call("GET", path, query=query)
            yield page
            more = page["metadata"].get("continue")
            if not more:
                return
            query["continue"] = more

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Json | None = None,
        content_type: str | None = None,
        leading_only: bool = True,
    ) -> Json:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        response = await self._send(method, path, query, body, content_type, timeout, leading_only=leading_only)
        try:
            if response.status >= 300:
                await _raise_for(f"{method} {path}", response)
            return dict(json.loads(await response.read()))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise KubeUnreachable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            response.release()

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        body: Json | None,
        content_type: str | None,
        limits: aiohttp.ClientTimeout,
        *,
        leading_only: bool = True,
    ) -> aiohttp.ClientResponse:
        headers = {"Accept": "application/json", "Content-Type": content_type or "application/json"}
        serialized = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        # As client-go does: the server knows when. One that was processed after all does no harm when it is made again.
        for _ in range(_TIMES_PUT_OFF):
            if leading_only and method != "GET" and not self._may_write():
                raise NotLeading(f"{method} {path}: this operator does not hold the lease")
            answer = await self._send_once(method, path, serialized, limits)
            seconds = _put_off(answer)
            if seconds is None:
                return answer
            answer.release()
            await asyncio.sleep(seconds)
        raise KubeUnreachable(f"{method} {path}: put off {_TIMES_PUT_OFF} times (HTTP {answer.status}, Retry-After)")

    async def _send_once(
        self, method: str, path: str, serialized: tuple[Any, ...], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        began, code = perf_counter(), None
        try:
            response = await self._api.call_api(*serialized, _request_timeout=limits)
            answer = response.response
            assert isinstance(answer, aiohttp.ClientResponse)  # noqa: S101
            code = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubeUnreachable(f"{method} {path}: {error or type(error).__name__}") from error
        finally:
            self._metrics.requested(method, self._host, code, perf_counter() - began)
        return answer


def _put_off(answer: aiohttp.ClientResponse) -> int | None:
    """Return in how many seconds the request may be made again, None where it was not put off."""
    after = answer.headers.get("Retry-After", "")
    if (answer.status != 429 and answer.status < 500) or not after.isdecimal():
        return None
    return min(int(after), _LONGEST_PUT_OFF_SECONDS)


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"


async def _raise_for(request: str, response: aiohttp.ClientResponse) -> None:
    text = await response.text(errors="replace")
    try:
        status = json.loads(text)
        reason, message = status.get("reason", ""), status.get("message", "")
    except (ValueError, AttributeError):
        # A proxy in between answers in its own words.
        reason, message = response.reason or "", text[:256]
    raise kube_error(request, response.status, reason, message)
