"""The comparison of the cluster's CRDs with those of this version."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from caisson.api.crd.comparison import without_missing_fields
from caisson.api.crd.definitions import pool_crd, sandbox_crd
from caisson.handlers import startup
from caisson.handlers.crd_check import compare_crds
from caisson.kube.client import KubeClient
from caisson.kube.errors import AnswerTooLarge, KubeUnreachable, kube_error
from caisson.status.patch import StatusSchemas
from tests.unit.operator.cluster.manifests import open_api_document

Json = dict[str, Any]


class Server:
    """Answers with its OpenAPI document, after some failures."""

    def __init__(self, *answers: Json | Exception) -> None:
        self.answers = list(answers)

    async def open_api(self, api_version: str) -> Json:
        assert api_version == "caisson.dev/v1alpha1"
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def compare(*answers: Json | Exception) -> tuple[StatusSchemas, list[Any]]:
    """Return what the comparison returns, and what it logs."""
    with capture_logs() as logs:
        schemas = await compare_crds(cast("KubeClient", Server(*answers)))
    return schemas, logs


def older(*paths: tuple[str, ...]) -> Json:
    """Return the document of CRDs without some fields; a path begins with the kind."""
    crds = {"Sandbox": sandbox_crd(), "SandboxPool": pool_crd()}
    for kind, *path, name in paths:
        schema = crds[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for step in path:
            schema = schema["items"] if step == "[]" else schema["properties"][step]
        del schema["properties"][name]
    return open_api_document(*crds.values())


async def test_nothing_is_reported_if_the_crds_have_every_field() -> None:
    assert await compare(older()) == (StatusSchemas(), [])


async def test_missing_fields_are_reported_once() -> None:
    answer = older(
        ("Sandbox", "spec", "docker", "registry"),
        ("Sandbox", "status", "startup"),
        ("Sandbox", "status", "conditions", "[]", "observedGeneration"),
        ("SandboxPool", "spec", "template", "spec", "ports"),
    )
    schemas, [entry] = await compare(answer)
    assert (entry["event"], entry["log_level"]) == ("the CRD is older than the operator", "warning")
    assert "kubectl apply -f manifests/crd.yaml" in entry["hint"]
    assert sorted(entry["missing_fields"]) == [
        "Sandbox.spec.docker.registry",
        "Sandbox.status.conditions[].observedGeneration",
        "Sandbox.status.startup",
        "SandboxPool.spec.template.spec.ports",
    ]
    assert schemas.pools is None, "the status of pools lacks nothing"
    assert schemas.sandboxes is not None
    status = {"podName": "demo", "startup": {}, "conditions": [{"type": "Ready", "observedGeneration": 1}]}
    assert without_missing_fields(status, schemas.sandboxes) == {"podName": "demo", "conditions": [{"type": "Ready"}]}


async def test_a_newer_crd_is_not_reported() -> None:
    answer = older()
    schema = answer["components"]["schemas"]["dev.caisson.v1alpha1.Sandbox"]
    schema["properties"]["status"]["properties"]["later"] = {"type": "string"}
    assert await compare(answer) == (StatusSchemas(), [])


def unknown_fields_kept(answer: Json) -> None:
    status = answer["components"]["schemas"]["dev.caisson.v1alpha1.Sandbox"]["properties"]["status"]
    status["x-kubernetes-preserve-unknown-fields"] = True


def pools_missing(answer: Json) -> None:
    del answer["components"]["schemas"]["dev.caisson.v1alpha1.SandboxPool"]


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        (unknown_fields_kept, ["SandboxPool.status.replicas"]),
        (pools_missing, ["Sandbox.status.startup"]),
    ],
)
async def test_only_what_the_server_prunes_is_reported(change: Callable[[Json], None], missing: list[str]) -> None:
    answer = older(("Sandbox", "status", "startup"), ("SandboxPool", "status", "replicas"))
    change(answer)
    _, [entry] = await compare(answer)
    assert entry["missing_fields"] == missing


@pytest.mark.parametrize(
    "answer",
    [
        kube_error("GET", 403, "Forbidden", "no"),
        AnswerTooLarge("too large"),
        {},
        {"components": None},
        {"components": {"schemas": {"x": None}}},
    ],
    ids=repr,
)
async def test_without_a_document_the_crds_count_as_complete(answer: Json | Exception) -> None:
    schemas, [entry] = await compare(answer)
    assert schemas == StatusSchemas()
    assert entry["log_level"] == "warning"


async def test_crds_that_are_not_installed_are_not_compared() -> None:
    assert await compare(kube_error("GET", 404, "NotFound", "no group")) == (StatusSchemas(), [])


async def test_the_comparison_waits_for_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup, "VERSION_RETRY_CEILING_SECONDS", 0.01)
    _, logs = await compare(KubeUnreachable("not yet"), older(("Sandbox", "status", "startup")))
    assert [entry["event"] for entry in logs] == ["CRDs not compared", "the CRD is older than the operator"]
