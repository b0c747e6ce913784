"""The calculations of the benchmarks, and the files that they share with the product."""

import json
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from benchmarks import audit
from benchmarks.attribution import waits
from benchmarks.byhand import script_as_beta9
from benchmarks.cluster import CHECKOUT
from benchmarks.cold import phases_of
from benchmarks.figures import Spread, compared, quantile
from benchmarks.scale import Figures
from benchmarks.simulator import LABEL, VALUES
from caisson.config.sandboxes import Sandboxes
from caisson.model.report import StartSucceeded, parse_report

FLOOR = CHECKOUT / "benchmarks" / "floor.sh"
SIMULATED = CHECKOUT / "benchmarks" / "simulated"
ACCOUNT = "system:serviceaccount:caisson-system:caisson"


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(1, 0.99, 1), (50, 0.99, 50), (100, 0.99, 99), (100, 0.5, 50), (4, 0.0, 1)]
)
def test_quantile_is_one_of_the_values(count: int, share: float, expected: int) -> None:
    assert quantile([float(n) for n in range(count, 0, -1)], share) == expected


def test_table_contains_the_ratio_of_each_median_to_the_floor() -> None:
    lines = compared({"floor": [2.0, 2.0, 9.0], "caisson": [1.0, 3.0, 3.0]}, "floor").splitlines()
    assert lines[0].split() == ["n", "median", "[s]", "p99", "[s]", "min", "[s]", "max", "[s]", "x", "floor"]
    assert [line.split()[0] for line in lines[1:]] == ["floor", "caisson"]
    assert [line.split()[-1] for line in lines[1:]] == ["1.00", "1.50"]
    assert Spread.of([1.0, 3.0, 3.0]) == Spread(3.0, 3.0, 1.0, 3.0)


def test_script_as_beta9_differs_only_in_polling() -> None:
    floor, beta9 = FLOOR.read_text(), script_as_beta9()
    removed, added = (set(a.splitlines()) - set(b.splitlines()) for a, b in ((floor, beta9), (beta9, floor)))
    assert len(removed) == 2
    assert all("usleep" in line for line in removed)
    assert any("timeout 2 docker" in line for line in added)
    subprocess.run(["sh", "-n"], input=beta9, text=True, check=True)


def test_phases_cover_the_whole_start() -> None:
    at = "2026-03-01T12:00:{:09.6f}Z".format
    names = ("podCreatedAt", "scheduledAt", "runningAt", "scriptAnsweredAt", "dockerAnsweredAt", "readyAt")
    startup = {name: at(1 + number) for number, name in enumerate(names)}
    created = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    status = {"startup": startup, "docker": {"readyAfterMilliseconds": 750}}
    phases = phases_of(created, created + 6.5, status)
    assert list(phases.values()) == pytest.approx([1, 1, 1, 1, 0.25, 0.75, 1, 0.5])


def _event(number: int, verb: str, resource: str, sub: str = "", second: int = 5, uri: str = "") -> str:
    return json.dumps(
        {
            "auditID": str(number),
            "verb": verb,
            "user": {"username": ACCOUNT},
            "objectRef": {"resource": resource} | ({"subresource": sub} if sub else {}),
            "requestURI": uri,
            "requestReceivedTimestamp": f"2026-03-01T12:00:{second:02}.000000Z",
        }
    )


def test_each_request_is_counted_once_by_verb_and_resource(tmp_path: Path) -> None:
    lines = [
        _event(1, "create", "pods"),
        _event(2, "create", "pods", uri="/api/v1/namespaces/a/pods?dryRun=All"),
        *[_event(3, "get", "pods", "exec")] * 2,  # two audit stages of one request
        _event(4, "patch", "sandboxes", "status"),
        _event(5, "update", "leases"),
        _event(6, "watch", "pods"),
        _event(7, "create", "pods", second=20),
        _event(8, "create", "pods").replace(ACCOUNT, "somebody"),
    ]
    (tmp_path / "audit.log").write_text("\n".join(lines))
    begin, end = (datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC) for second in (0, 10))
    counts = audit.requests(begin, end, tmp_path)
    of_sandboxes = {"create pods": 1, "get pods/exec": 1, "patch sandboxes/status": 1}
    assert counts == of_sandboxes | {"create pods (dry run)": 1, "update leases": 1, "watch pods": 1}
    assert audit.per_sandbox(counts) == of_sandboxes
    assert audit.writes(counts) == Counter({"create pods": 1, "patch sandboxes/status": 1})


def test_operator_latency_excludes_the_scheduler_and_the_node() -> None:
    names = [("scale-0", str(n)) for n in range(8)]
    figures = Figures(
        created=dict.fromkeys(names, 1.0),
        pod_created=dict.fromkeys(names, 1.25),
        pod_running=dict.fromkeys(names, 9.0),
        ready={name: 9.5 + n for n, name in enumerate(names)},
        usage=[(float(second), 100.0, 2.0 * second) for second in range(20)],
    )
    assert figures.latencies()["operator-added"] == [0.75 + n for n in range(8)]
    assert figures.latencies()["request to Ready"] == [8.5 + n for n in range(8)]
    # The CPU of the first quarter includes the time before it.
    assert figures.cpu_of_quarters() == [11.0, 2.0, 2.0, 2.0]


def test_simulated_node_prints_reports_of_the_in_pod_script() -> None:
    def report(command: str) -> bytes:
        argv = [str(SIMULATED / "busybox"), "sh", "/opt/caisson/libexec/sandbox", command, "--pod-uid", "x"]
        return subprocess.run(argv, capture_output=True, check=True).stdout

    started = parse_report(report("start"))
    assert isinstance(started.outcome, StartSucceeded)
    assert started.kernel == parse_report(report("verify")).kernel == "Linux version 4.19.0-gvisor"


def test_files_of_the_simulator_are_valid() -> None:
    stages = list(yaml.safe_load_all((SIMULATED / "kwok.yaml").read_text()))
    assert [stage["kind"] for stage in stages] == ["Stage", "Stage", "Stage", "ClusterExec"]
    values = yaml.safe_load((CHECKOUT / VALUES).read_text())
    assert Sandboxes.model_validate(values["config"]["sandboxes"]).node_selector == {LABEL: "true"}


def test_waits_are_computed_between_two_scrapes() -> None:
    def series(count: int, slow: int) -> dict[str, float]:
        name, labels = "rest_client_request_duration_seconds", 'host="h",verb="PATCH"'
        buckets = {"0.01": count - slow, "0.5": count, "+Inf": count}
        families = {f'{name}_bucket{{host="h",le="{le}",verb="PATCH"}}': float(n) for le, n in buckets.items()}
        return families | {f"{name}_sum{{{labels}}}": 0.25 * count, f'{name}_sum{{host="h",verb="POST"}}': 99.0}

    assert waits(series(100, 100), series(300, 101))["a PATCH to the API server"] == (0.25, 0.01)
    assert waits(series(100, 0), series(300, 10))["a PATCH to the API server"] == (0.25, 0.5)
    assert waits({}, {})["wait for a worker"] == (0.0, 0.0)
