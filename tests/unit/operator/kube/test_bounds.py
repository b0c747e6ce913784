"""What is held of one line, of one object and of one namespace has a bound; what exceeds it stays a known unknown."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from structlog.testing import capture_logs

from caisson.api.reasons import Reason
from caisson.api.spec.sandbox import SandboxSpec
from caisson.config.model import Config
from caisson.kube.budget import Budget
from caisson.kube.informer import Listing
from caisson.kube.store import Store
from caisson.kube.watch_lines import TooLong, bounded_lines, read_prefix
from caisson.model.key import (
    Key,
    OwnerKey,
    claimed_pod,
    key_of,
    owner_key,
)
from caisson.model.unreadable import (
    has_unknown_owner,
    is_identified,
    is_unreadable,
    reason_of,
    size_of,
    stub_of,
)

Json = dict[str, Any]


# Lines


async def lines(chunks: Iterable[bytes], limit: int = 10, prefix: int = 4) -> list[bytes | TooLong]:
    """Return the lines of a stream that comes in these chunks."""

    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [line async for line in bounded_lines(stream(), limit, prefix)]


async def test_a_line_up_to_the_limit_is_whole() -> None:
    assert await lines([b"0123456789\n", b"01234567890\n"]) == [b"0123456789", TooLong(b"0123", 11)]


async def test_a_long_line_leaves_its_neighbours_alone() -> None:
    assert await lines([b"a\n" + b"x" * 50 + b"\nb\n"]) == [b"a", TooLong(b"xxxx", 50), b"b"]


async def test_a_line_without_its_end_is_dropped() -> None:
    assert await lines([b"a\nb"]) == [b"a"]
    assert await lines([b"x" * 50]) == []


async def test_empty_lines_are_skipped() -> None:
    assert await lines([b"\n\na\n\n"]) == [b"a"]


@given(st.lists(st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"")), max_size=6), st.data())
async def test_lines_do_not_depend_on_the_chunks(texts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(text + b"\n" for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    expected = [text if len(text) <= 10 else TooLong(text[:4], len(text)) for text in texts if text]
    assert await lines(chunks) == expected


async def test_no_more_than_the_limit_and_a_chunk_is_held() -> None:
    """The prefix of a long line is the only part that is there at its end."""
    [result] = await lines([b"x" * 9] * 1000 + [b"\n"], limit=10, prefix=4)
    assert result == TooLong(b"xxxx", 9000)


# The first part of a line

OWNER = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "name": "demo", "uid": "s", "controller": True}
METADATA = {
    "name": "demo",
    "namespace": "team",
    "uid": "u",
    "resourceVersion": "7",
    "creationTimestamp": "2026-03-01T12:00:00Z",
    "labels": {"caisson.dev/sandbox": "demo", "other": "<\u00e9\u4e2d\U0001f600>"},
    "annotations": {"nested": '{"name": "not this one"}', "deep": '"metadata":{"name":"nor this"}'},
    "ownerReferences": [OWNER],
    "managedFields": [{"fieldsV1": {"f:metadata": {"f:name": {}}}}],
}
POD = {"kind": "Pod", "apiVersion": "v1", "metadata": METADATA, "spec": {"args": ["x" * 100]}}
EVENT = {"type": "MODIFIED", "object": POD}


@pytest.mark.parametrize("is_ascii", [True, False], ids=["escaped", "utf-8"])
def test_a_line_that_is_cut_anywhere_yields_complete_values_only(*, is_ascii: bool) -> None:
    line = json.dumps(EVENT, separators=(",", ":"), ensure_ascii=is_ascii).encode()
    most = 0
    for end in range(len(line)):
        result = read_prefix(line[:end])
        metadata = result.event.get("object", {}).get("metadata", {})
        assert metadata.items() <= METADATA.items()
        assert result.event.get("type") in {None, "MODIFIED"}
        assert len(metadata) >= most
        most = len(metadata)
        assert result.has_all_metadata == (b'"metadata":' in line[:end] and end > line.index(b',"spec"') - 1)
    assert most == len(METADATA)


def test_spaces_and_other_members_do_not_matter() -> None:
    result = read_prefix(json.dumps(EVENT, indent=2).encode()[:-40])
    assert result.event["object"]["metadata"] == METADATA


def test_the_name_of_a_custom_resource_may_be_out_of_reach() -> None:
    """Its keys are sorted: the annotations come before the name."""
    text = json.dumps({"type": "ADDED", "object": {**POD, "metadata": METADATA | {"annotations": {"a": "x" * 500}}}})
    in_order = json.dumps(json.loads(text), sort_keys=True).replace('"type": "ADDED"', "").encode()
    result = read_prefix(b'{"type": "ADDED", ' + in_order[1:300])
    assert result.event["type"] == "ADDED"
    assert result.event["object"]["kind"] == "Pod"
    assert "name" not in result.event["object"]["metadata"]
    assert not result.has_all_metadata


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"<html>", b"[1, 2]", b'{"type": 12', b'{"type"}', b"{" * 5000, b'{"a":' + b"[" * 100_000],
    ids=["empty", "binary", "html", "list", "cut-number", "no-value", "braces", "deep"],
)
def test_invalid_event_is_ignored(text: bytes) -> None:
    assert read_prefix(text).event.get("object") is None
    assert "type" not in read_prefix(text).event


# Stubs


def test_a_stub_says_whose_an_object_is_and_nothing_else() -> None:
    stub = stub_of(POD, "Pod", Reason.OBJECT_TOO_LARGE, 3 * 2**20)
    assert is_unreadable(stub)
    assert (reason_of(stub), size_of(stub)) == (Reason.OBJECT_TOO_LARGE, 3 * 2**20)
    assert stub["metadata"]["ownerReferences"] == [OWNER]
    assert stub["metadata"]["labels"] == {"caisson.dev/sandbox": "demo"}
    assert "annotations" not in stub["metadata"]
    assert "spec" not in stub
    assert len(json.dumps(stub)) < 1024


def test_an_owner_out_of_reach_is_unknown_and_not_absent() -> None:
    cut = {"metadata": {k: v for k, v in METADATA.items() if k not in {"ownerReferences", "managedFields"}}}
    stub = stub_of(cut, "Pod", Reason.OBJECT_TOO_LARGE, 1, is_complete=False)
    assert has_unknown_owner(stub)
    assert owner_key(stub) == OwnerKey("team", "Sandbox", "demo")
    assert not has_unknown_owner(stub_of(cut, "Pod", Reason.OBJECT_TOO_LARGE, 1))


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"metadata": None},
        {"metadata": {"name": 5, "labels": [], "ownerReferences": []}, "status": {"conditions": 3}},
    ],
    ids=["nothing", "null", "other-types"],
)
def test_a_stub_of_anything_can_be_made(obj: Json) -> None:
    assert not is_identified(stub_of(obj, "Pod", Reason.OBJECT_TOO_LARGE, 1, is_complete=False))


# The stores


def obj(name: str, version: int = 1, *, size: int = 0, minute: int = 0, namespace: str = "n", uid: str = "") -> Json:
    """Return an object of about this size, created at this minute."""
    metadata = {
        "namespace": namespace,
        "name": name,
        "uid": uid or f"{namespace}-{name}",
        "resourceVersion": str(version),
        "creationTimestamp": f"2026-03-01T12:{minute:02}:00Z",
    }
    return {"metadata": metadata, "spec": {"padding": "x" * size}}


def too_large(name: str, version: int = 1, **metadata: object) -> Json:
    """Return the stub of an object that is too large."""
    whole = obj(name, version)
    whole["metadata"] |= metadata
    return stub_of(whole, "Pod", Reason.OBJECT_TOO_LARGE, 9 * 2**20)


def readable(store: Store) -> set[str]:
    """Return the names of the objects that are whole."""
    return {obj["metadata"]["name"] for obj in store.all() if not is_unreadable(obj)}


def test_an_object_that_becomes_too_large_is_not_what_it_was() -> None:
    store = Store()
    store.put(obj("a", 1))
    assert store.put(too_large("a", 2))
    result = store.get(Key("n", "a"))
    assert result is not None
    assert is_unreadable(result)
    assert not store.put(obj("a", 1)), "an older version came back"
    assert store.put(obj("a", 3))
    assert readable(store) == {"a"}


def test_a_deletion_of_an_object_that_is_too_large_removes_it() -> None:
    store = Store()
    store.put(too_large("a", 2))
    assert store.remove(too_large("a", 3))
    assert store.get(Key("n", "a")) is None


def test_an_object_that_is_too_large_is_reported_once() -> None:
    store = Store(kind="Pod")
    with capture_logs() as logs:
        for version in (1, 1, 2, 3):
            store.put(too_large("a", version))
        assert len(logs) == 1
        assert [logs[0][name] for name in ("kind", "namespace", "name", "bytes")] == ["Pod", "n", "a", 9 * 2**20]
        store.put(obj("a", 4))
        store.put(too_large("a", 5))
    assert len(logs) == 2


def test_an_object_without_a_name_is_reported_once_and_keeps_a_list_from_pruning() -> None:
    store = Store()
    store.put(obj("a", 1))
    nameless = stub_of({"metadata": {"annotations": {}}}, "Pod", Reason.OBJECT_TOO_LARGE, 5, is_complete=False)
    with capture_logs() as logs:
        for version in ("10", "11"):
            listing = Listing(store, None)
            assert list(listing.take({"type": "ADDED", "object": nameless})) == []
            assert list(listing.end(version)) == []
    assert readable(store) == {"a"}
    assert len(logs) == 1


def test_a_stub_inherits_the_owner_and_the_index_that_it_could_not_read() -> None:
    pods, sandboxes = Store(owner_key), Store(claimed_pod)
    whole = obj("a", 1)
    whole["metadata"]["ownerReferences"] = [OWNER]
    pods.put(whole)
    cut = stub_of(obj("a", 2), "Pod", Reason.OBJECT_TOO_LARGE, 1, is_complete=False)
    assert pods.put(cut)
    [result] = pods.indexed(OwnerKey("n", "Sandbox", "demo"))
    assert result["metadata"]["ownerReferences"] == [OWNER]
    sandboxes.put(obj("s", 1) | {"status": {"podUID": "p"}})
    assert sandboxes.put(stub_of(obj("s", 2), "Sandbox", Reason.OBJECT_TOO_LARGE, 1, is_complete=False))
    assert sandboxes.is_indexed("p"), "the pod of a Sandbox that is not read looks free"


def test_a_list_may_have_the_owner_that_an_event_of_the_same_version_could_not_read() -> None:
    pods = Store(owner_key)
    cut = stub_of(obj("a", 2), "Pod", Reason.OBJECT_TOO_LARGE, 1, is_complete=False)
    assert pods.put(cut)
    assert not pods.put(cut)
    assert pods.put(too_large("a", 2, ownerReferences=[OWNER]))
    [result] = pods.indexed(OwnerKey("n", "Sandbox", "demo"))
    assert not has_unknown_owner(result)
    assert not pods.put(cut)


def test_an_object_of_too_many_values_is_too_large_whatever_its_size() -> None:
    store = Store(kind="NetworkPolicy")
    store.put(obj("small") | {"spec": {"egress": [{}] * 15_000}})
    assert readable(store) == {"small"}
    store.put(obj("many") | {"spec": {"egress": [{}] * 30_000}})
    assert readable(store) == {"small"}
    store.put(obj("long", size=1_000_000))
    assert readable(store) == {"small", "long"}


class Held:
    """Two stores with one budget, and what was dropped from them."""

    def __init__(self, per_namespace: int, in_all: int) -> None:
        self.dropped: list[str] = []
        self.budget = Budget(per_namespace, in_all)

        def note(stub: Json) -> None:
            self.dropped.append(stub["metadata"]["name"])

        self.store = Store(claimed_pod, kind="Sandbox", budget=self.budget)
        self.other = Store(kind="Pod", budget=self.budget)
        for store in (self.store, self.other):
            store.subscribe(dropped=note)

    def restorable(self) -> list[str]:
        """Return the names of what there is room for."""
        return [key.name for _, key in self.budget.restorable()]


def test_the_oldest_objects_of_a_namespace_are_held_whatever_comes_first() -> None:
    held = Held(5000, 10**6)
    for minute in (3, 1, 2):
        held.store.put(obj(f"m{minute}", size=2000, minute=minute))
    assert readable(held.store) == {"m1", "m2"}
    assert held.dropped == ["m3"]
    stub = held.store.get(Key("n", "m3"))
    assert stub is not None
    assert reason_of(stub) is Reason.NAMESPACE_OVER_LIMIT
    held.store.put(obj("m0", size=2000, minute=0))
    assert readable(held.store) == {"m0", "m1"}
    assert held.budget.bytes <= 5000


def test_all_stores_of_a_namespace_share_its_limit_and_no_other_namespace_has_a_part_in_it() -> None:
    held = Held(5000, 10**6)
    held.other.put(obj("old", size=4000, minute=1))
    held.store.put(obj("new", size=4000, minute=2))
    held.store.put(obj("elsewhere", size=4000, minute=3, namespace="m"))
    assert readable(held.other) == {"old"}
    assert readable(held.store) == {"elsewhere"}


def test_beyond_the_limit_for_all_the_largest_namespace_gives_way() -> None:
    held = Held(10_000, 13_000)
    for minute in range(4):
        held.store.put(obj(f"large{minute}", size=2000, minute=minute, namespace="large"))
    held.store.put(obj("small", size=2000, minute=59, namespace="small"))
    held.store.put(obj("small2", size=2000, minute=59, namespace="small"))
    assert {"small", "small2"} <= readable(held.store)
    assert held.dropped == ["large3"]


def test_oldest_stubs_are_restored_first_when_there_is_room() -> None:
    held = Held(5000, 10**6)
    for minute in range(4):
        held.store.put(obj(f"m{minute}", size=2000, minute=minute))
    assert readable(held.store) == {"m0", "m1"}
    held.budget.freed.clear()
    assert held.restorable() == []
    held.store.remove(obj("m0", 2))
    assert held.budget.freed.is_set()
    assert held.restorable()[0] == "m2"
    # The same version, which an update would have to exceed.
    assert held.store.put(obj("m2", size=2000, minute=2))
    assert readable(held.store) == {"m1", "m2"}
    assert held.restorable() == []
    assert not held.store.put(obj("m3", size=2000, minute=3)), "it does not fit"


def test_a_younger_object_does_not_overtake_an_older_one_that_waits() -> None:
    held = Held(6000, 10**6)
    for minute, size in enumerate((1000, 4000, 4000, 500)):
        held.store.put(obj(f"m{minute}", size=size, minute=minute))
    assert readable(held.store) == {"m0", "m1"}
    held.store.remove(obj("m0", 2))
    assert held.restorable() == []


class Crowd:
    """Objects of some namespaces, and a store that has no room for all of them."""

    def __init__(self, objects: list[Json], per_namespace: int, in_all: int) -> None:
        self.budget = Budget(per_namespace, in_all)
        self.store = Store(budget=self.budget)
        self.objects: dict[Key, Json] = {}
        for result in objects:
            if key_of(result) not in self.objects:
                self.put(result)

    def is_leader(self, namespace: str) -> set[str]:
        """Return the names of the objects of a namespace that are whole."""
        keys = (key_of(result) for result in self.store.all() if not is_unreadable(result))
        return {key.name for key in keys if key.namespace == namespace}

    def put(self, actual: Json) -> None:
        """Create an object."""
        self.objects[key_of(actual)] = actual
        self.store.put(actual)

    def remove(self, namespace: str, name: str) -> None:
        """Delete an object."""
        result = self.objects.pop(Key(namespace, name))
        self.store.remove(result | {"metadata": result["metadata"] | {"resourceVersion": "99"}})

    def read_again(self) -> None:
        """Read again what there is room for, until there is nothing left. Fails if that does not come to an end."""
        for _ in range(50):
            held = [self._read(key) for _, key in self.budget.restorable()]
            if not held:
                return
            assert all(held), "an object was dropped at once"
        raise AssertionError("it goes on and on")

    def _read(self, key: Key) -> bool:
        self.store.put(self.objects[key])
        return self.store.holds(key, self.objects[key]["metadata"]["uid"])


def three_each() -> Crowd:
    """Return a full store: one namespace has two whole objects and a stub, the other three older objects."""
    small = [obj(f"o{n}", size=2000, minute=30 + n, namespace="small") for n in range(3)]
    large = [obj(f"o{n}", size=2000, minute=n, namespace="large") for n in range(3)]
    crowd = Crowd([*small, *large], 10**6, 13_000)
    assert (crowd.is_leader("small"), crowd.is_leader("large")) == ({"o0", "o1"}, {"o0", "o1", "o2"})
    return crowd


def test_the_room_that_a_small_namespace_leaves_is_not_for_older_objects_of_a_large_one() -> None:
    crowd = three_each()
    for n in range(3, 6):
        crowd.put(obj(f"o{n}", size=2000, minute=n, namespace="large"))
    crowd.remove("small", "o0")
    crowd.read_again()
    assert (crowd.is_leader("small"), crowd.is_leader("large")) == ({"o1", "o2"}, {"o0", "o1", "o2"})


def test_a_large_namespace_gives_way_to_what_a_small_one_waits_for() -> None:
    crowd = three_each()
    crowd.remove("small", "o0")
    crowd.put(obj("o3", size=2000, minute=3, namespace="large"))
    assert (crowd.is_leader("small"), crowd.is_leader("large")) == ({"o1"}, {"o0", "o1", "o2", "o3"})
    crowd.read_again()
    assert (crowd.is_leader("small"), crowd.is_leader("large")) == ({"o1", "o2"}, {"o0", "o1", "o2"})


def test_no_object_is_dropped_for_one_that_would_not_stay() -> None:
    """The youngest object of the larger namespace leaves too little room."""
    small = [obj(f"o{n}", size=size, minute=n, namespace="small") for n, size in enumerate((40_000, 9_000))]
    large = [obj(f"o{n}", size=size, minute=n, namespace="large") for n, size in enumerate((49_000, 300), start=2)]
    crowd = Crowd([*small, *large], 10**6, 95_000)
    crowd.read_again()
    assert (crowd.is_leader("small"), crowd.is_leader("large")) == ({"o0"}, {"o2", "o3"})


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 59), st.one_of(st.integers(0, 300), st.integers(0, 9000))),
        max_size=30,
    ),
    st.integers(9000, 50_000),
    st.integers(9000, 50_000),
    st.sets(st.integers(0, 29)),
)
def test_reading_again_comes_to_an_end_at_which_no_namespace_has_much_less_than_another(
    given_objects: list[tuple[str, int, int]], per_namespace: int, in_all: int, deleted: set[int]
) -> None:
    # Two objects each are of the same age.
    objects = [obj(f"o{n}", size=size, minute=n // 2, namespace=name) for name, n, size in given_objects]
    crowd = Crowd(objects, per_namespace, in_all)
    for key in [key for n, key in enumerate(crowd.objects) if n in deleted]:
        crowd.remove(*key)
    crowd.read_again()
    assert crowd.budget.bytes <= in_all
    accounts = crowd.budget._accounts
    for name, account in accounts.items():
        if account.dropped:
            size = min((result.created, result.size) for result in account.dropped.values())[1] + 256
            level = account.bytes + size
            largest = max(other.bytes for other in accounts.values())
            assert level > per_namespace or largest < level + size, f"{name} is left behind"


def test_an_object_over_the_limit_keeps_its_index() -> None:
    held = Held(1000, 10**6)
    held.store.put(obj("a", size=4000) | {"status": {"podUID": "p"}})
    assert readable(held.store) == set()
    assert held.store.is_indexed("p")


def test_bytes_are_given_back_by_changes_deletions_and_lists() -> None:
    held = Held(10**6, 10**6)
    empty = held.budget.bytes
    held.store.put(obj("a", 1, size=5000))
    held.store.put(obj("a", 2, size=50))
    small = held.budget.bytes
    assert small < 1000
    held.store.put(too_large("a", 3))
    assert held.budget.bytes == empty
    held.store.put(obj("a", 4, size=50))
    assert held.budget.bytes == small
    list(Listing(held.store, None).end("9"))
    assert held.budget.bytes == empty


def test_a_namespace_over_its_limit_is_reported_once() -> None:
    held = Held(5000, 10**6)
    with capture_logs() as logs:
        for minute in range(20):
            held.store.put(obj(f"m{minute}", size=2000, minute=minute))
        for version in range(2, 12):
            held.store.put(obj("m19", version, size=2000, minute=19))
    assert [line["namespace"] for line in logs] == ["n"]


def test_a_namespace_with_one_object_over_its_limit_is_reported_once_until_it_has_room() -> None:
    held = Held(5000, 10**6)
    with capture_logs() as logs:
        for minute in range(3):
            held.store.put(obj(f"m{minute}", size=2000, minute=minute))
        for version in range(2, 12):
            held.store.put(obj("m2", version, size=2000, minute=2))
            held.store.put(obj("m1", version, size=2000, minute=1))
        assert len(logs) == 1
        held.store.remove(obj("m2", 20))
        held.store.put(obj("m3", size=2000, minute=3))
    assert [line["namespace"] for line in logs] == ["n", "n"]


def test_a_namespace_without_objects_leaves_no_account() -> None:
    held = Held(1000, 10**6)
    for size in (0, 4000):
        held.store.put(obj("a", 1, size=size))
        held.store.remove(obj("a", 2))
    held.store.put(obj("b", 3))
    held.store.put(too_large("b", 4))
    assert held.budget._accounts == {}


def test_text_of_any_language_takes_what_it_takes() -> None:
    held, words = Held(10**6, 10**6), "\u00e9\u4e2d\U0001f600\ud800"
    held.store.put(obj("a") | {"spec": {"words": words}})
    result = held.store.get(Key("n", "a"))
    assert result is not None
    assert result["spec"] == {"words": words}
    held.store.put(obj("a", 2) | {"spec": {"words": "\U0001f600" * 1000}})
    assert held.budget.bytes < 5000


def test_an_object_that_changes_often_leaves_nothing_behind() -> None:
    held = Held(10**6, 10**6)
    for version in range(1, 1000):
        held.store.put(obj("a", version, size=10))
    assert len(held.budget._accounts["n"].ages) < 100


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "remove"]), st.integers(0, 5), st.integers(0, 3000), st.sampled_from("ab")),
        max_size=40,
    )
)
def test_the_limits_hold_whatever_happens(steps: list[tuple[str, int, int, str]]) -> None:
    held = Held(4000, 6000)
    for version, (plan, number, size, namespace) in enumerate(steps, start=1):
        thing = obj(f"o{number}", version, size=size, minute=number, namespace=namespace)
        getattr(held.store, plan)(thing)
        texts = [len(children.text) + 256 for children in held.store._objects.values() if children.reason is None]
        assert held.budget.bytes == sum(texts) <= 6000
    waiting = {children for children, result in held.store._objects.items() if result.reason is not None}
    accounts = held.budget._accounts.values()
    assert {result.key for account in accounts for result in account.dropped.values()} == waiting


# The API and the configuration


def test_objects_that_an_older_crd_accepted_can_be_read() -> None:
    docker = {"flags": ["--label=" + "x" * 1000] * 64}
    spec = SandboxSpec.model_validate({"image": "x", "command": ["c"], "args": ["x" * 4096] * 256, "docker": docker})
    assert spec.args is not None
    assert len(spec.args) == 256


def test_a_namespace_can_not_have_more_than_all_have_together() -> None:
    with pytest.raises(ValidationError, match=r"bytesPerNamespace .* exceeds bytesInAll"):
        Config.model_validate({"toolboxes": [{"version": "1", "image": "x"}], "bytesPerNamespace": 2**30})
