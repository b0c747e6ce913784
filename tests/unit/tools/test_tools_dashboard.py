"""What the dashboard and the alerts ask for is what the operator tells."""

import re
from pathlib import Path

from caisson.telemetry.metrics import Metrics
from tools.dashboard import PANELS

RULES = Path(__file__).parents[3] / "charts" / "caisson" / "templates" / "monitoring.yaml"
NAME = re.compile(r"\b(?:controller_runtime|workqueue|rest_client|leader_election|caisson|process)_[a-z_]+\b")
SUFFIXES = re.compile(r"_(bucket|sum|count|total)$")


def names(text: str) -> set[str]:
    """Return the metrics that an expression names, as their families are called."""
    return {SUFFIXES.sub("", name) for name in NAME.findall(text)}


def served() -> set[str]:
    """Return the families that an operator serves."""
    metrics = Metrics()
    metrics.counts(tuple)
    return {SUFFIXES.sub("", family.name) for family in metrics.registry.collect()}


def test_every_panel_asks_for_metrics_that_there_are() -> None:
    for panel in PANELS:
        for expression, _ in panel.queries:
            assert names(expression), expression
            assert names(expression) <= served(), expression


def test_every_metric_of_ours_has_a_panel() -> None:
    shown = {name for panel in PANELS for expression, _ in panel.queries for name in names(expression)}
    ours = {name for name in served() if name.startswith("caisson_")}
    assert ours - shown == {"caisson_build_info"}


def test_every_alert_asks_for_metrics_that_there_are() -> None:
    lines = [line for line in RULES.read_text().splitlines() if NAME.search(line)]
    asked = set().union(*map(names, lines))
    assert len(asked) >= 5
    assert asked <= served()
