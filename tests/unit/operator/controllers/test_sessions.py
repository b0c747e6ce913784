"""Exec sessions: what ends one, and what a Sandbox learns from it."""

import pytest

from caisson.api.reasons import Reason
from caisson.kube.exec import ExecError, ExecResult
from tests.unit.operator.cluster.cluster import Cluster
from tests.unit.operator.model.test_report import line


@pytest.mark.parametrize("error", [ExecError("the session broke"), RuntimeError("a defect")], ids=repr)
async def test_a_session_that_breaks_is_opened_again(cluster: Cluster, error: Exception) -> None:
    cluster.executor.answer("demo", error)
    await cluster.start_sandbox()
    assert len(cluster.executor.sessions) == 1
    await cluster.advance(2)
    assert len(cluster.executor.sessions) == 2
    assert cluster.condition() == ("True", Reason.READY)


@pytest.mark.parametrize(("cause", "is_reported"), [("NotGVisor", True), ("Exited", False)])
async def test_a_verification_accepts_only_an_answer_about_the_kernel(
    cluster: Cluster, cause: str, *, is_reported: bool
) -> None:
    cluster.executor.answer("demo", ExecResult(1, line("failed", cause=cause), b""))
    cluster.apply_sandbox(docker={"enabled": False})
    await cluster.settle()
    cluster.kubelet.runs("demo")
    await cluster.settle()
    assert [session.verb for session in cluster.executor.sessions] == ["verify"]
    assert (cluster.condition("Isolated") == ("False", Reason.NOT_GVISOR)) == is_reported
    await cluster.advance(2)
    assert len(cluster.executor.sessions) == (1 if is_reported else 2)
