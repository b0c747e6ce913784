"""The provisioner of the local cluster's volumes."""

from pathlib import Path
from typing import Any

import pytest

from local.provisioner import CLASS, is_released, volume_for

DIRECTORY = Path("/volumes")


def pvc(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Return a PVC of the class that waits for its volume. `metadata` and `spec` override its fields."""
    return {
        "metadata": {"name": "data", "namespace": "team", "uid": "u-1", **(metadata or {})},
        "spec": {
            "storageClassName": CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
    }


def test_pvc_gets_its_own_directory() -> None:
    volume = volume_for(pvc(), DIRECTORY)
    assert volume is not None
    assert volume["spec"]["hostPath"]["path"] == "/volumes/local-u-1"
    assert volume["spec"]["claimRef"]["uid"] == "u-1"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}


@pytest.mark.parametrize(
    "other",
    [
        pvc(storageClassName="fast"),
        pvc(storageClassName=None),
        pvc(volumeName="local-u-1"),
        pvc({"deletionTimestamp": "2026-03-01T12:00:00Z"}),
    ],
    ids=["other-class", "no-class", "has-volume", "being-deleted"],
)
def test_other_pvcs_get_no_volume(other: dict[str, Any]) -> None:
    assert volume_for(other, DIRECTORY) is None


@pytest.mark.parametrize(
    ("volume", "released"),
    [
        ({"spec": {"storageClassName": CLASS}, "status": {"phase": "Released"}}, True),
        ({"spec": {"storageClassName": CLASS}, "status": {"phase": "Bound"}}, False),
        ({"spec": {"storageClassName": CLASS}}, False),
        ({"spec": {"storageClassName": "fast"}, "status": {"phase": "Released"}}, False),
    ],
)
def test_only_released_volumes_of_the_class_are_reclaimed(volume: dict[str, Any], released: bool) -> None:
    assert is_released(volume) is released
