"""JSON merge patches."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caisson.util.merge_patch import merge_patch
from tests.unit.operator.cluster.objects import merge

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
    ],
)
def test_merge_patch_contains_the_difference(old: Json, new: Json, patch: Json) -> None:
    assert merge_patch(old, new) == patch


_JSON = st.recursive(
    st.integers() | st.booleans() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


_OBJECTS = st.dictionaries(st.sampled_from("abc"), _JSON, max_size=3)


@given(_OBJECTS, _OBJECTS)
def test_merge_patch_turns_old_into_new(old: Json, new: Json) -> None:
    assert merge(old, merge_patch(old, new)) == new
    assert merge_patch(new, new) == {}
