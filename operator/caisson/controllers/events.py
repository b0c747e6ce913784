"""Report a transition: an Event of the Sandbox or the pool, and one log line."""

import secrets
from typing import Any

import structlog

from caisson.api.resources import ObjectMeta
from caisson.api.types import API_VERSION
from caisson.clock import Clock
from caisson.kube.client import KubeClient
from caisson.kube.errors import AlreadyExists
from caisson.model.errors import CaissonError
from caisson.status.events import EventSpec

log = structlog.get_logger(__name__)

COMPONENT = "caisson"


class EventRecorder:
    """Records Events. If an Event can't be recorded, this is only logged, so that it does not block the reconcile."""

    def __init__(self, *, kube: KubeClient, clock: Clock, kind: str) -> None:
        """Record Events of resources of this kind through this connection."""
        self._kube, self._clock, self._kind = kube, clock, kind

    async def record(self, metadata: ObjectMeta, event: EventSpec) -> bool:
        """Write the Event and the log line of a transition. Returns False if the Event already exists."""
        bound = log.bind(reason=str(event.reason))
        if event.crash is not None:
            crash = event.crash.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"stdout", "hint"})
            bound = bound.bind(crash=crash)
        try:
            await self._kube.create_event(metadata.namespace, self._event(metadata, event))
        except AlreadyExists:
            return False
        except CaissonError as error:
            bound.warning("event not recorded", error=str(error))
        write = bound.info if event.level == "Normal" else bound.warning
        write(f"{self._kind.lower()} transition", message=event.message)
        return True

    def _event(self, metadata: ObjectMeta, event: EventSpec) -> dict[str, Any]:
        at = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        suffix = secrets.token_hex(8) if event.key is None else f"{metadata.uid}.{event.key}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{metadata.name}.{suffix}", "namespace": metadata.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": self._kind,
                "namespace": metadata.namespace,
                "name": metadata.name,
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
            },
            "type": event.level,
            "reason": str(event.reason),
            "message": event.message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": "",
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
