"""What a pod was made from by a pool's template, kept on the pod itself: the Sandbox that has it lives on with that.

The pool may have another template by then, or be gone.
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
    """What a pod of a pool was made from."""

    template: SandboxTemplate
    preload: tuple[str, ...]


def write_template(template: SandboxTemplate, preload: tuple[str, ...] = ()) -> str:
    """Return what a pod is made from, as one string; equal for equal templates."""
    fields = set(SandboxTemplate.model_fields)
    spec = template.model_dump(mode="json", by_alias=True, exclude_defaults=True, include=fields)
    return json.dumps({"spec": spec, "preload": list(preload)}, sort_keys=True, separators=(",", ":"))


def read_template(pod: dict[str, Any]) -> PodTemplateRecord | None:
    """Return what a pod (core/v1, as JSON) of a pool was made from; None where it does not say so."""
    annotation = (pod["metadata"].get("annotations") or {}).get(TEMPLATE_ANNOTATION)
    return _parse(annotation) if annotation is not None else None


@lru_cache(maxsize=REMEMBERED_TEMPLATES)
def _parse(annotation: str) -> PodTemplateRecord | None:
    """Parse an annotation. All pods of a pool share one record, which makes comparing it as fast as `is`."""
    try:
        content = json.loads(annotation)
        return PodTemplateRecord(SandboxTemplate.model_validate(content["spec"]), tuple(map(str, content["preload"])))
    except (ValueError, KeyError, TypeError, ValidationError):
        return None


def fields_of(template: SandboxTemplate) -> dict[str, Any]:
    """Return what a template says, by the names that a Sandbox's spec has for it."""
    return {name: getattr(template, name) for name in SandboxTemplate.model_fields}


def with_template(sandbox: Sandbox, template: SandboxTemplate) -> Sandbox:
    """Return a Sandbox with poolRef as it would be if it said itself what the template says."""
    spec: SandboxSpec = sandbox.spec.model_copy(update=fields_of(template))
    return sandbox.model_copy(update={"spec": spec})
