"""The CustomResourceDefinitions, made from the models."""

from typing import Any

from caisson.api import pool
from caisson.api.base import rule
from caisson.api.pool import SandboxPoolSpec, SandboxPoolStatus
from caisson.api.sandbox import GROUP, KIND, MAX_NAME_LENGTH, PLURAL, VERSION, SandboxSpec, SandboxStatus
from caisson.api.schema import Schema, structural_schema


def _of_ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


SANDBOX_COLUMNS: list[dict[str, Any]] = [
    {"name": "Ready", "type": "string", "jsonPath": _of_ready("status")},
    {"name": "Reason", "type": "string", "jsonPath": _of_ready("reason")},
    {"name": "Docker", "type": "string", "jsonPath": ".status.docker.version"},
    {
        "name": "Startup-ms",
        "type": "integer",
        "jsonPath": ".status.docker.readyAfterMilliseconds",
        "description": "From the start of dockerd to the first `docker info` that succeeded, in milliseconds.",
    },
    {"name": "Restarts", "type": "integer", "jsonPath": ".status.docker.restarts"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Pod", "type": "string", "jsonPath": ".status.podName", "priority": 1},
    {"name": "Origin", "type": "string", "jsonPath": ".status.pool.origin", "priority": 1},
    {"name": "Node", "type": "string", "jsonPath": ".status.nodeName", "priority": 1},
    {"name": "IP", "type": "string", "jsonPath": ".status.podIP", "priority": 1},
    {"name": "Storage", "type": "string", "jsonPath": ".status.docker.storageDriver", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
    # Of a date kubectl prints the age, and none for what is yet to come.
    {"name": "Expires", "type": "string", "jsonPath": ".status.expiresAt", "priority": 1},
]


POOL_COLUMNS: list[dict[str, Any]] = [
    {"name": "Desired", "type": "integer", "jsonPath": ".spec.replicas"},
    {"name": "Ready", "type": "integer", "jsonPath": ".status.readyReplicas"},
    {"name": "Reason", "type": "string", "jsonPath": _of_ready("reason")},
    {
        "name": "Oldest",
        "type": "date",
        "jsonPath": ".status.oldestReadySince",
        "description": "For how long the oldest of those that can be taken has been waiting.",
    },
    {"name": "Last-Failure", "type": "string", "jsonPath": ".status.lastFailure.reason"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Failed", "type": "date", "jsonPath": ".status.lastFailure.at", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.template.spec.image", "priority": 1},
]


def sandbox_crd() -> Schema:
    """Return the CRD of Sandboxes, ready to be applied."""
    schema = _object(
        "An image with a Docker daemon of its own, isolated by gVisor.",
        _without_defaults(structural_schema(SandboxSpec)),
        structural_schema(SandboxStatus),
        _name_rule(MAX_NAME_LENGTH),
        rule(
            "!has(self.spec.ports) || self.spec.ports.size() == 0 || self.metadata.name.matches('^[a-z]')",
            "metadata.name names the Service of spec.ports too, which must begin with a letter: choose another"
            " name, or leave out spec.ports",
            field_path=".metadata.name",
        ),
    )
    return _definition(KIND, PLURAL, "sbx", schema, SANDBOX_COLUMNS, {"status": {}})


def pool_crd() -> Schema:
    """Return the CRD of SandboxPools, ready to be applied."""
    spec = structural_schema(SandboxPoolSpec)
    template = spec["properties"]["template"]
    template["properties"]["spec"] = _without_defaults(template["properties"]["spec"])
    schema = _object(
        "Sandboxes that are started before somebody wants one, each with a Docker daemon that answers.",
        spec,
        structural_schema(SandboxPoolStatus),
        _name_rule(pool.MAX_NAME_LENGTH),
    )
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    return _definition(pool.KIND, pool.PLURAL, "sbxp", schema, POOL_COLUMNS, {"status": {}, "scale": scale})


def _without_defaults(spec: Schema) -> Schema:
    """Leave it to the operator to fill in what is not set at the top, so that rules can tell that it is not."""
    properties = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in spec["properties"].items()
    }
    return spec | {"properties": properties}


def _name_rule(longest: int) -> dict[str, str]:
    return rule(
        f"self.metadata.name.size() <= {longest} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name names pods too: use at most {longest} lower-case letters, digits and dashes",
        field_path=".metadata.name",
    )


def _object(description: str, spec: Schema, status: Schema, *validations: dict[str, str]) -> Schema:
    return {
        "description": description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # Declared, so that a rule may name it in its fieldPath.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": spec,
            "status": status,
        },
        "x-kubernetes-validations": list(validations),
    }


def _definition(
    kind: str, plural: str, short: str, schema: Schema, columns: list[dict[str, Any]], subresources: Schema
) -> Schema:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": subresources,
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": schema},
                },
            ],
        },
    }
