"""The benchmarks count and compare what they say that they do."""

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
    ("count", "share", "wanted"), [(1, 0.99, 1), (50, 0.99, 50), (100, 0.99, 99), (100, 0.5, 50), (4, 0.0, 1)]
)
def test_a_quantile_is_a_value_that_was_measured(count: int, share: float, wanted: int) -> None:
    assert quantile([float(n) for n in range(count, 0, -1)], share) == wanted


def test_a_table_has_the_ratio_of_each_median_to_the_floors() -> None:
    lines = compared({"floor": [2.0, 2.0, 9.0], "caisson": [1.0, 3.0, 3.0]}, "floor").splitlines()
    assert lines[0].split() == ["n", "median", "[s]", "p99", "[s]", "min", "[s]", "max", "[s]", "x", "floor"]
    assert [line.split()[0] for line in lines[1:]] == ["floor", "caisson"]
    assert [line.split()[-1] for line in lines[1:]] == ["1.00", "1.50"]
    assert Spread.of([1.0, 3.0, 3.0]) == Spread(3.0, 3.0, 1.0, 3.0)


def test_the_floor_with_the_patience_of_beta9_is_the_floor_but_for_its_waiting() -> None:
    floor, patient = FLOOR.read_text(), script_as_beta9()
    gone, new = (set(a.splitlines()) - set(b.splitlines()) for a, b in ((floor, patient), (patient, floor)))
    assert len(gone) == 2
    assert all("usleep" in line for line in gone)
    assert any("timeout 2 docker" in line for line in new)
    subprocess.run(["sh", "-n"], input=patient, text=True, check=True)


def test_the_phases_of_a_start_add_up_to_all_of_it() -> None:
    at = "2026-03-01T12:00:{:09.6f}Z".format
    names = ("podCreatedAt", "scheduledAt", "runningAt", "scriptAnsweredAt", "dockerAnsweredAt", "readyAt")
    startup = {name: at(1 + number) for number, name in enumerate(names)}
    began = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()
    status = {"startup": startup, "docker": {"readyAfterMilliseconds": 750}}
    phases = phases_of(began, began + 6.5, status)
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


def test_requests_are_counted_once_by_what_they_were_for(tmp_path: Path) -> None:
    lines = [
        _event(1, "create", "pods"),
        _event(2, "create", "pods", uri="/api/v1/namespaces/a/pods?dryRun=All"),
        *[_event(3, "get", "pods", "exec")] * 2,  # it began, and it ended
        _event(4, "patch", "sandboxes", "status"),
        _event(5, "update", "leases"),
        _event(6, "watch", "pods"),
        _event(7, "create", "pods", second=20),
        _event(8, "create", "pods").replace(ACCOUNT, "somebody"),
    ]
    (tmp_path / "audit.log").write_text("\n".join(lines))
    begin, end = (datetime(2026, 3, 1, 12, 0, second, tzinfo=UTC) for second in (0, 10))
    found = audit.requests(begin, end, tmp_path)
    about_one = {"create pods": 1, "get pods/exec": 1, "patch sandboxes/status": 1}
    assert found == about_one | {"create pods (dry run)": 1, "update leases": 1, "watch pods": 1}
    assert audit.per_sandbox(found) == about_one
    assert audit.writes(found) == Counter({"create pods": 1, "patch sandboxes/status": 1})


def test_what_an_operator_adds_is_neither_the_schedulers_nor_the_nodes() -> None:
    names = [("scale-0", str(n)) for n in range(8)]
    figures = Figures(
        created=dict.fromkeys(names, 1.0),
        pod_made=dict.fromkeys(names, 1.25),
        pod_runs=dict.fromkeys(names, 9.0),
        ready={name: 9.5 + n for n, name in enumerate(names)},
        usage=[(float(second), 100.0, 2.0 * second) for second in range(20)],
    )
    assert figures.latencies()["operator-added"] == [0.75 + n for n in range(8)]
    assert figures.latencies()["request to Ready"] == [8.5 + n for n in range(8)]
    # The first quarter's CPU includes what came before it.
    assert figures.cpu_of_quarters() == [11.0, 2.0, 2.0, 2.0]


def test_the_simulated_node_tells_what_the_in_pod_script_tells() -> None:
    def told(command: str) -> bytes:
        argv = [str(SIMULATED / "busybox"), "sh", "/opt/caisson/libexec/sandbox", command, "--pod-uid", "x"]
        return subprocess.run(argv, capture_output=True, check=True).stdout

    started = parse_report(told("start"))
    assert isinstance(started.outcome, StartSucceeded)
    assert started.kernel == parse_report(told("verify")).kernel == "Linux version 4.19.0-gvisor"


def test_the_simulators_files_are_what_is_read_of_them() -> None:
    stages = list(yaml.safe_load_all((SIMULATED / "kwok.yaml").read_text()))
    assert [stage["kind"] for stage in stages] == ["Stage", "Stage", "Stage", "ClusterExec"]
    values = yaml.safe_load((CHECKOUT / VALUES).read_text())
    assert Sandboxes.model_validate(values["config"]["sandboxes"]).node_selector == {LABEL: "true"}


def test_an_operators_waits_are_those_between_two_looks_at_its_metrics() -> None:
    def series(count: int, slow: int) -> dict[str, float]:
        name, labels = "rest_client_request_duration_seconds", 'host="h",verb="PATCH"'
        below = {"0.01": count - slow, "0.5": count, "+Inf": count}
        found = {f'{name}_bucket{{host="h",le="{le}",verb="PATCH"}}': float(n) for le, n in below.items()}
        return found | {f"{name}_sum{{{labels}}}": 0.25 * count, f'{name}_sum{{host="h",verb="POST"}}': 99.0}

    assert waits(series(100, 100), series(300, 101))["a PATCH to the API server"] == (0.25, 0.01)
    assert waits(series(100, 0), series(300, 10))["a PATCH to the API server"] == (0.25, 0.5)
    assert waits({}, {})["wait for a worker"] == (0.0, 0.0)
