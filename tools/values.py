"""The chart's values, as a model: from it comes `charts/caisson/values.schema.json`, by which helm refuses wrong ones.

The defaults are in `charts/caisson/values.yaml` alone, so each value is required here: one that is set to null is told
as missing rather than rendered as nothing.
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
"""A part of a Kubernetes object that the chart passes on: its fields are checked by the API server."""

Labels = dict[QualifiedName, LabelValue]
Annotations = dict[QualifiedName, str]
ObjectName = Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
Count = Annotated[int, Field(ge=0)]
Percentage = Annotated[str, Field(pattern=r"^[0-9]{1,3}%$")]


_READ_BY_TEMPLATES = ("namespaces", "allowedRuntimeClasses", "toolboxes")
"""Fields of the configuration that can't be left to the operator's own defaults."""


class ValuesModel(BaseModel):
    """A part of the values: camelCase, and an unknown one is an error."""

    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid", use_attribute_docstrings=True)


class Image(ValuesModel):
    """The operator's image."""

    repository: Annotated[str, Field(min_length=1)]
    """The image without its tag."""

    tag: str
    """The tag; the chart's appVersion when empty."""

    pull_policy: Literal["Always", "IfNotPresent", "Never"]
    """When nodes pull it."""


class LocalObjectReference(ValuesModel):
    """The name of an object in the release's namespace."""

    name: Annotated[ObjectName, Field(min_length=1)]
    """Its name."""


class Crds(ValuesModel):
    """The custom resource definition."""

    enabled: bool
    """Install and upgrade it with the release."""

    keep: bool
    """Keep it, and with it all Sandboxes, when the release is uninstalled."""


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
    """Make it; otherwise it exists."""

    name: ObjectName
    """Its name; the release's when empty."""

    annotations: Annotations
    """Its annotations."""


class ContainerResources(ValuesModel):
    """Compute resources of a container."""

    requests: dict[str, Quantity] = {}
    """What is set aside for it."""

    limits: dict[str, Quantity] = {}
    """The most that it gets."""


class PodDisruptionBudget(ValuesModel):
    """How many operators may be evicted at a time."""

    enabled: bool
    """Make one."""

    max_unavailable: Count | Percentage
    """As in policy/v1."""


class OperatorNetworkPolicy(ValuesModel):
    """What may talk to the operator, and to whom it may talk."""

    enabled: bool
    """Make one."""

    metrics_from: list[KubernetesObject]
    """Peers that may read the metrics, as in networking.k8s.io/v1; everybody when empty."""

    api_server: list[KubernetesObject]
    """Peers that the API server is reached at, as in networking.k8s.io/v1; everybody when empty."""


class NetworkPolicy(ValuesModel):
    """NetworkPolicies of the release's own. Those of Sandboxes are in config.sandboxes.network."""

    operator: OperatorNetworkPolicy
    """For the operator."""


class ServiceMonitor(ValuesModel):
    """Tells the Prometheus Operator where the metrics are."""

    enabled: bool
    """Make one."""

    interval: Annotated[str, Field(pattern=r"^([0-9]+(ms|s|m|h))+$")]
    """How often they are read."""

    labels: Labels
    """Labels by which a Prometheus finds it."""


class PrometheusRule(ValuesModel):
    """Alerts."""

    enabled: bool
    """Make them."""

    labels: Labels
    """Labels by which a Prometheus finds them."""


class Dashboard(ValuesModel):
    """A ConfigMap with the Grafana dashboard."""

    enabled: bool
    """Make it."""

    labels: Labels
    """Labels by which Grafana's sidecar finds it."""


class MetricsValues(ValuesModel):
    """What Prometheus and Grafana need."""

    service_monitor: ServiceMonitor
    """Tells the Prometheus Operator where the metrics are."""

    prometheus_rule: PrometheusRule
    """Alerts."""

    dashboard: Dashboard
    """A ConfigMap with the Grafana dashboard."""


class PrePull(ValuesModel):
    """A DaemonSet that pulls the toolboxes' images ahead of the first Sandbox."""

    enabled: bool
    """Make it."""

    resources: ContainerResources
    """Of each of its containers."""


class Test(ValuesModel):
    """What `helm test` does."""

    namespace: Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")]
    """Where it applies its Sandbox; the first of config.namespaces when empty, or else default."""

    image: str
    """The sandbox's image; the operator's when empty."""

    timeout_seconds: Annotated[int, Field(ge=1)]
    """How long the Sandbox has to become Ready."""


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
    """Secrets to pull the operator's image with."""

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
    """How many operators; one of them leads."""

    resources: ContainerResources
    """The operator's compute resources."""

    priority_class_name: ObjectName
    """The operator's PriorityClass, which must exist; when empty, the chart creates one."""

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
    """More of the operator's environment, as in core/v1."""

    termination_grace_period_seconds: Annotated[int, Field(ge=1)]
    """How long the operator has to end."""

    pod_disruption_budget: PodDisruptionBudget
    """How many operators may be evicted at a time."""

    network_policy: NetworkPolicy
    """NetworkPolicies of the release's own."""

    metrics: MetricsValues
    """What Prometheus and Grafana need."""

    pre_pull: PrePull
    """A DaemonSet that pulls the toolboxes' images ahead of the first Sandbox."""

    test: Test
    """What `helm test` does."""


def values_schema() -> Schema:
    """Return the JSON schema of the values, as helm reads it."""
    document = Values.model_json_schema(by_alias=True, mode="validation")
    schema = _convert(document, document["$defs"])
    # What a parent chart shares with all of its charts.
    schema["properties"]["global"] = {"type": "object"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _convert(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """Write every reference out, leave out what says nothing about a value, and allow no unknown keys."""
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
    """Say `X or nothing` as types of one schema: of a wrong X the message is then about X alone."""
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(others) == len(choices):
        return {"anyOf": choices}
    (only,) = others
    if "anyOf" in only:
        return only | {"anyOf": [*only["anyOf"], {"type": "null"}]}
    enum = {"enum": [*only["enum"], None]} if "enum" in only else {}
    return only | {"type": [only["type"], "null"]} | enum
