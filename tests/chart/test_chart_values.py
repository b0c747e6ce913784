"""Helm rejects invalid values and names their keys."""

from pathlib import Path

import pytest

from tests.chart.conftest import CHECKOUT, Helm

INVALID = {
    "text instead of a number": ("replicas=two", "'/replicas': got string, want integer"),
    "number below the minimum": ("config.workers=0", "'/config/workers': minimum: got 0, want 1"),
    "misspelled field": ("config.wokers=3", "'/config': additional properties 'wokers' not allowed"),
    "misspelled section": ("admissionPolicy.enabled=false", "'': additional properties 'admissionPolicy' not allowed"),
    "not an allowed value": ("admissionPolicies.guard=Some", "'/admissionPolicies/guard': value must be one of"),
    "number instead of a version": ("config.toolboxes[0].version=26", "'/config/toolboxes/0/version': got number"),
    "incomplete toolbox": ("config.toolboxes[0].version=a", "'/config/toolboxes/0': missing property 'image'"),
    "missing toolboxes": ("config.toolboxes=null", "'/config': missing property 'toolboxes'"),
    "invalid quantity": (
        "config.sandboxes.storage.maximum.memory=lots",
        "'/config/sandboxes/storage/maximum/memory': 'lots'",
    ),
    "invalid duration": (
        "config.sandboxes.lifetime.maximumSeconds=day",
        "'/config/sandboxes/lifetime/maximumSeconds': got",
    ),
    "invalid namespace": ("config.namespaces[0]=Team", "'/config/namespaces/0': 'Team' does not match"),
    "invalid CIDR": ("config.sandboxes.network.deniedEgress[0]=::1", "'/config/sandboxes/network/deniedEgress/0'"),
    "invalid label key": ("podLabels.a b=c", "'/podLabels': additional properties 'a b' not allowed"),
    "null": ("image=null", "'': missing property 'image'"),
}
"""The assignment, and helm's error message after `at`."""


@pytest.mark.parametrize("case", INVALID)
def test_invalid_value_is_rejected_by_name(helm: Helm, case: str) -> None:
    assignment, message = INVALID[case]
    assert f"at {message}" in helm.template_error("--set", assignment)


def test_all_invalid_values_are_reported_together(helm: Helm) -> None:
    message = helm.template_error("--set", "replicas=two,config.workers=0")
    assert "'/replicas'" in message
    assert "'/config/workers'" in message


def test_global_values_of_a_parent_chart_are_accepted(helm: Helm) -> None:
    assert helm.template("--set", "global.registry=registry.example")


@pytest.mark.parametrize("values", ["local/values.yaml", "tests/e2e/values.yaml"])
def test_values_files_of_this_repository_are_valid(helm: Helm, values: str) -> None:
    assert helm.template("--values", str(CHECKOUT / Path(values)))
