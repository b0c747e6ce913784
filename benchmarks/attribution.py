"""Attribute the time and CPU of the scale benchmark, by the operator's histograms and the cluster's processes."""

import math
import re
from collections import Counter, defaultdict
from pathlib import Path

from benchmarks.client import Api
from benchmarks.cluster import PATHS, Usage, process_usage
from local.namespaces import processes, require_init
from local.operator import NAMESPACE, RELEASE

Series = dict[str, float]

_SELECTOR = f"app.kubernetes.io/name=caisson,app.kubernetes.io/instance={RELEASE}"
_WAITS = {
    "wait for a worker": 'workqueue_queue_duration_seconds{name="sandbox"}',
    "one reconcile, including its requests": 'controller_runtime_reconcile_time_seconds{controller="sandbox"}',
    "a POST to the API server": 'rest_client_request_duration_seconds{verb="POST"}',
    "a PATCH to the API server": 'rest_client_request_duration_seconds{verb="PATCH"}',
}
_LABEL = re.compile(r'(\w+)="([^"]*)"')


async def scrape(api: Api) -> Series:
    """Return the operator's metrics. Empty unless exactly one operator is running."""
    pods = await api.get(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=_SELECTOR)
    running = [pod["metadata"]["name"] for pod in pods["items"] if pod["status"].get("phase") == "Running"]
    if len(running) != 1:
        return {}
    text = await api.text(f"/api/v1/namespaces/{NAMESPACE}/pods/{running[0]}:9090/proxy/metrics")
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, value in lines}


def reconciles(series: Series) -> float:
    """Return the number of reconciles of all controllers since the operator started."""
    return sum(value for name, value in series.items() if name.startswith("controller_runtime_reconcile_total{"))


def waits(before: Series, after: Series) -> dict[str, tuple[float, float]]:
    """Return the mean and the 99th percentile of each wait of the operator between two scrapes, in seconds.

    The percentile is the upper bound of a histogram bucket, so it is rounded up.
    """
    return {wait: _between(before, after, histogram) for wait, histogram in _WAITS.items()}


def _between(before: Series, after: Series, histogram: str) -> tuple[float, float]:
    name, _, selector = histogram.partition("{")
    required_labels = set(_LABEL.findall(selector))
    buckets: Counter[float] = Counter()
    total = 0.0
    for series, value in after.items():
        labels = dict(_LABEL.findall(series))
        if not required_labels <= labels.items():
            continue
        increase = value - before.get(series, 0.0)
        if series.startswith(f"{name}_bucket{{"):
            buckets[math.inf if labels["le"] == "+Inf" else float(labels["le"])] += int(increase)
        elif series.startswith(f"{name}_sum{{"):
            total += increase
    count = max(buckets.values(), default=0)
    if not count:
        return 0.0, 0.0
    return total / count, min(bound for bound, below in buckets.items() if below >= 0.99 * count)


def cpu_by_process() -> dict[str, float]:
    """Return the CPU seconds that each program of the cluster has used, excluding processes that have ended."""
    cpu_seconds: defaultdict[str, float] = defaultdict(float)
    for pid, command in processes(require_init(PATHS)).items():
        if command and (usage := _usage(pid)) is not None:
            cpu_seconds[Path(command[0]).name] += usage.cpu_seconds
    return dict(cpu_seconds)


def _usage(pid: int) -> Usage | None:
    try:
        return process_usage(pid)
    except OSError:  # the process has ended
        return None
