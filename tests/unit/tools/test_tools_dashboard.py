"""The dashboard and the alerts use only metrics that the operator exports."""

import re
from pathlib import Path

from caisson.telemetry.metrics import Metrics
from tools.dashboard import PANELS

RULES = Path(__file__).parents[3] / "charts" / "caisson" / "templates" / "monitoring.yaml"
NAME = re.compile(r"\b(?:controller_runtime|workqueue|rest_client|leader_election|caisson|process)_[a-z_]+\b")
SUFFIXES = re.compile(r"_(bucket|sum|count|total)$")


def names(text: str) -> set[str]:
    """Return the metric families of an expression."""
    return {SUFFIXES.sub("", name) for name in NAME.findall(text)}


def exported() -> set[str]:
    """Return the metric families that the operator exports."""
    metrics = Metrics()
    metrics.counts(tuple)
    return {SUFFIXES.sub("", family.name) for family in metrics.registry.collect()}


def test_every_panel_uses_exported_metrics() -> None:
    for panel in PANELS:
        for expression, _ in panel.queries:
            assert names(expression), expression
            assert names(expression) <= exported(), expression


def test_every_caisson_metric_has_a_panel() -> None:
    in_panels = {name for panel in PANELS for expression, _ in panel.queries for name in names(expression)}
    ours = {name for name in exported() if name.startswith("caisson_")}
    assert ours - in_panels == {"caisson_build_info"}


def test_every_alert_uses_exported_metrics() -> None:
    lines = [line for line in RULES.read_text().splitlines() if NAME.search(line)]
    used = set().union(*map(names, lines))
    assert len(used) >= 5
    assert used <= exported()
