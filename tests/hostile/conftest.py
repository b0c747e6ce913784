"""Checks after every hostile case: the operator and the Sandboxes in other namespaces are unaffected."""

import json
import re
import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, condition

BATCH = 8
MAX_OPERATOR_BYTES = 300 * 2**20
MAX_STATUS_BYTES = 48 * 1024
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def namespace(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a new guarded namespace, whose objects are deleted at the end."""
    kubectl = Kubectl(cluster.kubeconfig, f"hostile-{secrets.token_hex(4)}")
    kubectl("create", "namespace", kubectl.namespace)
    kubectl("label", "namespace", kubectl.namespace, "caisson.dev/sandboxes=true")
    yield kubectl
    kubectl("delete", "sbx,pods", "--all", "--wait=true", timeout=300)
    kubectl("delete", "namespace", kubectl.namespace, "--wait=false")


@pytest.fixture(scope="module")
def arena(cluster: LocalCluster) -> Iterator[Kubectl]:
    """The namespace of a module's hostile cases."""
    yield from namespace(cluster)


@dataclass(frozen=True)
class Bystander:
    """Another user's Sandbox with Docker, in another namespace."""

    kubectl: Kubectl
    status: Json

    def assert_unchanged(self) -> None:
        """Assert that its complete status is unchanged."""
        assert self.kubectl.status("bystander") == self.status


@pytest.fixture(scope="session")
def bystander(cluster: LocalCluster) -> Iterator[Bystander]:
    """A Sandbox that must not be affected."""
    for kubectl in namespace(cluster):
        kubectl.sandbox("bystander", resources={"requests": {"cpu": "100m"}})
        yield Bystander(kubectl, kubectl.until_ready("bystander"))


@pytest.fixture(scope="session")
def operator_pids(cluster: LocalCluster) -> dict[str, int]:
    """The operator's processes before the first attack, since a module's fixtures attack before its first case."""
    return cluster.the_one_operator()


@pytest.fixture(autouse=True)
def check_unaffected(cluster: LocalCluster, operator_pids: dict[str, int], bystander: Bystander) -> Iterator[None]:
    """Check the operator and the bystander after each case."""
    yield
    assert cluster.operator_pids() == operator_pids, "the operator was restarted"
    for pid in operator_pids.values():
        assert _resident_bytes(pid) < MAX_OPERATOR_BYTES
    exceptions = [line for line in cluster.operator_log() if "exception" in line]
    assert not exceptions
    bystander.assert_unchanged()


@pytest.fixture(scope="module", autouse=True)
def check_new_sandbox(arena: Kubectl) -> Iterator[None]:
    """Check that a new Sandbox starts in the same namespace after all cases of a module."""
    yield
    arena.sandbox("fresh")
    arena.until_ready("fresh")


def assert_safe(status: Json) -> Json:
    """Assert that a status is limited in size and contains only text that is safe for a terminal, and return it."""
    text = json.dumps(status, ensure_ascii=False)
    assert len(text.encode("utf-8", errors="surrogatepass")) < MAX_STATUS_BYTES
    for string in _strings(status):
        assert not _UNSAFE.search(string), repr(string)
    return status


def cases(table: Iterable[str], in_make_test: Collection[str]) -> list[ParameterSet]:
    """Return the names of a table's cases as parameters. `make test` runs only those in `in_make_test`."""
    return [pytest.param(name, marks=() if name in in_make_test else pytest.mark.campaign) for name in table]


def batches(request: pytest.FixtureRequest) -> list[list[str]]:
    """Return the names of a module's selected cases, in batches that one machine can run concurrently."""
    functions = [i for i in request.session.items if isinstance(i, pytest.Function) and i.module is request.module]
    names = [str(i.callspec.params["name"]) for i in functions if hasattr(i, "callspec")]
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]


def reason(status: Json) -> str | None:
    """Return the reason of the condition Ready."""
    return condition(status, "Ready").get("reason")


def is_ready(status: Json) -> bool:
    """Return whether the Sandbox is Ready."""
    return condition(status, "Ready").get("status") == "True"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _resident_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024
