"""What the pods of a pool are created from, and whether a pod still matches it."""

import hashlib
import json
from dataclasses import dataclass
from enum import Enum
from typing import Any

from caisson.api.reasons import Reason
from caisson.api.resources import ObjectMeta, Sandbox, SandboxPool
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.template import SandboxTemplate
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.model import Config
from caisson.model.errors import PolicyViolation
from caisson.pod.manifest import render_pod
from caisson.pod.template_annotation import (
    TEMPLATE_ANNOTATION,
    PodTemplateRecord,
    fields_of,
    read_template,
    write_template,
)
from caisson.timing import MAX_TEMPLATE_BYTES

Json = dict[str, Any]

TEMPLATE_HASH_ANNOTATION = "caisson.dev/pool-template-hash"


class Revision(Enum):
    """How a pod of a pool compares with the pod that Caisson would create now."""

    CURRENT = "is the same"
    OUTDATED = "has the pool's template, and differs by the configuration or the version of Caisson"
    UNREADABLE = "has a template that can't be read"
    OTHER_TEMPLATE = "has another template"

    @property
    def has_pool_template(self) -> bool:
        """Whether a Sandbox can claim such a pod. A pod with another template is not what the user asks for."""
        return self is Revision.CURRENT or self is Revision.OUTDATED


@dataclass(frozen=True)
class DesiredPod:
    """What the pods of a pool should be created from."""

    template_record: PodTemplateRecord
    hash: str
    """Identifies the template, the configuration and the rendered pod."""


def placeholder_sandbox(
    namespace: str, pod_name: str, pool_uid: str, template: SandboxTemplate, status: SandboxStatus | None = None
) -> Sandbox:
    """Return a Sandbox that stands for a pod of a pool until a real Sandbox claims the pod."""
    metadata = ObjectMeta(name=pod_name, namespace=namespace, uid=pool_uid)
    spec = SandboxSpec.model_construct(**fields_of(template))
    return Sandbox(metadata=metadata, spec=spec, status=status or SandboxStatus())


def render_warm_pod(pool: SandboxPool, config: Config, pod_name: str) -> Json:
    """Return a Pod (core/v1, as JSON) for a pool. Raises PolicyViolation if there may be no such pod."""
    written = write_template(pool.spec.template.spec, pool.spec.preload)
    if len(written.encode()) > MAX_TEMPLATE_BYTES:
        raise PolicyViolation(
            Reason.TEMPLATE_TOO_LARGE,
            f"spec.template.spec: {len(written.encode())} bytes are more than {MAX_TEMPLATE_BYTES}",
        )
    own = pool.metadata
    sandbox = placeholder_sandbox(own.namespace, pod_name, own.uid, pool.spec.template.spec)
    manifest = render_pod(sandbox, config, pool)
    # The configuration counts, too, unlike for the pod of a Sandbox: nothing is lost if a warm pod is replaced. Fields
    # with their default value are left out, so that a new version of Caisson with more fields replaces no pods.
    configured = config.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, include={"sandboxes", "toolboxes"}
    )
    shape = [written, manifest["spec"], configured]
    hashed = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    manifest["metadata"]["annotations"] |= {TEMPLATE_ANNOTATION: written, TEMPLATE_HASH_ANNOTATION: hashed}
    return manifest


def desired_pod(pool: SandboxPool, config: Config) -> DesiredPod:
    """Return what the pods of a pool should be created from. Raises PolicyViolation if there may be none."""
    rendered = render_warm_pod(pool, config, pool.metadata.name)
    # Parsed from the annotation, so that pods with the same annotation share the record.
    template_record, hashed = read_template(rendered), template_hash(rendered)
    assert template_record is not None  # noqa: S101  it was just written
    assert hashed is not None  # noqa: S101
    return DesiredPod(template_record, hashed)


def revision_of(template_record: PodTemplateRecord | None, template_hash: str | None, desired: DesiredPod) -> Revision:
    """Compare the record and the hash on a pod with those of the desired pod."""
    if template_record is None:
        return Revision.UNREADABLE
    # Another version of Caisson may write the same template differently.
    if template_record != desired.template_record:
        return Revision.OTHER_TEMPLATE
    return Revision.CURRENT if template_hash == desired.hash else Revision.OUTDATED


def template_hash(pod: Json) -> str | None:
    """Return the hash on a pod (core/v1, as JSON) of a pool; None if there is none."""
    annotations = pod["metadata"].get("annotations") or {}
    value = annotations.get(TEMPLATE_HASH_ANNOTATION)
    return value if isinstance(value, str) else None
