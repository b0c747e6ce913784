"""The Prometheus metrics of the operator, named as in controller-runtime and client-go if they have such a metric.

No label names a Sandbox, a pod or a namespace, and the values of every label are enumerated here or by the API, so that
input from users and sandboxes can't create more series.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter, time
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from caisson import __version__
from caisson.api.reasons import ConditionType, Reason
from caisson.api.status.sandbox import Origin
from caisson.status.startup import StartupPhase
from caisson.util.raw_object import raw_condition

Json = dict[str, Any]

CONTROLLERS = ("sandbox", "sandboxpool", "poolpod")
"""The label `controller` of controller-runtime's metrics, and `name` of the work queues'."""

_NO_REASON = "None"
_REASONS = frozenset(Reason)
_RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PHASE_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0)


class Metrics:
    """The metrics of one operator, in their own registry. All durations are in seconds."""

    def __init__(self) -> None:
        """Create every metric, and the series whose labels are known in advance."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Gauge("caisson_build_info", "The operator's version; the value is 1.", ["version"], registry=registry).labels(
            __version__
        ).set(1)

        by_controller = ["controller"]
        self._reconciles = Counter(
            "controller_runtime_reconcile", "Reconciles by result.", ["controller", "result"], registry=registry
        )
        self._errors = Counter(
            "controller_runtime_reconcile_errors", "Reconciles that failed.", by_controller, registry=registry
        )
        self._time = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconcile.",
            by_controller,
            buckets=_RECONCILE_BUCKETS,
            registry=registry,
        )
        self._active = Gauge("controller_runtime_active_workers", "Busy workers.", by_controller, registry=registry)
        self._workers = Gauge(
            "controller_runtime_max_concurrent_reconciles", "Workers.", by_controller, registry=registry
        )
        for controller in CONTROLLERS:
            for result in ("success", "error"):
                self._reconciles.labels(controller, result)
            for metric in (self._errors, self._time, self._active):
                metric.labels(controller)

        self._queues = _Queues(registry)

        self._requests = Counter(
            "rest_client_requests",
            "Requests to the API server, without those of kopf and exec; code is <error> if there was no response.",
            ["code", "method", "host"],
            registry=registry,
        )
        self._request_time = Histogram(
            "rest_client_request_duration_seconds",
            "Time until the API server began its response.",
            ["verb", "host"],
            registry=registry,
        )
        self._leading = Gauge(
            "leader_election_master_status", "1 if this operator holds the Lease.", ["name"], registry=registry
        )

        self._phases = Histogram(
            "caisson_phase_duration_seconds",
            "Duration of each phase of a start, as the operator observed it: schedule, pod, exec, dockerd, ready.",
            ["phase"],
            buckets=_PHASE_BUCKETS,
            registry=registry,
        )
        for phase in StartupPhase:
            self._phases.labels(phase)
        self._crashes = Counter("caisson_crashes", "Failures of dockerd by reason.", ["reason"], registry=registry)
        self._claims = Counter(
            "caisson_pool_claims",
            "Sandboxes with poolRef that got a pod, by its origin: Warm from the pool, Cold if the pool had none.",
            ["origin"],
            registry=registry,
        )
        for origin in Origin:
            self._claims.labels(origin)
        self.sessions = Gauge(
            "caisson_exec_sessions",
            "Exec sessions into sandboxes: open, or waiting for a slot.",
            ["state"],
            registry=registry,
        )
        for state in ("open", "waiting"):
            self.sessions.labels(state)
        self._watches = Gauge(
            "caisson_watch_last_event_timestamp_seconds",
            "Time of the last event of a watch, in seconds since the epoch.",
            ["watch"],
            registry=registry,
        )

    @contextmanager
    def reconciling(self, controller: str) -> Iterator[None]:
        """Measure one reconcile. An exception counts as an error, and propagates."""
        began = perf_counter()
        with self._active.labels(controller).track_inprogress():
            result = "error"
            try:
                yield
                result = "success"
            except Exception:
                self._errors.labels(controller).inc()
                raise
            finally:
                self._time.labels(controller).observe(perf_counter() - began)
                self._reconciles.labels(controller, result).inc()

    def has_workers(self, number: int) -> None:
        """Set the number of reconciles that may run at a time."""
        for controller in CONTROLLERS:
            self._workers.labels(controller).set(number)

    def queue(self, controller: str) -> "QueueMetrics":
        """Return the metrics of a controller's work queue."""
        return self._queues.of(controller)

    def requested(self, method: str, host: str, code: int | None, seconds: float) -> None:
        """Count a request to the API server; `code` is None if there was no response."""
        self._requests.labels("<error>" if code is None else str(code), method, host).inc()
        self._request_time.labels(method, host).observe(seconds)

    def leads(self, name: str, is_leader: Callable[[], bool]) -> None:
        """Report from now on whether this operator holds the Lease of this name."""
        self._leading.labels(name).set_function(lambda: float(is_leader()))

    def phase(self, phase: StartupPhase, seconds: float) -> None:
        """Count a completed phase of a start."""
        self._phases.labels(phase).observe(seconds)

    def crashed(self, reason: str) -> None:
        """Count a failure of dockerd."""
        self._crashes.labels(_as_label(reason)).inc()

    def claimed(self, origin: Origin) -> None:
        """Count a Sandbox that claimed a pod of its pool, or found none."""
        self._claims.labels(origin).inc()

    def delivered(self, watch: str) -> None:
        """Record that a watch, `pods` or `sandboxes`, delivered an event now."""
        self._watches.labels(watch).set(time())

    def holds(self, held_bytes: Callable[[], float], unreadable: Callable[[], Iterable[Reason]]) -> None:
        """Report at each scrape the bytes of the objects in memory, and why other objects are not read."""
        gauge = Gauge("caisson_objects_bytes", "Bytes of objects that the operator holds.", registry=self.registry)
        gauge.set_function(held_bytes)
        self.registry.register(_Unreadable(unreadable))

    def counts(self, reasons: Callable[[], Iterable[str]]) -> None:
        """Count the Sandboxes by reason at each scrape; `reasons` returns the `ready_reason` of every Sandbox."""
        self.registry.register(_SandboxCounts(reasons))


@dataclass(frozen=True)
class QueueMetrics:
    """The metrics of a work queue, named as in client-go."""

    depth: Gauge
    adds: Counter
    retries: Counter
    waited: Histogram
    worked: Histogram


class _Queues:
    def __init__(self, registry: CollectorRegistry) -> None:
        def own(kind: Any, name: str, text: str, **options: Any) -> Any:
            return kind(f"workqueue_{name}", text, ["name"], registry=registry, **options)

        self._depth = own(Gauge, "depth", "Objects that wait for a worker.")
        self._adds = own(Counter, "adds", "Additions to the queue.")
        self._retries = own(Counter, "retries", "Retries after a failure.")
        self._waited = own(
            Histogram,
            "queue_duration_seconds",
            "Time from the addition until a worker was free.",
            buckets=_RECONCILE_BUCKETS,
        )
        self._worked = own(
            Histogram,
            "work_duration_seconds",
            "Duration of the work on one object.",
            buckets=_RECONCILE_BUCKETS,
        )

    def of(self, controller: str) -> QueueMetrics:
        return QueueMetrics(
            *(m.labels(controller) for m in (self._depth, self._adds, self._retries, self._waited, self._worked))
        )


class _Unreadable(Collector):
    def __init__(self, unreadable: Callable[[], Iterable[Reason]]) -> None:
        self._unreadable = unreadable

    def collect(self) -> Iterable[GaugeMetricFamily]:
        counts = {Reason.OBJECT_TOO_LARGE: 0, Reason.NAMESPACE_OVER_LIMIT: 0}
        for reason in self._unreadable():
            counts[reason] += 1
        family = GaugeMetricFamily(
            "caisson_unreadable_objects",
            "Objects that are not read: too large, or over the limit of their namespace.",
            labels=["reason"],
        )
        for reason, count in counts.items():
            family.add_metric([reason], count)
        yield family


class _SandboxCounts(Collector):
    def __init__(self, reasons: Callable[[], Iterable[str]]) -> None:
        self._reasons = reasons

    def collect(self) -> Iterable[GaugeMetricFamily]:
        counts = dict.fromkeys((_NO_REASON, *map(str, Reason)), 0)
        for reason in self._reasons():
            counts[reason] += 1
        family = GaugeMetricFamily(
            "caisson_sandboxes", "Sandboxes by the reason of their condition Ready.", labels=["reason"]
        )
        for reason, count in counts.items():
            family.add_metric([reason], count)
        yield family


def ready_reason(sandbox: Json) -> str:
    """Return the reason of a Sandbox's condition Ready as the value of a label, None as a word if there is none."""
    return _as_label(raw_condition(sandbox, ConditionType.READY).get("reason"))


def _as_label(reason: object) -> str:
    """Return a reason as a label. Users who can write a status can write any text, which must not add a series."""
    return reason if isinstance(reason, str) and reason in _REASONS else _NO_REASON
