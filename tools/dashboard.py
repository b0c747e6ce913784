"""The Grafana dashboard, `charts/caisson/files/dashboard.json`, from a list of its panels."""

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


# Each operator counts all Sandboxes, hence max. Operations of each operator are summed.
PANELS = (
    Panel(
        "Sandboxes",
        "The number of Sandboxes, by the reason of their condition Ready.",
        "short",
        (("max by (reason) (caisson_sandboxes) > 0", "{{reason}}"),),
        stacked=True,
    ),
    Panel(
        "Crashes of dockerd",
        "Failures per minute, by reason. docs/troubleshooting.md explains each reason.",
        "short",
        (("sum by (reason) (rate(caisson_crashes_total[$__rate_interval])) * 60", "{{reason}}"),),
        stacked=True,
    ),
    Panel(
        "Pools",
        "Sandboxes per minute that got a pod from their pool (Warm), or found none (Cold).",
        "short",
        (("sum by (origin) (rate(caisson_pool_claims_total[$__rate_interval])) * 60", "{{origin}}"),),
        stacked=True,
    ),
    Panel(
        "Startup by phase",
        "The mean of each phase, the first at the bottom. The phases are consecutive: the top is the whole start.",
        "s",
        # One query per phase, because the series of one query would be stacked by name.
        tuple((_mean("caisson_phase_duration_seconds", f'phase="{phase}"'), str(phase)) for phase in StartupPhase),
        stacked=True,
    ),
    Panel(
        "Startup percentiles",
        "The median and the 99th percentile of each phase.",
        "s",
        _quantiles("caisson_phase_duration_seconds", "phase"),
    ),
    Panel(
        "Exec sessions",
        "Open and waiting sessions: see config.sessions and config.startsPerNode.",
        "short",
        (("sum by (state) (caisson_exec_sessions)", "{{state}}"),),
    ),
    Panel(
        "Leader",
        "1 for the operator that holds the Lease. Without leader election, each operator leads.",
        "short",
        (("leader_election_master_status", "{{pod}}"),),
    ),
    Panel(
        "Reconciles",
        "Reconciles of Sandboxes per second, by result.",
        "ops",
        (
            (
                'sum by (result) (rate(controller_runtime_reconcile_total{controller="sandbox"}[$__rate_interval]))',
                "{{result}}",
            ),
        ),
    ),
    Panel(
        "Reconcile duration",
        "Including requests to the API server.",
        "s",
        _quantiles("controller_runtime_reconcile_time_seconds"),
    ),
    Panel(
        "Queue",
        "Sandboxes that wait for a worker, and busy workers.",
        "short",
        (
            ('sum(workqueue_depth{name="sandbox"})', "waiting"),
            ('sum(controller_runtime_active_workers{controller="sandbox"})', "busy"),
            ('max(controller_runtime_max_concurrent_reconciles{controller="sandbox"})', "workers"),
        ),
    ),
    Panel("Time in the queue", "Time until a worker was free.", "s", _quantiles("workqueue_queue_duration_seconds")),
    Panel(
        "Requests to the API server",
        "Requests per second, by method and response code.",
        "ops",
        (("sum by (method, code) (rate(rest_client_requests_total[$__rate_interval]))", "{{method}} {{code}}"),),
    ),
    Panel(
        "Request duration",
        "Time until the API server began its response.",
        "s",
        _quantiles("rest_client_request_duration_seconds", "verb"),
    ),
    Panel(
        "Time since the last watch event",
        "Time since a watch last delivered an event. Idle clusters have no events.",
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
