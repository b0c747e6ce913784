"""Where the time and the CPU of a run at scale go: the operator's own histograms, and the cluster's processes."""

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
    "one reconcile, its requests included": 'controller_runtime_reconcile_time_seconds{controller="sandbox"}',
    "a POST to the API server": 'rest_client_request_duration_seconds{verb="POST"}',
    "a PATCH to the API server": 'rest_client_request_duration_seconds{verb="PATCH"}',
}
_LABEL = re.compile(r'(\w+)="([^"]*)"')


async def scrape(api: Api) -> Series:
    """Read the operator's metrics; nothing where there is not just one that runs."""
    pods = await api.get(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector=_SELECTOR)
    running = [pod["metadata"]["name"] for pod in pods["items"] if pod["status"].get("phase") == "Running"]
    if len(running) != 1:
        return {}
    text = await api.text(f"/api/v1/namespaces/{NAMESPACE}/pods/{running[0]}:9090/proxy/metrics")
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, value in lines}


def waits(before: Series, after: Series) -> dict[str, tuple[float, float]]:
    """Return the mean of each wait of the operator's between two scrapes, and what 99 of 100 did not exceed.

    The second is the bound of a histogram's bucket, so it is rounded up.
    """
    return {what: _between(before, after, histogram) for what, histogram in _WAITS.items()}


def _between(before: Series, after: Series, histogram: str) -> tuple[float, float]:
    name, _, selector = histogram.partition("{")
    wanted = set(_LABEL.findall(selector))
    buckets: Counter[float] = Counter()
    total = 0.0
    for series, value in after.items():
        labels = dict(_LABEL.findall(series))
        if not wanted <= labels.items():
            continue
        grown = value - before.get(series, 0.0)
        if series.startswith(f"{name}_bucket{{"):
            buckets[math.inf if labels["le"] == "+Inf" else float(labels["le"])] += int(grown)
        elif series.startswith(f"{name}_sum{{"):
            total += grown
    count = max(buckets.values(), default=0)
    if not count:
        return 0.0, 0.0
    return total / count, min(bound for bound, below in buckets.items() if below >= 0.99 * count)


def cpu_by_process() -> dict[str, float]:
    """Return the CPU seconds that each program of the cluster has taken; those that have ended do not count."""
    taken: defaultdict[str, float] = defaultdict(float)
    for pid, command in processes(require_init(PATHS)).items():
        if command and (usage := _usage(pid)) is not None:
            taken[Path(command[0]).name] += usage.cpu_seconds
    return dict(taken)


def _usage(pid: int) -> Usage | None:
    try:
        return process_usage(pid)
    except OSError:  # it has ended in the meantime
        return None
