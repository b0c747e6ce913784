"""What the caches read of objects: no field of a Sandbox can break a watch."""

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from caisson.controllers.caches import Caches
from caisson.model.key import Key

_SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_NAMES = st.sampled_from(["conditions", "type", "reason", "podUID", "pool", "origin", "poolRef", "name"])
_VALUES = st.sampled_from(["Ready", "PodRunning", "PodPending", "warm"]) | _SCALARS
_JSON = st.recursive(_VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4))


@given(spec=_JSON, status=_JSON)
@example(spec={"poolRef": "warm"}, status={"conditions": ["Ready"]})
@example(spec=None, status=["podUID"])
@example(spec={}, status={"conditions": {"type": "Ready"}})
def test_a_sandbox_of_any_shape_is_cached(spec: Any, status: Any) -> None:
    caches = Caches.create()
    metadata = {"namespace": "default", "name": "demo", "uid": "u", "resourceVersion": "1"}
    sandbox = {"metadata": metadata, "spec": spec, "status": status}
    assert caches.sandboxes.put(sandbox)
    assert caches.sandboxes.get(Key("default", "demo")) == sandbox
