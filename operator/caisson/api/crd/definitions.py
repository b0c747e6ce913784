"""The CustomResourceDefinitions, generated from the models."""

from typing import Any

from caisson.api.crd.printer_columns import POOL_COLUMNS, SANDBOX_COLUMNS
from caisson.api.crd.structural_schema import Schema, structural_schema
from caisson.api.spec import pool
from caisson.api.spec.pool import SandboxPoolSpec
from caisson.api.spec.sandbox import KIND, MAX_NAME_LENGTH, PLURAL, SandboxSpec
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.api.types import GROUP, VERSION, rule


def sandbox_crd() -> Schema:
    """Return the CRD of Sandboxes, ready to be applied."""
    schema = _object(
        "An image with a Docker daemon of its own, isolated by gVisor.",
        _without_defaults(structural_schema(SandboxSpec)),
        structural_schema(SandboxStatus),
        _name_rule(MAX_NAME_LENGTH),
        rule(
            "!has(self.spec.ports) || self.spec.ports.size() == 0 || self.metadata.name.matches('^[a-z]')",
            "the Service of spec.ports has the name in metadata.name, which must therefore begin with a letter: choose"
            " another name, or remove spec.ports",
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
        "A pool of sandboxes that are ready before a Sandbox claims them.",
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
    """Remove the defaults of top-level fields, so that CEL rules can detect unset fields. The operator sets them."""
    properties = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in spec["properties"].items()
    }
    return spec | {"properties": properties}


def _name_rule(longest: int) -> dict[str, str]:
    return rule(
        f"self.metadata.name.size() <= {longest} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name is part of pod names: use at most {longest} lower-case letters, digits and dashes",
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
            # A rule can name the field in its fieldPath only if the schema declares it.
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
