"""The Grafana dashboard, from a list of its panels. `charts/caisson/files/dashboard.json` comes from here."""

from dataclasses import dataclass
from typing import Any

from caisson.status.startup import StartupPhase

Json = dict[str, Any]

_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One graph: PromQL expressions, each with the legend of its series."""

    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    stacked: bool = False


def _quantiles(histogram: str, by: str = "") -> tuple[tuple[str, str], ...]:
    labels, legend = ("le", "") if not by else (f"le, {by}", f"{{{{{by}}}}} ")
    return tuple(
        (f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[$__rate_interval])))", f"{legend}p{p}")
        for q, p in ((0.5, 50), (0.99, 99))
    )


def _mean(histogram: str, selector: str) -> str:
    total, count = (f"sum(rate({histogram}_{part}{{{selector}}}[$__rate_interval]))" for part in ("sum", "count"))
    return f"{total} / {count}"


# Each operator counts all Sandboxes, hence max; what it did itself is summed.
PANELS = (
    Panel(
        "Sandboxes",
        "How many there are, by the reason of their condition Ready.",
        "short",
        (("max by (reason) (caisson_sandboxes) > 0", "{{reason}}"),),
        stacked=True,
    ),
    Panel(
        "Crashes of dockerd",
        "Failures in a minute, by reason. The reference of reasons says what to do.",
        "short",
        (("sum by (reason) (rate(caisson_crashes_total[$__rate_interval])) * 60", "{{reason}}"),),
        stacked=True,
    ),
    Panel(
        "Pools",
        "Sandboxes in a minute that got a pod from their pool, and that found none there and were started.",
        "short",
        (("sum by (origin) (rate(caisson_pool_claims_total[$__rate_interval])) * 60", "{{origin}}"),),
        stacked=True,
    ),
    Panel(
        "Startup, phase by phase",
        "The mean of each phase, the first at the bottom. They follow one another: the top is how long a start takes.",
        "s",
        # A query each, because the series of one query would be stacked by name.
        tuple((_mean("caisson_phase_duration_seconds", f'phase="{phase}"'), str(phase)) for phase in StartupPhase),
        stacked=True,
    ),
    Panel(
        "Startup, the slow ones",
        "Half of all starts, and 99 of 100, took no longer in each phase.",
        "s",
        _quantiles("caisson_phase_duration_seconds", "phase"),
    ),
    Panel(
        "Exec sessions",
        "Open ones, and those that wait for their turn: see config.sessions and config.startsPerNode.",
        "short",
        (("sum by (state) (caisson_exec_sessions)", "{{state}}"),),
    ),
    Panel(
        "Who leads",
        "1 where an operator holds the lease. Without leader election each of them leads.",
        "short",
        (("leader_election_master_status", "{{pod}}"),),
    ),
    Panel(
        "Reconciles",
        "Looks at Sandboxes in a second, by result.",
        "ops",
        (
            (
                'sum by (result) (rate(controller_runtime_reconcile_total{controller="sandbox"}[$__rate_interval]))',
                "{{result}}",
            ),
        ),
    ),
    Panel(
        "Time of a reconcile",
        "With its requests to the API server.",
        "s",
        _quantiles("controller_runtime_reconcile_time_seconds"),
    ),
    Panel(
        "Queue",
        "Sandboxes that wait for a worker, and workers that are busy.",
        "short",
        (
            ('sum(workqueue_depth{name="sandbox"})', "waiting"),
            ('sum(controller_runtime_active_workers{controller="sandbox"})', "busy"),
            ('max(controller_runtime_max_concurrent_reconciles{controller="sandbox"})', "workers"),
        ),
    ),
    Panel("Time in the queue", "Until a worker was free.", "s", _quantiles("workqueue_queue_duration_seconds")),
    Panel(
        "Requests to the API server",
        "In a second, by method and answer.",
        "ops",
        (("sum by (method, code) (rate(rest_client_requests_total[$__rate_interval]))", "{{method}} {{code}}"),),
    ),
    Panel(
        "Time of a request",
        "Until the API server began its answer.",
        "s",
        _quantiles("rest_client_request_duration_seconds", "verb"),
    ),
    Panel(
        "Silence of the watches",
        "Since a watch last delivered anything; idle clusters are silent.",
        "s",
        (("time() - caisson_watch_last_event_timestamp_seconds", "{{pod}} {{watch}}"),),
    ),
    Panel(
        "Memory",
        "Resident memory of each operator.",
        "bytes",
        (('process_resident_memory_bytes{job=~".*caisson.*"}', "{{pod}}"),),
    ),
    Panel(
        "CPU",
        "Cores that each operator uses.",
        "short",
        (('rate(process_cpu_seconds_total{job=~".*caisson.*"}[$__rate_interval])', "{{pod}}"),),
    ),
)


def dashboard() -> Json:
    """Return the dashboard, as Grafana imports it."""
    return {
        "description": "Generated by `make generate` from tools/dashboard.py. Edit the panels there instead.",
        "title": "Caisson",
        "uid": "caisson",
        "tags": ["caisson"],
        "editable": True,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel) -> Json:
    row, column = divmod(number, _COLUMNS)
    custom = {"fillOpacity": 20 if panel.stacked else 0, "stacking": {"mode": "normal" if panel.stacked else "none"}}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _DATASOURCE, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.queries)
        ],
    }
