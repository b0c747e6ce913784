"""The CustomResourceDefinition of the Sandbox, made from its models."""

from typing import Any

from caisson.api.base import rule
from caisson.api.sandbox import GROUP, KIND, MAX_NAME_LENGTH, PLURAL, VERSION, SandboxSpec, SandboxStatus
from caisson.api.schema import structural_schema


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


_COLUMNS = [
    {"name": "Ready", "type": "string", "jsonPath": _ready("status")},
    {"name": "Reason", "type": "string", "jsonPath": _ready("reason")},
    {"name": "Docker", "type": "string", "jsonPath": ".status.docker.version"},
    {
        "name": "Startup-ms",
        "type": "integer",
        "jsonPath": ".status.docker.readyAfterMilliseconds",
        "description": "From the start of dockerd to the first `docker info` that succeeded, in milliseconds.",
    },
    {"name": "Restarts", "type": "integer", "jsonPath": ".status.docker.restarts"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Node", "type": "string", "jsonPath": ".status.nodeName", "priority": 1},
    {"name": "IP", "type": "string", "jsonPath": ".status.podIP", "priority": 1},
    {"name": "Storage", "type": "string", "jsonPath": ".status.docker.storageDriver", "priority": 1},
    {"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1},
    # Of a date kubectl prints the age, and none for what is yet to come.
    {"name": "Expires", "type": "string", "jsonPath": ".status.expiresAt", "priority": 1},
]


def sandbox_crd() -> dict[str, Any]:
    """Return the CRD, ready to be applied."""
    schema = {
        "description": "An image with a Docker daemon of its own, isolated by gVisor.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # Declared, so that a rule may name it in its fieldPath.
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": structural_schema(SandboxSpec),
            "status": structural_schema(SandboxStatus),
        },
        "x-kubernetes-validations": [
            rule(
                f"self.metadata.name.size() <= {MAX_NAME_LENGTH}"
                " && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
                f"metadata.name names the pod too: use at most {MAX_NAME_LENGTH} lower-case letters, digits and dashes",
                field_path=".metadata.name",
            ),
            rule(
                "!has(self.spec.ports) || self.spec.ports.size() == 0 || self.metadata.name.matches('^[a-z]')",
                "metadata.name names the Service of spec.ports too, which must begin with a letter: choose another"
                " name, or leave out spec.ports",
                field_path=".metadata.name",
            ),
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "sandbox",
                "shortNames": ["sbx"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _COLUMNS,
                    "schema": {"openAPIV3Schema": schema},
                },
            ],
        },
    }
