"""The timeline of a start in the status: ordered, exact if observed, and stable once written."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from caisson.api.status.sandbox import SandboxStatus
from caisson.api.status.startup import Startup
from caisson.model.observed import ObservedState
from caisson.model.report import Report
from caisson.status.patch import as_json
from caisson.status.startup import StartupTimer
from caisson.util.merge_patch import merge_patch
from tests.unit.operator.builders import (
    KERNEL,
    NOW,
    POD_UID,
    after,
    choose,
    crashed_sandbox,
    make_pod,
    make_sandbox,
    pending_pod,
    plain,
    ready_report,
    ready_sandbox,
    reported,
    written,
)
from tests.unit.operator.cluster.cluster import Cluster

NAMES = tuple(Startup.model_fields)


def moments(startup: Startup | None) -> list[datetime]:
    """Return the times that are set, in the order of the fields."""
    assert startup is not None
    return [moment for name in NAMES if (moment := getattr(startup, name)) is not None]


async def test_two_writes_contain_the_timeline_of_a_normal_start(cluster: Cluster) -> None:
    cluster.executor.first_line_seconds = 0.5
    cluster.executor.hold("demo")
    cluster.apply_sandbox()
    await cluster.advance(1.25)
    cluster.kubelet.waits("demo", "ContainerCreating")
    await cluster.advance(1.5)
    cluster.kubelet.runs("demo")
    await cluster.advance(1)
    cluster.executor.release("demo")
    await cluster.advance(60)
    first, second = (request.body or {} for request in cluster.requests("PATCH", "sandboxes/demo/status"))
    assert list(first["status"]["startup"]) == ["podCreatedAt"]
    later = {"scheduledAt", "runningAt", "scriptAnsweredAt", "dockerAnsweredAt", "readyAt"}
    assert set(second["status"]["startup"]) == later
    startup = Startup.model_validate(cluster.sandbox()["status"]["startup"])
    assert startup == Startup(
        pod_created_at=NOW,
        scheduled_at=after(1.25),
        running_at=after(2.75),
        script_answered_at=after(3.25),
        docker_answered_at=after(3.75),
        ready_at=after(3.75),
    )


async def test_restarted_operator_keeps_times_and_adds_those_of_the_pod(cluster: Cluster) -> None:
    # The times of the pod are in whole seconds.
    await cluster.advance(0.5)
    cluster.apply_sandbox()
    await cluster.advance(1)
    cluster.kubelet.waits("demo", "ContainerCreating")
    await cluster.advance(60)
    first = cluster.sandbox()["status"]["startup"]
    assert Startup.model_validate(first) == Startup(pod_created_at=after(0.5), scheduled_at=after(1.5))
    await cluster.restart_operator()
    cluster.kubelet.runs("demo")
    await cluster.settle()
    startup = cluster.sandbox()["status"]["startup"]
    assert first.items() <= startup.items()
    # The response of the script was not observed.
    assert list(startup) == ["podCreatedAt", "scheduledAt", "runningAt", "dockerAnsweredAt", "readyAt"]


def test_unobserved_times_come_from_the_pod_and_dockerd() -> None:
    pod = make_pod(scheduled_at=after(1), running_since=after(2))
    report = ready_report(started_at_epoch_seconds=int(after(3).timestamp()), ready_after_milliseconds=750)
    startup = choose(make_sandbox(), pod, after(9), session=reported(report, after(8))).status.startup
    assert startup == Startup(
        pod_created_at=NOW,
        scheduled_at=after(1),
        running_at=after(2),
        docker_answered_at=after(3.75),
        ready_at=after(9),
    )


def test_times_of_another_pod_are_not_used() -> None:
    startup = choose(ready_sandbox(), pending_pod(uid="another", created_at=after(60)), after(61)).status.startup
    assert startup == Startup(pod_created_at=after(60), scheduled_at=after(60))


def test_times_without_a_time_zone_are_rejected() -> None:
    with pytest.raises(ValidationError):
        Startup.model_validate({"readyAt": "2026-03-01T12:00:00"})
    startup = Startup.model_validate({"readyAt": "2026-03-01T13:00:00.5+01:00"})
    assert as_json(SandboxStatus(startup=startup)) == {
        "conditions": [],
        "startup": {"readyAt": "2026-03-01T12:00:00.500000Z"},
    }


def test_no_timeline_without_a_pod() -> None:
    assert choose(ready_sandbox(), None, after(60)).status.startup is None


def test_first_ready_time_remains() -> None:
    sandbox = ready_sandbox()
    startup = sandbox.status.startup
    unready = choose(sandbox, make_pod(ready=False, ready_changed_at=after(99)), after(99))
    again = choose(written(sandbox, unready), make_pod(), after(120), session=reported(ready_report(1), after(120)))
    assert unready.status.startup == again.status.startup == startup


def test_timeline_includes_dockerds_restart_after_a_crash() -> None:
    sandbox = crashed_sandbox()
    assert sandbox.status.startup is not None
    assert sandbox.status.startup.docker_answered_at is None
    report = ready_report(1, started_at_epoch_seconds=int(after(5).timestamp()))
    startup = choose(sandbox, make_pod(), after(6), session=reported(report, after(6))).status.startup
    assert startup is not None
    assert (startup.docker_answered_at, startup.ready_at) == (after(5.7), after(6))


def test_sandbox_without_docker_has_no_docker_time() -> None:
    sandbox = make_sandbox(plain())
    startup = choose(sandbox, make_pod(plain()), after(1), session=reported(Report(KERNEL))).status.startup
    assert startup is not None
    assert startup.docker_answered_at is None
    assert startup.ready_at == after(1)


def test_upgrade_writes_no_timeline_for_ready_sandboxes() -> None:
    old = ready_sandbox()
    old = old.model_copy(update={"status": old.status.model_copy(update={"startup": None})})
    decision = choose(old, make_pod(), after(3600))
    assert not merge_patch(as_json(old.status), as_json(decision.status))


def test_timeline_uses_the_monotonic_clock() -> None:
    start = StartupTimer(POD_UID, 100.0, NOW)
    observed = ObservedState(make_sandbox(), make_pod())
    assert [took for _, took in start.advance(observed, 100.25)] == [0.25, 0.0]
    timeline = start.moments_of(observed.pod)
    assert timeline == Startup(pod_created_at=NOW, scheduled_at=after(0.25), running_at=after(0.25))
    assert start.moments_of(make_pod(uid="another")) is None
    assert start.moments_of(None) is None


@given(st.lists(st.integers(-90, 90), min_size=5, max_size=5), st.integers(0, 2**31), st.booleans())
def test_no_phase_is_negative(
    skews: list[int],
    forged_time: int,
    is_observed: bool,
) -> None:
    created, scheduled, runs, first, second = (after(100 + skew) for skew in skews)
    pod = make_pod(created_at=created, scheduled_at=scheduled, running_since=runs)
    ours = Startup(pod_created_at=after(100), scheduled_at=scheduled) if is_observed else None
    sandbox = make_sandbox()
    pending = choose(sandbox, pending_pod(created_at=created, scheduled_at=scheduled), first, startup=ours)
    sandbox = sandbox.model_copy(update={"status": SandboxStatus.model_validate(as_json(pending.status))})
    report = ready_report(started_at_epoch_seconds=forged_time, ready_after_milliseconds=forged_time)
    ready = choose(sandbox, pod, second, session=reported(report, second + timedelta(seconds=1)), startup=ours)
    before, result = moments(pending.status.startup), moments(ready.status.startup)
    assert result == sorted(result)
    assert result[: len(before)] == before
    assert result[-1] <= max(*before, second)
