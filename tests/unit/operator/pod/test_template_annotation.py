"""The annotation that stores the template of a pool pod. Its text is an interface: running pods contain it."""

import json

import pytest

from caisson.api.spec.template import SandboxTemplate
from caisson.pod.template_annotation import TEMPLATE_ANNOTATION, read_template, write_template
from tests.unit.operator.builders import Json

TEMPLATE = SandboxTemplate.model_validate(
    {"image": "debian:trixie-slim", "docker": {"version": "26", "startTimeoutSeconds": 90}, "env": [{"name": "A"}]}
)
TEXT = (
    '{"preload":["nginx","debian"],"spec":{"docker":{"startTimeoutSeconds":90,"version":"26"},"env":[{"name":"A"}],'
    '"image":"debian:trixie-slim"}}'
)


def pod(annotations: dict[str, str] | None) -> Json:
    """Return a pod with these annotations."""
    return {"metadata": {"name": "warm-abcde"} | ({"annotations": annotations} if annotations is not None else {})}


def test_text_of_an_earlier_version_stays_the_same() -> None:
    """Another text would make every pod of every pool outdated at an upgrade."""
    assert write_template(TEMPLATE, ("nginx", "debian")) == TEXT


def test_template_without_preload_has_an_empty_list() -> None:
    assert json.loads(write_template(TEMPLATE))["preload"] == []


def test_annotation_is_read_as_it_was_written() -> None:
    record = read_template(pod({TEMPLATE_ANNOTATION: TEXT}))
    assert record is not None
    assert (record.template, record.preload) == (TEMPLATE, ("nginx", "debian"))


@pytest.mark.parametrize(
    "annotations",
    [
        None,
        {},
        {TEMPLATE_ANNOTATION: ""},
        {TEMPLATE_ANNOTATION: "[]"},
        {TEMPLATE_ANNOTATION: '{"spec":{"image":7},"preload":[]}'},
        {TEMPLATE_ANNOTATION: '{"spec":{"image":"debian"}}'},
        {TEMPLATE_ANNOTATION: '{"spec":{"image":"debian"},"preload":7}'},
    ],
    ids=["no-annotations", "no-annotation", "empty", "list", "invalid-spec", "no-preload", "invalid-preload"],
)
def test_unreadable_annotation_has_no_template(annotations: dict[str, str] | None) -> None:
    assert read_template(pod(annotations)) is None
