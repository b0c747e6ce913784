"""Wrong values: helm refuses them, and names them."""

from pathlib import Path

import pytest

from tests.chart.conftest import CHECKOUT, Helm

WRONG = {
    "a word for a number": ("replicas=two", "'/replicas': got string, want integer"),
    "a number below its least": ("config.workers=0", "'/config/workers': minimum: got 0, want 1"),
    "a misspelt field": ("config.wokers=3", "'/config': additional properties 'wokers' not allowed"),
    "a misspelt value": ("admissionPolicy.enabled=false", "'': additional properties 'admissionPolicy' not allowed"),
    "none of the choices": ("admissionPolicies.guard=Some", "'/admissionPolicies/guard': value must be one of"),
    "a number for a version": ("config.toolboxes[0].version=26", "'/config/toolboxes/0/version': got number"),
    "a part of a toolbox": ("config.toolboxes[0].version=a", "'/config/toolboxes/0': missing property 'image'"),
    "no toolbox": ("config.toolboxes=null", "'/config': missing property 'toolboxes'"),
    "no amount": ("config.sandboxes.storage.maximum.memory=lots", "'/config/sandboxes/storage/maximum/memory': 'lots'"),
    "no time": ("config.sandboxes.lifetime.maximumSeconds=day", "'/config/sandboxes/lifetime/maximumSeconds': got"),
    "no name of a namespace": ("config.namespaces[0]=Team", "'/config/namespaces/0': 'Team' does not match"),
    "no range": ("config.sandboxes.network.deniedEgress[0]=::1", "'/config/sandboxes/network/deniedEgress/0'"),
    "no key of a label": ("podLabels.a b=c", "'/podLabels': additional properties 'a b' not allowed"),
    "nothing": ("image=null", "'': missing property 'image'"),
}
"""What is set, and what helm says of it, after `at`."""


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_refused_by_its_name(helm: Helm, case: str) -> None:
    assignment, said = WRONG[case]
    assert f"at {said}" in helm.refusal("--set", assignment)


def test_all_wrong_values_are_told_at_once(helm: Helm) -> None:
    said = helm.refusal("--set", "replicas=two,config.workers=0")
    assert "'/replicas'" in said
    assert "'/config/workers'" in said


def test_values_of_a_parent_chart_are_let_through(helm: Helm) -> None:
    assert helm.template("--set", "global.registry=registry.example")


@pytest.mark.parametrize("values", ["local/values.yaml", "tests/e2e/values.yaml"])
def test_the_values_of_this_repository_are_right(helm: Helm, values: str) -> None:
    assert helm.template("--values", str(CHECKOUT / Path(values)))
