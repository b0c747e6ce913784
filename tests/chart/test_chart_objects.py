"""The rendered objects are valid according to Kubernetes' schemas."""

from pathlib import Path

import pytest
import yaml

from tests.chart.conftest import CASES, CHART, CHECKOUT, Helm, Tool, local
from tests.chart.schemas import LOCATION, write_builtins, write_custom

FOREIGN = "ServiceMonitor,PrometheusRule"
"""Kinds of the Prometheus operator, for which Kubernetes has no schemas."""


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the schemas of all kinds of Kubernetes and Caisson."""
    output = tmp_path_factory.mktemp("schemas")
    write_builtins(local("openapi"), output)
    for crd in yaml.safe_load_all((CHECKOUT / "manifests" / "crd.yaml").read_text(encoding="utf-8")):
        write_custom(crd, output)
    return output


def check(kubeconform: Tool, schemas: Path, text: str) -> str:
    """Return the errors that kubeconform reports."""
    options = ("-strict", "-output", "text", "-skip", FOREIGN, "-schema-location", f"{schemas}/{LOCATION}")
    result = kubeconform.run(*options, "-", stdin=text)
    assert (result.returncode == 0) == (not result.stdout), result.stderr
    return result.stdout


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_helm_lint_accepts_the_chart(helm: Helm, values: Path) -> None:
    helm.output("lint", "--strict", str(CHART), "--values", str(values))


@pytest.mark.parametrize("values", CASES, ids=lambda path: path.stem)
def test_every_object_is_valid(helm: Helm, kubeconform: Tool, schemas: Path, values: Path) -> None:
    rendered = helm.output("template", "caisson", str(CHART), "--namespace", "caisson-system", "--values", str(values))
    assert check(kubeconform, schemas, rendered) == ""


def test_the_cases_render_every_template(helm: Helm) -> None:
    rendered = "".join(helm.output("template", "caisson", str(CHART), "--values", str(values)) for values in CASES)
    templates = {path.name for path in (CHART / "templates").rglob("*.yaml")}
    assert {name for name in templates if f"/{name}\n" in rendered} == templates


@pytest.mark.parametrize("path", sorted((CHECKOUT / "manifests").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_manifest_is_valid(kubeconform: Tool, schemas: Path, path: Path) -> None:
    assert check(kubeconform, schemas, path.read_text(encoding="utf-8")) == ""


@pytest.mark.parametrize(
    ("invalid", "message"),
    [
        ({"spec": {"replica": 1}}, "'replica' not allowed"),
        ({"spec": {"template": {"spec": {"containers": [{"name": "a", "privileged": True}]}}}}, "'privileged' not"),
        ({"spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}}, "missing property 'name'"),
        ({"spec": {"replicas": "two"}}, "got string, want integer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_schemas_reject_invalid_objects(
    kubeconform: Tool, schemas: Path, invalid: dict[str, object], message: str
) -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}} | invalid
    assert message in check(kubeconform, schemas, yaml.safe_dump(deployment))
