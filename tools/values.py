"""The model of the chart's values, which becomes `charts/caisson/values.schema.json`.

Helm rejects values that violate the schema. Only `charts/caisson/values.yaml` contains the defaults, so each value is
required here: Helm reports a value that is set to null as missing instead of rendering it as an empty value.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from caisson.api.types import Quantity
from caisson.config.model import Config
from caisson.config.sandboxes import Toleration
from caisson.config.validators import LabelValue, QualifiedName

Schema = dict[str, Any]

KubernetesObject = dict[str, Any]
"""A part of a Kubernetes object that the chart passes through. The API server validates its fields."""

Labels = dict[QualifiedName, LabelValue]
Annotations = dict[QualifiedName, str]
ObjectName = Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
Count = Annotated[int, Field(ge=0)]
Percentage = Annotated[str, Field(pattern=r"^[0-9]{1,3}%$")]


_READ_BY_TEMPLATES = ("namespaces", "allowedRuntimeClasses", "toolboxes")
"""Fields of the configuration that can't be left to the operator's own defaults."""


class ValuesModel(BaseModel):
    """A part of the values, in camelCase. An unknown value is an error."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid", use_attribute_docstrings=True)


class Image(ValuesModel):
    """The operator's image."""

    repository: Annotated[str, Field(min_length=1)]
    """The image without its tag."""

    tag: str
    """The tag. If empty, the chart's appVersion."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    """When nodes pull the image."""


class LocalObjectReference(ValuesModel):
    """The name of an object in the release's namespace."""

    name: Annotated[ObjectName, Field(min_length=1)]
    """Its name."""


class Crds(ValuesModel):
    """The custom resource definition."""

    enabled: bool
    """Install and upgrade it with the release."""

    keep: bool
    """Keep it, and all Sandboxes, when the release is uninstalled."""


class AdmissionPolicies(ValuesModel):
    """The ValidatingAdmissionPolicies."""

    enabled: bool
    """Install them with the release."""

    guard: Literal["LabelledNamespaces", "AllNamespaces"]
    """Which namespaces are for sandboxes."""


class Rbac(ValuesModel):
    """Roles."""

    create: bool
    """The operator's Roles."""

    aggregate_roles: bool
    """ClusterRoles for users of Sandboxes, aggregated into view, edit and admin."""


class ServiceAccount(ValuesModel):
    """The operator's account."""

    create: bool
    """Create it. If false, it must exist."""

    name: ObjectName
    """Its name. If empty, the name of the release."""

    annotations: Annotations
    """Its annotations."""


class ContainerResources(ValuesModel):
    """Compute resources of a container."""

    requests: dict[str, Quantity] = {}
    """The resources that are reserved for it."""

    limits: dict[str, Quantity] = {}
    """The resources that it may use at most."""


class PodDisruptionBudget(ValuesModel):
    """How many operators may be evicted at a time."""

    enabled: bool
    """Create it."""

    max_unavailable: Count | Percentage
    """As in policy/v1."""


class OperatorNetworkPolicy(ValuesModel):
    """Which connections to and from the operator are allowed."""

    enabled: bool
    """Create it."""

    metrics_from: list[KubernetesObject]
    """Peers that may read the metrics, as in networking.k8s.io/v1. If empty, all peers."""

    api_server: list[KubernetesObject]
    """Peers at which the operator reaches the API server, as in networking.k8s.io/v1. If empty, all peers."""


class NetworkPolicy(ValuesModel):
    """NetworkPolicies of the release itself. config.sandboxes.network configures those of Sandboxes."""

    operator: OperatorNetworkPolicy
    """For the operator."""


class ServiceMonitor(ValuesModel):
    """A ServiceMonitor for the Prometheus Operator."""

    enabled: bool
    """Create it."""

    interval: Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h))+$")]
    """The interval at which Prometheus reads the metrics."""

    labels: Labels
    """Labels by which Prometheus selects it."""


class PrometheusRule(ValuesModel):
    """Alerts."""

    enabled: bool
    """Create them."""

    labels: Labels
    """Labels by which Prometheus selects them."""


class Dashboard(ValuesModel):
    """A ConfigMap with the Grafana dashboard."""

    enabled: bool
    """Create it."""

    labels: Labels
    """Labels by which Grafana's sidecar finds it."""


class MetricsValues(ValuesModel):
    """Objects for Prometheus and Grafana."""

    service_monitor: ServiceMonitor
    """A ServiceMonitor for the Prometheus Operator."""

    prometheus_rule: PrometheusRule
    """Alerts."""

    dashboard: Dashboard
    """A ConfigMap with the Grafana dashboard."""


class PrePull(ValuesModel):
    """A DaemonSet that pulls the toolbox images before the first Sandbox needs them."""

    enabled: bool
    """Create it."""

    resources: ContainerResources
    """The compute resources of each of its containers."""


class Test(ValuesModel):
    """Settings of `helm test`."""

    namespace: Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")]
    """The namespace of its Sandbox. If empty, the first of config.namespaces, or default."""

    image: str
    """The image of the sandbox. If empty, the operator's."""

    timeout_seconds: Annotated[int, Field(ge=1)]
    """How long the Sandbox may take to become Ready, in seconds."""


class Values(ValuesModel):
    """Values of Caisson's chart."""

    name_override: Annotated[str, Field(max_length=52, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")]
    """Replaces the chart's name in the names of objects."""

    fullname_override: Annotated[str, Field(max_length=52, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")]
    """Replaces the whole name of objects."""

    common_labels: Labels
    """Labels of every object of the chart."""

    image: Image
    """The operator's image."""

    image_pull_secrets: list[LocalObjectReference]
    """Secrets for pulling the operator's image."""

    config: Annotated[Config, Field(json_schema_extra={"required": list(_READ_BY_TEMPLATES)})]
    """The operator's configuration, written to its file."""

    crds: Crds
    """The custom resource definition."""

    admission_policies: AdmissionPolicies
    """The ValidatingAdmissionPolicies."""

    rbac: Rbac
    """Roles."""

    service_account: ServiceAccount
    """The operator's account."""

    replicas: Count
    """The number of operators. One of them leads."""

    resources: ContainerResources
    """The operator's compute resources."""

    priority_class_name: ObjectName
    """The operator's PriorityClass, which must exist. If empty, the chart creates one."""

    node_selector: Labels
    """Labels of the nodes on which the operator runs."""

    tolerations: list[Toleration]
    """Taints that the operator tolerates."""

    affinity: KubernetesObject
    """The operator's affinity, as in core/v1."""

    topology_spread_constraints: list[KubernetesObject]
    """How operators are spread, as in core/v1."""

    pod_labels: Labels
    """Labels of the operator's pods."""

    pod_annotations: Annotations
    """Annotations of the operator's pods."""

    extra_env: list[KubernetesObject]
    """Additional environment variables of the operator, as in core/v1."""

    termination_grace_period_seconds: Annotated[int, Field(ge=1)]
    """How long the operator may take to stop, in seconds."""

    pod_disruption_budget: PodDisruptionBudget
    """How many operators may be evicted at a time."""

    network_policy: NetworkPolicy
    """NetworkPolicies of the release itself."""

    metrics: MetricsValues
    """Objects for Prometheus and Grafana."""

    pre_pull: PrePull
    """A DaemonSet that pulls the toolbox images before the first Sandbox needs them."""

    test: Test
    """Settings of `helm test`."""


def values_schema() -> Schema:
    """Return the JSON schema of the values for Helm."""
    document = Values.model_json_schema(by_alias=True, mode="validation")
    schema = _convert(document, document["$defs"])
    # A parent chart shares these values with all of its subcharts.
    schema["properties"]["global"] = {"type": "object"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _convert(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Replace references, remove keywords that do not constrain a value, and reject unknown keys."""
    node = _resolve(node, definitions)
    result = {key: value for key, value in node.items() if key not in {"title", "default", "$defs"}}
    for key in ("x-kubernetes-int-or-string", "x-kubernetes-validations"):
        result.pop(key, None)
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "patternProperties" in result:
        result["additionalProperties"] = False
    if "anyOf" in result:
        result |= _choices([_convert(choice, definitions) for choice in result.pop("anyOf")])
    for key in ("properties", "patternProperties"):
        if key in result:
            result[key] = {name: _convert(field, definitions) for name, field in result[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(result.get(key), dict):
            result[key] = _convert(result[key], definitions)
    return result


def _resolve(node: Schema, definitions: dict[str, Schema]) -> Schema:
    if "$ref" not in node:
        return node
    return definitions[node["$ref"].removeprefix("#/$defs/")] | {k: v for k, v in node.items() if k != "$ref"}


def _choices(choices: list[Schema]) -> Schema:
    """Express `X or null` as types of one schema, so that the message about a wrong X is about X only."""
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) == len(choices):
        return {"anyOf": choices}
    (only,) = others
    if "anyOf" in only:
        return only | {"anyOf": [*only["anyOf"], {"type": "null"}]}
    enum = {"enum": [*only["enum"], None]} if "enum" in only else {}
    return only | {"type": [only["type"], "null"]} | enum
