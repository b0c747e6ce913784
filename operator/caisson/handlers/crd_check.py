"""Compares the CRDs of the cluster with those of this version, once at startup."""

from collections.abc import Iterator
from typing import Any

import structlog

from caisson.api.crd.comparison import missing_fields
from caisson.api.crd.definitions import pool_crd, sandbox_crd
from caisson.api.crd.structural_schema import Schema
from caisson.api.types import API_VERSION, GROUP, VERSION
from caisson.handlers.startup import retry_until_answered
from caisson.kube.client import KubeClient
from caisson.kube.errors import KubeUnreachable, NotFound
from caisson.model.errors import CaissonError
from caisson.status.patch import StatusSchemas

Json = dict[str, Any]
log = structlog.get_logger(__name__)

_PARTS = ("spec", "status")


async def compare_crds(kube: KubeClient) -> StatusSchemas:
    """Log which fields the CRDs lack, and return the schemas of statuses that lack some.

    Reads the OpenAPI document of the group, which every authenticated user may read. Retries until the API server
    answers. If it does not serve the document, the CRDs count as complete.
    """
    try:
        document = await retry_until_answered(lambda: kube.open_api(API_VERSION), KubeUnreachable, "CRDs not compared")
        return _compare(document)
    except NotFound:
        # The CRDs are not installed; the first list reports that.
        return StatusSchemas()
    except (CaissonError, AttributeError, KeyError, TypeError) as error:
        log.warning("CRDs not compared: they count as up to date", error=repr(error))
        return StatusSchemas()


def _compare(document: Json) -> StatusSchemas:
    missing: list[str] = []
    statuses: dict[str, Schema] = {}
    for crd in (sandbox_crd(), pool_crd()):
        kind = crd["spec"]["names"]["kind"]
        served = next(_schemas_of(document, kind), None)
        if served is None:
            continue
        desired = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
        for part in _PARTS:
            schema = served["properties"].get(part, {})
            missing_in_part = list(missing_fields(desired[part], schema, f"{kind}.{part}"))
            missing += missing_in_part
            if missing_in_part and part == "status":
                statuses[kind] = schema
    if missing:
        log.warning(
            "the CRD is older than the operator",
            missing_fields=missing,
            hint="kubectl apply -f manifests/crd.yaml (or helm upgrade with crds.enabled), then restart the operator",
        )
    return StatusSchemas(sandboxes=statuses.get("Sandbox"), pools=statuses.get("SandboxPool"))


def _schemas_of(document: Json, kind: str) -> Iterator[Schema]:
    """Yield the schemas of a kind of the group."""
    own = {"group": GROUP, "version": VERSION, "kind": kind}
    for schema in document["components"]["schemas"].values():
        if own in schema.get("x-kubernetes-group-version-kind", ()):
            yield schema
