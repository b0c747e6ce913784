"""The Service of a Sandbox: what it should be, and the next step towards that."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import Sandbox
from caisson.core.backoff import exponential
from caisson.core.observation import Observation
from caisson.core.owned import is_owned_by, own_labels, owner_reference
from caisson.core.plan import ApplyService, DeleteService, Step
from caisson.core.verdict import Verdict, verdict

Json = dict[str, Any]

_HASH_ANNOTATION = "caisson.dev/service-hash"
_RETRY_CEILING_SECONDS = 60


@dataclass(frozen=True)
class ServiceState:
    """The next step, and what hinders it; None where nothing does."""

    step: Step
    problem: Verdict | None = None


def render_service(sandbox: Sandbox) -> Json | None:
    """Return the Service (core/v1, as JSON) for the ports of a spec; None where there are none.

    It is headless, so its name is the pod's address itself: what a port forwards to need not be known twice.
    """
    ports = [{"name": p.name, "port": p.container_port, "protocol": p.protocol.value} for p in sandbox.spec.ports]
    if not ports:
        return None
    spec = {
        "clusterIP": "None",
        # The user may want to look at what does not get Ready.
        "publishNotReadyAddresses": True,
        "selector": own_labels(sandbox),
        "ports": ports,
    }
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": sandbox.metadata.name,
            "namespace": sandbox.metadata.namespace,
            "labels": own_labels(sandbox),
            "annotations": {_HASH_ANNOTATION: digest},
            "ownerReferences": [owner_reference(sandbox)],
        },
        "spec": spec,
    }


def service_state(seen: Observation, now: datetime) -> ServiceState:
    """Return what to do about the Service. One that is not the Sandbox's own is never touched."""
    wanted, known = render_service(seen.sandbox), seen.service
    if known is not None and not is_owned_by(known, seen.sandbox):
        # Of an earlier Sandbox of this name: the garbage collector takes it away, which wakes us.
        return ServiceState(Step())
    if wanted is None:
        return ServiceState(Step(DeleteService(known["metadata"]["uid"])) if known is not None else Step())
    if known is not None and _digest(known) == _digest(wanted):
        return ServiceState(Step())
    apply = ApplyService(wanted, known["metadata"]["uid"] if known is not None else None)
    failure = seen.service_failure
    if failure is None or failure.generation != seen.sandbox.metadata.generation:
        return ServiceState(Step(apply))
    due = failure.at + exponential(failure.count, ceiling=_RETRY_CEILING_SECONDS)
    problem = verdict("False", Reason.SERVICE_REJECTED, said=failure.message)
    return ServiceState(Step(apply) if now >= due else Step(wake_at=due), problem)


def _digest(service: Json) -> str | None:
    annotations: Json = service["metadata"].get("annotations") or {}
    return annotations.get(_HASH_ANNOTATION)
