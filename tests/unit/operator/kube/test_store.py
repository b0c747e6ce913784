"""The store of observed objects."""

from typing import Any

import pytest

from caisson.api.reasons import Reason
from caisson.kube.budget import Budget
from caisson.kube.informer import Listing
from caisson.kube.store import HistoryChanged, Store
from caisson.model.key import Key
from caisson.model.unreadable import is_unreadable, stub_of

Json = dict[str, Any]


def make_object(version: int, uid: str = "u", name: str = "x", namespace: str = "n") -> Json:
    """Return an object with only its metadata."""
    return {"metadata": {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": str(version)}}


def take_list(store: Store, objs: list[Json], version: str, within: str | None) -> list[Json]:
    """Bring a store in line with a list, and return what changed, or went."""
    listing = Listing(store, within)
    changed = [result for obj in objs for result in listing.take({"type": "ADDED", "object": obj})]
    return [*changed, *listing.end(version)]


def test_the_newest_version_wins_and_versions_are_numbers() -> None:
    store = Store()
    assert store.put(make_object(9))
    assert store.put(make_object(10))
    assert not store.put(make_object(9))
    assert not store.put(make_object(10))
    assert store.get(Key("n", "x")) == make_object(10)


def test_late_response_does_not_restore_a_deleted_object() -> None:
    store = Store()
    store.put(make_object(5))
    assert store.remove(make_object(6))
    assert not store.put(make_object(5))
    assert store.put(make_object(7, uid="another"))
    assert not store.remove(make_object(6))
    assert store.get(Key("n", "x")) == make_object(7, uid="another")


def test_an_older_version_of_a_deleted_object_is_rejected() -> None:
    store = Store()
    assert not store.remove(make_object(6)), "the deletion may arrive first"
    assert not store.put(make_object(5))
    assert not store.put(make_object(6))
    assert store.get(Key("n", "x")) is None
    # An object that only lost its label comes back with a newer version.
    assert store.put(make_object(7))


def test_a_list_leaves_a_tombstone() -> None:
    store = Store()
    store.put(make_object(5))
    assert take_list(store, [], "20", None) == [make_object(5)]
    assert not store.put(make_object(20))
    assert store.get(Key("n", "x")) is None


def test_the_answer_to_a_write_brings_nothing_back() -> None:
    store = Store()
    store.refresh(make_object(5))
    assert store.get(Key("n", "x")) is None


def test_a_list_replaces_what_is_older_in_its_namespace() -> None:
    store = Store()
    for old in (
        make_object(1, "a", "a"),
        make_object(2, "b", "b"),
        make_object(30, "c", "c"),
        make_object(3, "d", "d", "other"),
    ):
        store.put(old)
    changed = take_list(store, [make_object(9, "b", "b")], "20", "n")
    assert {obj["metadata"]["name"] for obj in changed} == {"a", "b"}
    assert store.get(Key("n", "a")) is None
    assert store.get(Key("n", "c")) is not None
    assert store.get(Key("other", "d")) is not None


def test_reader_gets_its_own_copy() -> None:
    store = Store()
    store.put(make_object(1))
    read = store.get(Key("n", "x"))
    assert read is not None
    read["metadata"]["name"] = "y"
    assert store.get(Key("n", "x")) == make_object(1)


def test_lists_of_two_namespaces_that_arrive_out_of_order_leave_each_other_alone() -> None:
    store = Store()
    objs = {
        namespace: {"metadata": {"namespace": namespace, "name": "demo", "uid": namespace, "resourceVersion": "7"}}
        for namespace in ("a", "b")
    }
    take_list(store, [objs["b"]], "101", "b")
    take_list(store, [objs["a"]], "100", "a")
    assert store.get(Key("a", "demo")) == objs["a"]
    assert store.get(Key("b", "demo")) == objs["b"]


def test_versions_that_went_backwards_are_of_another_history() -> None:
    store = Store()
    previous = {"metadata": {"namespace": "a", "name": "demo", "uid": "u", "resourceVersion": "900"}}
    gone = {"metadata": {"namespace": "a", "name": "gone", "uid": "g", "resourceVersion": "800"}}
    take_list(store, [previous, gone], "900", None)
    restored = {"metadata": previous["metadata"] | {"resourceVersion": "500"}}
    with pytest.raises(HistoryChanged):
        take_list(store, [restored], "500", None)
    # Nothing looks as if it were gone before the next list has shown that.
    assert store.get(Key("a", "demo")) == previous
    assert store.get(Key("a", "gone")) == gone
    assert take_list(store, [restored], "501", None) == [restored, gone]
    assert store.get(Key("a", "demo")) == restored


class TestProjection:
    """What a store keeps of an object beside its text."""

    @staticmethod
    def version_of(obj: Json) -> str:
        return f"{obj['metadata']['resourceVersion']}, {'stub' if is_unreadable(obj) else 'whole'}"

    def test_it_is_of_the_newest_version(self) -> None:
        store = Store(lambda _: "all", project=self.version_of)
        assert (store.projection(Key("n", "x")), store.projections("all")) == (None, [])
        store.put(make_object(9))
        store.put(make_object(10))
        store.put(make_object(9))
        assert (store.projection(Key("n", "x")), store.projections("all")) == ("10, whole", ["10, whole"])
        store.remove(make_object(10))
        assert (store.projection(Key("n", "x")), store.projections("all")) == (None, [])

    def test_it_is_of_the_stub_if_the_object_is_dropped(self) -> None:
        store = Store(project=self.version_of, budget=Budget(10, 10))
        store.put(make_object(9))
        assert store.projection(Key("n", "x")) == "9, stub"

    def test_it_is_of_the_stub_if_the_object_is_too_large(self) -> None:
        store = Store(project=self.version_of)
        store.put(stub_of(make_object(9), "Pod", Reason.OBJECT_TOO_LARGE, 6 * 2**20))
        assert store.projection(Key("n", "x")) == "9, stub"
