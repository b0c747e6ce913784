"""The kubectl path: manifests/install.yaml is what the chart renders."""

from typing import Any

import pytest
import yaml

from tests.chart.conftest import CHECKOUT, Helm
from tools.manifest import OUTPUT, manifest

Key = tuple[str, str, str]


def keyed(objects: list[dict[str, Any]]) -> dict[Key, dict[str, Any]]:
    """Return objects by what identifies them."""
    return {(o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects if o}


@pytest.fixture(scope="session")
def installed() -> dict[Key, dict[str, Any]]:
    """The objects of manifests/install.yaml."""
    return keyed(list(yaml.safe_load_all(OUTPUT.read_text(encoding="utf-8"))))


def test_it_is_up_to_date(helm: Helm) -> None:
    assert OUTPUT.read_text(encoding="utf-8") == manifest(helm.path), "run: make generate"


def test_it_and_the_crds_are_all_that_the_chart_installs(helm: Helm, installed: dict[Key, dict[str, Any]]) -> None:
    crds = keyed(list(yaml.safe_load_all((CHECKOUT / "manifests" / "crd.yaml").read_text(encoding="utf-8"))))
    chart = keyed(helm.template("--skip-tests"))
    assert set(installed) | set(crds) == set(chart) | {("Namespace", "", "caisson-system")}
    for key, wanted in chart.items():
        if key in installed:
            wanted["metadata"]["labels"].pop("app.kubernetes.io/managed-by")
            if key[0] == "Deployment":
                wanted["spec"]["template"]["metadata"]["labels"].pop("app.kubernetes.io/managed-by")
            assert installed[key] == wanted


def test_deleting_it_deletes_no_sandboxes(installed: dict[Key, dict[str, Any]]) -> None:
    assert not [key for key in installed if key[0] == "CustomResourceDefinition"]


def test_nothing_in_it_waits_for_helm(installed: dict[Key, dict[str, Any]]) -> None:
    for key, found in installed.items():
        assert not [a for a in found["metadata"].get("annotations", ()) if a.startswith("helm.sh/hook")], key
