"""What holds after every hostile case: the operator lives on as it was, and nobody else has noticed."""

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
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def namespace(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a guarded namespace of its own; what is in it goes afterwards."""
    found = Kubectl(cluster.kubeconfig, f"hostile-{secrets.token_hex(4)}")
    found("create", "namespace", found.namespace)
    found("label", "namespace", found.namespace, "caisson.dev/sandboxes=true")
    yield found
    found("delete", "sbx,pods", "--all", "--wait=true", timeout=300)
    found("delete", "namespace", found.namespace, "--wait=false")


@pytest.fixture(scope="module")
def arena(cluster: LocalCluster) -> Iterator[Kubectl]:
    """Where the hostile cases of a module are."""
    yield from namespace(cluster)


@dataclass(frozen=True)
class Bystander:
    """Somebody else's Sandbox, with Docker, in another namespace."""

    kubectl: Kubectl
    status: Json

    def must_be_unharmed(self) -> None:
        """Fail unless its status is as it was, down to the last field."""
        assert self.kubectl.status("bystander") == self.status


@pytest.fixture(scope="session")
def bystander(cluster: LocalCluster) -> Iterator[Bystander]:
    """The Sandbox that must not notice."""
    for kubectl in namespace(cluster):
        kubectl.sandbox("bystander", resources={"requests": {"cpu": "100m"}})
        yield Bystander(kubectl, kubectl.until_ready("bystander"))


@pytest.fixture(scope="session")
def operator_pids(cluster: LocalCluster) -> dict[str, int]:
    """The operator's processes before the first attack: a module's attacks begin before its first case does."""
    return cluster.the_one_operator()


@pytest.fixture(autouse=True)
def unharmed(cluster: LocalCluster, operator_pids: dict[str, int], bystander: Bystander) -> Iterator[None]:
    """Look at the operator and at the bystander after a case."""
    yield
    assert cluster.operator_pids() == operator_pids, "the operator is another process"
    for pid in operator_pids.values():
        assert _resident_bytes(pid) < MAX_OPERATOR_BYTES
    unforeseen = [line for line in cluster.operator_log() if "exception" in line]
    assert not unforeseen
    bystander.must_be_unharmed()


@pytest.fixture(scope="module", autouse=True)
def goes_on(arena: Kubectl) -> Iterator[None]:
    """After all cases of a module a Sandbox starts as ever, in the same namespace."""
    yield
    arena.sandbox("fresh")
    arena.until_ready("fresh")


def fit(status: Json) -> Json:
    """Return a status that is bounded, and has no text in it that is unfit for a terminal or for UTF-8."""
    text = json.dumps(status, ensure_ascii=False)
    assert len(text.encode("utf-8", errors="surrogatepass")) < MAX_STATUS_BYTES
    for string in _strings(status):
        assert not _UNFIT.search(string), repr(string)
    return status


def cases(table: Iterable[str], in_make_test: Collection[str]) -> list[ParameterSet]:
    """Return the names of a table's cases as parameters; `make test` runs a slice of them."""
    return [pytest.param(name, marks=() if name in in_make_test else pytest.mark.campaign) for name in table]


def batches(request: pytest.FixtureRequest) -> list[list[str]]:
    """Return the names of the cases of a module that are to run: as many at once as this machine bears."""
    here = [i for i in request.session.items if isinstance(i, pytest.Function) and i.module is request.module]
    names = [str(i.callspec.params["name"]) for i in here if hasattr(i, "callspec")]
    return [names[start : start + BATCH] for start in range(0, len(names), BATCH)]


def reason(status: Json) -> str | None:
    """Return the reason of Ready."""
    return condition(status, "Ready").get("reason")


def _strings(thing: object) -> Iterator[str]:
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from _strings(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from _strings(value)


def _resident_bytes(pid: int) -> int:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024
