"""The objects that a test applies."""

import copy
from typing import Any

from caisson.model.ownership import MANAGED_BY, MANAGED_BY_LABEL

Json = dict[str, Any]

IMAGE = "debian:trixie-slim"


def sandbox_manifest(name: str = "demo", namespace: str = "default", **spec: Any) -> Json:
    """Return a Sandbox with fields of the spec as they stand in YAML."""
    if "poolRef" not in spec:
        spec = {"image": IMAGE} | spec
    return _manifest("caisson.dev/v1alpha1", "Sandbox", name, namespace) | {"spec": spec}


def pool_manifest(name: str = "warm", namespace: str = "default", replicas: int = 1, **spec: Any) -> Json:
    """Return a SandboxPool; `template` has fields of the template's spec."""
    template = {"spec": {"image": IMAGE} | spec.pop("template", {})}
    spec = {"replicas": replicas, "template": template} | spec
    return _manifest("caisson.dev/v1alpha1", "SandboxPool", name, namespace) | {"spec": spec}


def runtime_class_manifest(name: str = "gvisor", handler: str = "runsc") -> Json:
    """Return a RuntimeClass."""
    return {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": name},
        "handler": handler,
    }


def pod_manifest(name: str = "demo", *, argument_length: int = 0, **metadata: Any) -> Json:
    """Return a pod with Caisson's label. Each character of its argument takes six bytes of JSON."""
    labels = {MANAGED_BY_LABEL: MANAGED_BY}
    spec = {"args": ["<" * argument_length]} if argument_length else {}
    return {"metadata": {"name": name, "namespace": "default", "labels": labels} | metadata, "spec": spec}


def open_api_document(*crds: Json) -> Json:
    """Return the OpenAPI document that an API server makes of CRDs."""
    schemas: Json = {"dev.caisson.v1alpha1.SandboxList": {"type": "object"}}
    for crd in crds:
        kind = crd["spec"]["names"]["kind"]
        schema = copy.deepcopy(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"])
        schema["x-kubernetes-group-version-kind"] = [{"group": "caisson.dev", "version": "v1alpha1", "kind": kind}]
        schemas[f"dev.caisson.v1alpha1.{kind}"] = schema
    return {"openapi": "3.0.0", "components": {"schemas": schemas}}


def _manifest(api_version: str, kind: str, name: str, namespace: str) -> Json:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
