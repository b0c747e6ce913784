"""The manifest of a Sandbox's pod. All pods have the same shape, and a Sandbox can't set any other field."""

from typing import Any

from caisson.api.reasons import Reason
from caisson.api.resources import Sandbox
from caisson.api.spec.sandbox import SandboxSpec
from caisson.api.spec.template import Entrypoint, ResourceList
from caisson.config.model import Config, Isolation
from caisson.docker.commands import stop_command
from caisson.limits.check import validate_limits
from caisson.limits.defaults import effective_resources
from caisson.model.errors import PolicyViolation
from caisson.model.ownership import Owner, owner_labels, owner_reference
from caisson.model.pod_shape import CONTAINER_NAME, DOCKER_CAPABILITIES, in_pod_command
from caisson.model.pod_snapshot import SPEC_HASH_ANNOTATION
from caisson.model.tripwire import tripwire
from caisson.network.policy import network_labels
from caisson.pod.spec_hash import spec_hash
from caisson.pod.toolbox import init_containers, toolbox_mount, toolbox_volume
from caisson.pod.volumes import volumes
from caisson.timing import PROBE_DELAY_SECONDS, PROBE_FAILURE_THRESHOLD, PROBE_TIMEOUT_SECONDS


def render_pod(sandbox: Sandbox, config: Config, owner: Owner | None = None) -> dict[str, Any]:
    """Return the Pod (core/v1, as JSON) of a Sandbox, or of a pool that owns it until a Sandbox claims it.

    Raises PolicyViolation if the pod is not allowed.
    """
    spec, metadata = sandbox.spec, sandbox.metadata
    validate_limits(spec, config)
    resources = _resources(spec, config)
    mounted = volumes(sandbox, config)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "labels": {**pod_labels(sandbox, config, owner or sandbox), **network_labels(spec.network)},
            "annotations": {
                **config.sandboxes.annotations,
                # Otherwise, kubectl prints the name of the default container each time.
                "kubectl.kubernetes.io/default-container": CONTAINER_NAME,
                SPEC_HASH_ANNOTATION: spec_hash(spec),
            },
            "ownerReferences": [owner_reference(owner or sandbox)],
        },
        "spec": {
            "runtimeClassName": _runtime_class(spec, config),
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
            **_placement(config),
            **_pull_secrets(spec),
            **_isolation(config),
            **_init_containers(spec, config, resources),
            "containers": [
                {
                    **_container(sandbox, config, resources),
                    "volumeMounts": [toolbox_mount(), *(mount for _, mount in mounted)],
                }
            ],
            "volumes": [toolbox_volume(spec, config), *(volume for volume, _ in mounted)],
        },
    }


def pod_labels(sandbox: Sandbox, config: Config, owner: Owner) -> dict[str, str]:
    """Return the labels of a pod for its owner. The administrator's labels take precedence over the Sandbox's."""
    labels = sandbox.metadata.labels
    copied = {key: labels[key] for key in config.sandboxes.propagated_labels if key in labels}
    return {**copied, **config.sandboxes.labels, **owner_labels(owner)}


def _placement(config: Config) -> dict[str, Any]:
    """Return the node selector and the tolerations. Only the administrator can set them."""
    placement: dict[str, Any] = {}
    if config.sandboxes.node_selector:
        placement["nodeSelector"] = dict(config.sandboxes.node_selector)
    if config.sandboxes.tolerations:
        tolerations = config.sandboxes.tolerations
        placement["tolerations"] = [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in tolerations]
    return placement


def _pull_secrets(spec: SandboxSpec) -> dict[str, Any]:
    if not spec.image_pull_secrets:
        return {}
    return {"imagePullSecrets": [{"name": reference.name} for reference in spec.image_pull_secrets]}


def _isolation(config: Config) -> dict[str, Any]:
    if config.isolation is not Isolation.TRIPWIRE:
        return {}
    return {"securityContext": {"sysctls": tripwire()}}


def _init_containers(spec: SandboxSpec, config: Config, resources: dict[str, Any]) -> dict[str, Any]:
    containers = init_containers(spec, config, resources)
    return {"initContainers": containers} if containers else {}


def runtime_class_name(spec: SandboxSpec, config: Config) -> str:
    """Return the RuntimeClass of a spec, whether or not it is allowed."""
    return spec.runtime_class_name or config.allowed_runtime_classes[0]


def _runtime_class(spec: SandboxSpec, config: Config) -> str:
    allowed, name = config.allowed_runtime_classes, runtime_class_name(spec, config)
    if name not in allowed:
        raise PolicyViolation(
            Reason.RUNTIME_CLASS_NOT_ALLOWED,
            f"spec.runtimeClassName: {name} is not allowed; use one of {', '.join(allowed)}",
        )
    return name


def _container(sandbox: Sandbox, config: Config, resources: dict[str, Any]) -> dict[str, Any]:
    spec = sandbox.spec
    container: dict[str, Any] = {
        "name": CONTAINER_NAME,
        "image": spec.image,
        **_command(spec),
        "env": [
            *({"name": e.name, "value": e.value} for e in spec.env),
            # The in-pod script compares it with the UID in the command, because exec addresses a pod by name.
            {"name": "CAISSON_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        ],
        "resources": resources,
        "securityContext": _security_context(spec),
    }
    if spec.docker.enabled:
        container["readinessProbe"] = {
            "exec": {"command": in_pod_command("probe")},
            # The start reports the initial readiness. A concurrent probe would only take CPU time from it.
            "initialDelaySeconds": PROBE_DELAY_SECONDS,
            "periodSeconds": config.probe_period_seconds,
            # A late probe on a busy node must not look like a dead daemon.
            "timeoutSeconds": PROBE_TIMEOUT_SECONDS,
            "failureThreshold": PROBE_FAILURE_THRESHOLD,
        }
        container["lifecycle"] = {"preStop": {"exec": {"command": stop_command(sandbox)}}}
    return container


def _command(spec: SandboxSpec) -> dict[str, Any]:
    if spec.entrypoint is Entrypoint.IMAGE:
        return {} if spec.args is None else {"args": list(spec.args)}
    return {"command": in_pod_command("gate"), "args": ["--", *(spec.command or ()), *(spec.args or ())]}


def _security_context(spec: SandboxSpec) -> dict[str, Any]:
    if not spec.docker.enabled:
        return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "runAsUser": 0,
        "runAsGroup": 0,
        "capabilities": {"drop": ["ALL"], "add": list(DOCKER_CAPABILITIES)},
    }


def _resources(spec: SandboxSpec, config: Config) -> dict[str, Any]:
    resources, result = effective_resources(spec, config), {}
    for name, amounts in (("limits", resources.limits), ("requests", resources.requests)):
        if amounts is not None:
            result[name] = _amounts(amounts)
    return result


def _amounts(amounts: ResourceList) -> dict[str, str]:
    return {name: str(value) for name, value in amounts.model_dump(by_alias=True, exclude_none=True).items()}
