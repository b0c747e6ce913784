"""`docs/reference.md`: the fields, conditions, reasons, settings, capabilities, timing and metrics, from their
definitions."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from caisson.api.crd.structural_schema import structural_schema
from caisson.api.reasons import CONDITION_MEANINGS, EXPLANATIONS, Disposition, Explanation, Reason
from caisson.api.spec.pool import SandboxPoolSpec
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.status.pool import SandboxPoolStatus
from caisson.api.status.sandbox import SandboxStatus
from caisson.config.metadata_addresses import METADATA_ADDRESSES
from caisson.config.model import Config
from caisson.model.pod_shape import DOCKER_CAPABILITIES, capability_mask
from caisson.telemetry.metrics import Metrics
from tools.timing import timing_table

Schema = Mapping[str, Any]

_PROCESS_METRICS = ("process_", "python_")


def reference() -> Iterator[str]:
    """Yield the lines of the page."""
    yield "# Reference"
    yield ""
    yield "The fields of a Sandbox (`caisson.dev/v1alpha1`, short name `sbx`) and of a SandboxPool (`sbxp`), and the"
    yield "administrator's configuration. On a cluster, `kubectl explain sandbox.spec --recursive` prints the same."
    yield ""
    yield from _fields("spec", "The desired state", structural_schema(SandboxSpec))
    yield from _fields("status", "The observed state", structural_schema(SandboxStatus))
    yield from _fields("SandboxPool spec", "The desired state of a pool", _pool_spec())
    yield from _fields("SandboxPool status", "The observed state of a pool", structural_schema(SandboxPoolStatus))
    yield from _conditions()
    yield from _reasons()
    yield from _configuration()
    yield from _metadata_addresses()
    yield from _capabilities()
    yield from timing_table()
    yield from _metrics()


def _pool_spec() -> Schema:
    """Return the schema without the fields of the template, which are those of the Sandbox."""
    schema = structural_schema(SandboxPoolSpec)
    template = schema["properties"]["template"]["properties"]["spec"]
    schema["properties"]["template"]["properties"]["spec"] = {k: v for k, v in template.items() if k != "properties"}
    return schema


def _fields(name: str, title: str, schema: Schema) -> Iterator[str]:
    yield f"## {name}: {title[0].lower()}{title[1:]}"
    yield ""
    yield _cell(schema.get("description", ""))
    yield ""
    yield "| Field | Type | Default | Allowed | Description |"
    yield "|---|---|---|---|---|"
    yield from _rows(name, schema)
    yield ""
    rules = list(_rules(name, schema))
    if rules:
        yield f"The API server also enforces these rules on `{name}`:"
        yield ""
        yield from rules
        yield ""


def _rows(path: str, schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        inner = field
        while inner.get("type") == "array":
            here, inner = f"{here}[]", inner["items"]
        default = "required" if name in required else _default(field)
        yield f"| `{here}` | {_type(field)} | {default} | {_allowed(field)} | {_cell(field.get('description', ''))} |"
        yield from _rows(here, inner)


def _type(field: Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "quantity"
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    return "time" if field.get("format") == "date-time" else str(field["type"])


def _default(field: Schema) -> str:
    if "default" not in field or field["default"] == {}:
        return ""
    if field["default"] == list(METADATA_ADDRESSES):
        return "[these](#metadata-addresses)"
    return f"`{json.dumps(field['default'])}`"


def _allowed(field: Schema) -> str:
    limits = []
    if "enum" in field:
        limits.append(", ".join(f"`{value}`" for value in field["enum"]))
    limits += _range(field, "minimum", "maximum", "")
    if not field.get("x-kubernetes-int-or-string"):
        limits += _range(field, "minLength", "maxLength", " characters")
        if "pattern" in field:
            limits.append(f"`{_cell(field['pattern'])}`")
    limits += _range(field, "minItems", "maxItems", " items")
    if field.get("type") == "array" and (of_each := _allowed(field["items"])):
        limits.append(f"each {of_each}")
    return "; ".join(limits)


def _range(field: Schema, low: str, high: str, unit: str) -> list[str]:
    least, most = field.get(low), field.get(high)
    if least is None and most is None:
        return []
    if least is None:
        return [f"up to {most}{unit}"]
    return [f"from {least}{unit}" if most is None else f"{least} to {most}{unit}"]


def _rules(path: str, schema: Schema) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"- `{path}{rule.get('fieldPath', '')}`: {rule['message']}."
    for name, field in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", field)
    if "items" in schema:
        yield from _rules(f"{path}[]", schema["items"])


def _conditions() -> Iterator[str]:
    yield "## Conditions"
    yield ""
    yield "`status` is True, False, or Unknown. Unknown means that Caisson could not read the state, or has not yet."
    yield ""
    yield "| Type | True means |"
    yield "|---|---|"
    for type_, meaning in CONDITION_MEANINGS.items():
        yield f"| `{type_}` | {_cell(meaning)} |"
    yield ""


def _reasons() -> Iterator[str]:
    yield "## Reasons"
    yield ""
    yield "Ready repeats the reason of the condition that keeps it from being true. Events have the same reasons. For a"
    yield "crash, “retried” means that dockerd is restarted, as `spec.docker.restart` allows."
    yield ""
    yield "| Reason | Where | Meaning | What to do | What happens next |"
    yield "|---|---|---|---|---|"
    for reason in Reason:
        explanation = EXPLANATIONS[reason]
        where = ", ".join(_places(explanation)) or "an Event"
        meaning, next_step = _cell(explanation.meaning), _cell(explanation.next_step)
        yield f"| {' | '.join((f'`{reason}`', where, meaning, next_step, explanation.disposition.value))} |"
    yield ""


def _places(explanation: Explanation) -> Iterator[str]:
    yield from (f"`{condition}`" for condition in explanation.conditions)
    if explanation.is_crash:
        yield "`status.crash`"
    if explanation.disposition is Disposition.WARNING:
        yield "`status.docker.warnings`"


def _configuration() -> Iterator[str]:
    yield "## The administrator's configuration"
    yield ""
    yield "A YAML file, which the operator reads from the path in `--config`. An unknown field is an error. A change"
    yield "takes effect when the operator restarts, and replaces no pod."
    yield ""
    yield "| Field | Type | Default | Allowed | Description |"
    yield "|---|---|---|---|---|"
    yield from _rows("", structural_schema(Config))
    yield ""


def _metadata_addresses() -> Iterator[str]:
    yield "## Metadata addresses"
    yield ""
    yield "No Sandbox can reach these addresses. They are the default of `sandboxes.network.metadataAddresses`."
    yield ""
    yield "| Address | Service |"
    yield "|---|---|"
    for address, whose in METADATA_ADDRESSES.items():
        yield f"| `{address}` | {_cell(whose)} |"
    yield ""


def _capabilities() -> Iterator[str]:
    yield "## Capabilities"
    yield ""
    number, mask = len(DOCKER_CAPABILITIES), capability_mask()
    yield f"The container of a Docker sandbox runs as UID 0 with exactly these {number} capabilities. CapEff in"
    yield f"`/proc/self/status` is `{mask:016x}`. They apply to gVisor's kernel, not to the node's;"
    yield "[SECURITY.md](../SECURITY.md#what-the-capabilities-mean-inside-gvisor) explains what each allows. A sandbox"
    yield "without Docker has no capabilities."
    yield ""
    yield "| Capability | Number in capabilities(7) |"
    yield "|---|---|"
    for name, number in sorted(DOCKER_CAPABILITIES.items()):
        yield f"| `{name}` | {number} |"
    yield ""


def _metrics() -> Iterator[str]:
    yield "## Metrics"
    yield ""
    yield "The operator serves these metrics on port 9090 (`--metrics-port`), with the metrics of its process."
    yield "Durations are in seconds. No label names a Sandbox, a pod or a namespace. Each operator counts all"
    yield "Sandboxes, and only its own operations."
    yield ""
    yield "| Metric | Type | Labels | Meaning |"
    yield "|---|---|---|---|"
    metrics = Metrics()
    # A metric without a series has no labels.
    metrics.counts(tuple)
    metrics.holds(float, tuple)
    metrics.leads("caisson", bool)
    metrics.delivered("pods")
    metrics.requested("GET", "", 200, 0.0)
    metrics.crashed(Reason.DOCKERD_KILLED)
    metrics.has_workers(1)
    for family in metrics.registry.collect():
        if family.name.startswith(_PROCESS_METRICS):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label: None for sample in family.samples for label in sample.labels if label != "le"}
        cells = (f"`{name}`", family.type, ", ".join(f"`{label}`" for label in labels), _cell(family.documentation))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _cell(text: str) -> str:
    """Make text fit for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
