"""The Service of a Sandbox: what it should be, and the next step towards that."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import Sandbox
from caisson.core.backoff import exponential
from caisson.core.observation import Observation
from caisson.core.owned import is_of_namesake, is_owned_by, own_labels, own_metadata, whose
from caisson.core.plan import ApplyService, DeleteService, Step
from caisson.core.verdict import Verdict, verdict

Json = dict[str, Any]

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
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": own_metadata(sandbox, sandbox.metadata.name),
        "spec": spec,
    }


def service_state(seen: Observation, now: datetime, *, is_over: bool = False) -> ServiceState:
    """Return what to do about the Service. One that is not the Sandbox's own is never touched.

    A Sandbox that is over has none.
    """
    wanted, known = None if is_over else render_service(seen.sandbox), seen.service
    if known is not None and is_of_namesake(known, seen.sandbox):
        # The garbage collector takes it away, which wakes us.
        return ServiceState(Step())
    if known is not None and not is_owned_by(known, seen.sandbox):
        problem = verdict("False", Reason.SERVICE_REJECTED, said=whose("Service", known))
        return ServiceState(Step(), problem if wanted is not None else None)
    if wanted is None:
        return ServiceState(Step(DeleteService(known["metadata"]["uid"])) if known is not None else Step())
    if known is not None and _is_as(wanted["spec"], known["spec"]):
        return ServiceState(Step())
    apply = ApplyService(wanted, known)
    failure = seen.service_failure
    if failure is None or failure.generation != seen.sandbox.metadata.generation:
        return ServiceState(Step(apply))
    due = failure.at + exponential(failure.count, ceiling=_RETRY_CEILING_SECONDS)
    problem = verdict("False", Reason.SERVICE_REJECTED, said=failure.message)
    return ServiceState(Step(apply) if now >= due else Step(wake_at=due), problem)


def _is_as(wanted: Json, found: Json) -> bool:
    """Tell whether a Service is what it should be. Ports have more fields than we set: the API server's defaults."""
    ports = [{name: port.get(name) for name in ("name", "port", "protocol")} for port in found.get("ports") or ()]
    same = all(found.get(name) == wanted[name] for name in ("clusterIP", "publishNotReadyAddresses", "selector"))
    return same and ports == wanted["ports"]
