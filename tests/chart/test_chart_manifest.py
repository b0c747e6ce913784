"""manifests/install.yaml, for installation with kubectl, matches the chart."""

from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHECKOUT, Helm
from tools.manifest import OUTPUT, manifest

Key = tuple[str, str, str]


def keyed(objects: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Return objects by kind, namespace and name."""
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects if o}


@pytest.fixture(scope="session")
def manifest_objects() -> dict[Key, dict[str, Any]]:
    """The objects of manifests/install.yaml."""
    return keyed(list(yaml.safe_load_all(OUTPUT.read_text(encoding="utf-8"))))


def test_manifest_is_up_to_date(helm: Helm) -> None:
    assert OUTPUT.read_text(encoding="utf-8") == manifest(helm.path), "run: make generate"


def test_manifest_and_crds_contain_every_object_of_the_chart(
    helm: Helm, manifest_objects: dict[Key, dict[str, Any]]
) -> None:
    crds = keyed(list(yaml.safe_load_all((CHECKOUT / "manifests" / "crd.yaml").read_text(encoding="utf-8"))))
    chart = keyed(helm.template("--skip-tests"))
    assert set(manifest_objects) | set(crds) == set(chart) | {("Namespace", "", "caisson-system")}
    for key, expected in chart.items():
        if key in manifest_objects:
            expected["metadata"]["labels"].pop("app.kubernetes.io/managed-by")
            if key[0] == "Deployment":
                expected["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/managed-by")
            assert manifest_objects[key] == expected


def test_manifest_contains_no_crds(manifest_objects: dict[Key, dict[str, Any]]) -> None:
    assert not [key for key in manifest_objects if key[0] == "CustomResourceDefinition"]


def test_manifest_contains_no_helm_hooks(manifest_objects: dict[Key, dict[str, Any]]) -> None:
    for key, obj in manifest_objects.items():
        assert not [a for a in obj["metadata"].get("annotations", ()) if a.startswith("helm.sh/hook")], key
