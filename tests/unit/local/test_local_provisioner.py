"""Volumes of the local cluster: what is made for a claim, and what is taken back."""

from pathlib import Path
from typing import Any

import pytest

from local.provisioner import CLASS, is_left, volume_for

DIRECTORY = Path("/volumes")


def claim(metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """Make a claim of the class that waits for its volume, but for what is given."""
    return {
        "metadata": {"name": "data", "namespace": "team", "uid": "u-1", **(metadata or {})},
        "spec": {
            "storageClassName": CLASS,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            **spec,
        },
    }


def test_a_claim_gets_a_directory_of_its_own_and_nobody_else_does() -> None:
    volume = volume_for(claim(), DIRECTORY)
    assert volume is not None
    assert volume["spec"]["hostPath"]["path"] == "/volumes/local-u-1"
    assert volume["spec"]["claimRef"]["uid"] == "u-1"
    assert volume["spec"]["capacity"] == {"storage": "1Gi"}


@pytest.mark.parametrize(
    "other",
    [
        claim(storageClassName="fast"),
        claim(storageClassName=None),
        claim(volumeName="local-u-1"),
        claim({"deletionTimestamp": "2026-03-01T12:00:00Z"}),
    ],
    ids=["of-another-class", "of-no-class", "served-already", "on-its-way-out"],
)
def test_other_claims_are_left_alone(other: dict[str, Any]) -> None:
    assert volume_for(other, DIRECTORY) is None


@pytest.mark.parametrize(
    ("volume", "left"),
    [
        ({"spec": {"storageClassName": CLASS}, "status": {"phase": "Released"}}, True),
        ({"spec": {"storageClassName": CLASS}, "status": {"phase": "Bound"}}, False),
        ({"spec": {"storageClassName": CLASS}}, False),
        ({"spec": {"storageClassName": "fast"}, "status": {"phase": "Released"}}, False),
    ],
)
def test_a_volume_is_taken_back_when_its_claim_is_gone(volume: dict[str, Any], left: bool) -> None:
    assert is_left(volume) is left
