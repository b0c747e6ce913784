"""Diagnosis of dockerd failures: the corpus of captured outputs, and properties of any output."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from caisson.api.reasons import CRASH_REASONS, Reason
from caisson.docker.diagnosis import diagnose, last_words, signal_of
from caisson.model.pod_shape import DOCKER_CAPABILITIES, capability_mask
from caisson.model.report import FailureCause, StartFailed

CORPUS = sorted((Path(__file__).parents[3] / "corpus").glob("*.yaml"))


def failure_of(report: dict[str, Any]) -> StartFailed:
    """Read the report in a corpus file, which has the decoded fields of the in-pod script."""
    capabilities = report.get("capEff")
    return StartFailed(
        cause=FailureCause(report["cause"]),
        attempt=report.get("attempt", 0),
        pid=report.get("pid"),
        exit_code=report.get("exitCode"),
        capabilities=None if capabilities is None else int(str(capabilities), 16),
        stdout=report.get("stdout", ""),
        stderr=report.get("stderr", ""),
        detail=report.get("detail", ""),
    )


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_captured_failures_are_diagnosed(path: Path) -> None:
    captured = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert diagnose(failure_of(captured["report"])) == Reason(captured["expect"])


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (StartFailed(FailureCause.DOCKER_NOT_FOUND), Reason.DOCKER_NOT_FOUND),
        (StartFailed(FailureCause.NET_RAW_MISSING), Reason.NET_RAW_MISSING),
        (StartFailed(FailureCause.PACKET_SOCKET_WRITE_MISSING), Reason.PACKET_SOCKET_WRITE_MISSING),
        (StartFailed(FailureCause.TIMED_OUT, stderr="permission denied"), Reason.START_TIMED_OUT),
        (StartFailed(FailureCause.LOCK_TIMED_OUT), Reason.START_INTERRUPTED),
        (StartFailed(FailureCause.PREPARE_FAILED, detail="mount: permission denied"), Reason.PREPARE_FAILED),
        (StartFailed(FailureCause.EXITED, exit_code=137), Reason.DOCKERD_KILLED),
        (StartFailed(FailureCause.EXITED, exit_code=None), Reason.DOCKERD_KILLED),
        (StartFailed(FailureCause.EXITED, exit_code=1, stderr="unknown problem"), Reason.DOCKERD_EXITED),
        (StartFailed(FailureCause.EXITED, exit_code=1), Reason.DOCKERD_EXITED),
        (
            StartFailed(
                FailureCause.EXITED, exit_code=1, stderr='time="0" level=warning msg="permission denied"\nboom\n'
            ),
            Reason.DOCKERD_EXITED,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Reason) else value.cause.name,
)
def test_cause_from_the_script_precedes_dockerds_output(failure: StartFailed, expected: Reason) -> None:
    assert diagnose(failure) is expected


def test_missing_capability_is_diagnosed() -> None:
    full = capability_mask()
    assert diagnose(StartFailed(FailureCause.EXITED, exit_code=1, capabilities=full)) is Reason.DOCKERD_EXITED
    for name in DOCKER_CAPABILITIES:
        failure = StartFailed(FailureCause.EXITED, exit_code=1, capabilities=full & ~capability_mask(name))
        assert diagnose(failure) is (Reason.NET_RAW_MISSING if name == "NET_RAW" else Reason.PERMISSION_DENIED), name


_DISK_FULL_IN_BUILD = 'time="0" level=error msg="write /var/lib/docker/x: no space left on device"'
_RULE_NOT_DELETED = 'time="0" level=warning msg="could not delete iptables rule: permission denied"'


@pytest.mark.parametrize(
    ("exit_code", "stderr"),
    [
        (0, f'{_DISK_FULL_IN_BUILD}\ntime="0" level=info msg="Daemon shutdown complete"\n'),
        (2, f"{_DISK_FULL_IN_BUILD}\npanic: runtime error\n"),
        (0, f'{_RULE_NOT_DELETED}\ntime="0" level=info msg="Daemon shutdown complete"\n'),
        (2, f"{_RULE_NOT_DELETED}\n"),
    ],
)
def test_earlier_log_lines_are_not_the_cause(exit_code: int, stderr: str) -> None:
    assert diagnose(StartFailed(FailureCause.EXITED, exit_code=exit_code, stderr=stderr)) is Reason.DOCKERD_EXITED


_FAILURES = st.builds(
    StartFailed,
    cause=st.sampled_from([c for c in FailureCause if c not in {FailureCause.WRONG_POD, FailureCause.NOT_GVISOR}]),
    exit_code=st.none() | st.integers(0, 255),
    capabilities=st.none() | st.integers(0, 2**64 - 1),
    stderr=st.text(max_size=200) | st.lists(st.sampled_from(["cgroup ", "network", " driver", "\n"])).map("".join),
)


@given(_FAILURES)
def test_every_failure_has_a_crash_reason(failure: StartFailed) -> None:
    assert diagnose(failure) in CRASH_REASONS


@given(st.lists(st.sampled_from(['time="0" level=error msg=x', "boom", "", "x" * 300]), max_size=60).map("\n".join))
def test_last_words_are_a_few_lines_of_stderr(stderr: str) -> None:
    words = last_words(stderr).splitlines()
    assert len(words) <= 16
    assert set(words) <= set(stderr.splitlines())


@given(st.text(alphabet="xyz \n", max_size=300), st.integers(0, 255).filter(lambda code: code != 137))
def test_unknown_failures_are_not_guessed(stderr: str, code: int) -> None:
    assert diagnose(StartFailed(FailureCause.EXITED, exit_code=code, stderr=stderr)) is Reason.DOCKERD_EXITED


@pytest.mark.parametrize(
    ("code", "signal"), [(None, None), (0, None), (1, None), (128, None), (137, 9), (143, 15), (192, 64), (255, None)]
)
def test_signal_is_derived_from_the_exit_code(code: int | None, signal: int | None) -> None:
    assert signal_of(code) == signal
