"""The annotation that stores the pool template of a pod. A Sandbox that claims the pod keeps using this template.

The pool may have another template by then, or may be deleted.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from caisson.api.resources import Sandbox
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.template import SandboxTemplate
from caisson.timing import REMEMBERED_TEMPLATES

TEMPLATE_ANNOTATION = "caisson.dev/pool-template"


@dataclass(frozen=True)
class PodTemplateRecord:
    """The template and the preloaded images that a pool pod was created from."""

    template: SandboxTemplate
    preload: tuple[str, ...]


def write_template(template: SandboxTemplate, preload: tuple[str, ...] = ()) -> str:
    """Return the value of the annotation. It is equal for equal templates."""
    fields = set(SandboxTemplate.model_fields)
    spec = template.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=fields)
    return json.dumps({"spec": spec, "preload": list(preload)}, sort_keys=True, separators=(",", ":"))


def read_template(pod: dict[str, Any]) -> PodTemplateRecord | None:
    """Return the record of a pool pod (core/v1, as JSON), or None if it has no readable annotation."""
    annotation = (pod["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
    return _parse(annotation) if annotation is not None else None


@lru_cache(maxsize=REMEMBERED_TEMPLATES)
def _parse(annotation: str) -> PodTemplateRecord | None:
    """Parse an annotation. All pods of a pool share one cached record, so that comparisons are fast."""
    try:
        content = json.loads(annotation)
        return PodTemplateRecord(SandboxTemplate.model_validate(content["spec"]), tuple(map(str, content["preload"])))
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def fields_of(template: SandboxTemplate) -> dict[str, Any]:
    """Return the fields of a template, by the names of the fields of a Sandbox's spec."""
    return {name: getattr(template, name) for name in SandboxTemplate.model_fields}


def with_template(sandbox: Sandbox, template: SandboxTemplate) -> Sandbox:
    """Return a Sandbox with poolRef, with the fields of the template in its spec."""
    spec: SandboxSpec = sandbox.spec.model_copy(update=fields_of(template))
    return sandbox.model_copy(update={"spec": spec})
