"""The pod of a Sandbox. There is one shape, and nothing in a Sandbox reaches a field that is not set here."""

from typing import Any

from caisson.api.reasons import Reason
from caisson.api.sandbox import (
    API_VERSION,
    KIND,
    Entrypoint,
    Profile,
    ResourceList,
    Sandbox,
    SandboxSpec,
    StorageType,
)
from caisson.config import Config, Toolbox
from caisson.core.allowance import (
    ConfigurationConflict,
    check_allowance,
    disk_storage_limit,
    effective_resources,
    memory_storage_bytes,
)
from caisson.core.podview import CONTAINER_NAME, GATE_NAME, SPEC_HASH_ANNOTATION, TOOLBOX_VOLUME
from caisson.core.spechash import spec_hash

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "caisson"
SANDBOX_LABEL = "caisson.dev/sandbox"

DOCKER_CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_ADMIN",
    "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE",
)  # fmt: skip
"""What dockerd and its containers need. They hold inside gVisor only; on another runtime they are root on the node,
which is why nothing starts there before the gate has looked."""

TOOLBOX_PATH = "/opt/caisson"
_BUSYBOX = f"{TOOLBOX_PATH}/bin/busybox"
_GATE = (_BUSYBOX, "sh", f"{TOOLBOX_PATH}/libexec/gate")
_CONTROL = (_BUSYBOX, "sh", f"{TOOLBOX_PATH}/libexec/sandbox")
_PROBE = (_BUSYBOX, "sh", f"{TOOLBOX_PATH}/libexec/probe")

_DOCKER_ROOT = "/var/lib/docker"


def render_pod(sandbox: Sandbox, config: Config) -> dict[str, Any]:
    """Return the Pod (core/v1, as JSON) of a Sandbox. Raises ConfigurationConflict where it may not have one."""
    spec, metadata = sandbox.spec, sandbox.metadata
    check_allowance(spec, config)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "labels": _labels(sandbox, config),
            "annotations": {**config.sandboxes.annotations, SPEC_HASH_ANNOTATION: spec_hash(spec)},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": metadata.name,
                    "uid": metadata.uid,
                    "controller": True,
                },
            ],
        },
        "spec": {
            "runtimeClassName": _runtime_class(spec, config),
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 10,
            **_placement(config),
            **_pull_secrets(spec),
            "initContainers": [_gate(spec, config)],
            "containers": [_container(spec, config)],
            "volumes": _volumes(spec, config),
        },
    }


def start_command(sandbox: Sandbox, config: Config, pod_uid: str, attempt: int) -> list[str]:
    """Return the argument vector of the exec session that starts dockerd, or goes on with a start."""
    docker = sandbox.spec.docker
    command = [*_CONTROL, "start", "--pod-uid", pod_uid, "--attempt", str(attempt)]
    command += ["--timeout", str(docker.start_timeout_seconds)]
    command += ["--profile", docker.profile.value, "--from", docker.from_.value]
    if docker.profile is Profile.GVISOR and docker.storage.type is StorageType.MEMORY:
        command += ["--tmpfs", str(memory_storage_bytes(sandbox.spec, config))]
    mirrors = config.sandboxes.registry_mirrors if docker.profile is Profile.GVISOR else ()
    return [*command, "--", *(f"--registry-mirror={mirror}" for mirror in mirrors), *docker.flags]


def verify_command(pod_uid: str) -> list[str]:
    """Return the argument vector of the exec session that looks at the kernel, and does nothing else."""
    return [*_CONTROL, "verify", "--pod-uid", pod_uid]


def _labels(sandbox: Sandbox, config: Config) -> dict[str, str]:
    given = sandbox.metadata.labels
    copied = {key: given[key] for key in config.sandboxes.propagated_labels if key in given}
    own = {MANAGED_BY_LABEL: MANAGED_BY, SANDBOX_LABEL: sandbox.metadata.name}
    return {**copied, **config.sandboxes.labels, **own}


def _placement(config: Config) -> dict[str, Any]:
    """Where the pod may run; only the administrator says."""
    placement: dict[str, Any] = {}
    if config.sandboxes.node_selector:
        placement["nodeSelector"] = dict(config.sandboxes.node_selector)
    if config.sandboxes.tolerations:
        found = config.sandboxes.tolerations
        placement["tolerations"] = [t.model_dump(mode="json", by_alias=True, exclude_none=True) for t in found]
    return placement


def _pull_secrets(spec: SandboxSpec) -> dict[str, Any]:
    if not spec.image_pull_secrets:
        return {}
    return {"imagePullSecrets": [{"name": reference.name} for reference in spec.image_pull_secrets]}


def _runtime_class(spec: SandboxSpec, config: Config) -> str:
    allowed = config.allowed_runtime_classes
    if spec.runtime_class_name is None:
        return allowed[0]
    if spec.runtime_class_name not in allowed:
        raise ConfigurationConflict(
            Reason.RUNTIME_CLASS_NOT_ALLOWED,
            f"spec.runtimeClassName: {spec.runtime_class_name} is not allowed here; use one of {', '.join(allowed)}",
        )
    return spec.runtime_class_name


def _toolbox(spec: SandboxSpec, config: Config) -> Toolbox:
    wanted = spec.docker.version if spec.docker.enabled else None
    for toolbox in config.toolboxes:
        if wanted in (None, toolbox.version):
            return toolbox
    versions = ", ".join(toolbox.version for toolbox in config.toolboxes)
    raise ConfigurationConflict(
        Reason.DOCKER_VERSION_UNKNOWN,
        f"spec.docker.version: {wanted} is not offered here; use one of {versions}",
    )


def _gate(spec: SandboxSpec, config: Config) -> dict[str, Any]:
    """The look at the kernel from an image of its own, in which there is nothing of the user's.

    All containers of a gVisor pod share one kernel, so what it sees holds for the next. The gate that is PID 1 of the
    sandbox can't be relied on alone: a VOLUME of the user's image may lie over the toolbox there, and only the kubelet
    knows the image's own entrypoint.
    """
    return {
        "name": GATE_NAME,
        "image": _toolbox(spec, config).image,
        "command": ["/bin/busybox", "sh", "/libexec/gate", "--check"],
        # Without a limit of its own the pod as a whole would have none, and it is the pod's that holds for gVisor.
        "resources": _resources(spec, config),
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }


def _container(spec: SandboxSpec, config: Config) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER_NAME,
        "image": spec.image,
        **_command(spec),
        "env": [
            *({"name": e.name, "value": e.value} for e in spec.env),
            # What an exec session compares with the UID that it is told, because exec takes a name.
            {"name": "CAISSON_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        ],
        "resources": _resources(spec, config),
        "securityContext": _security_context(spec),
        "volumeMounts": [{"name": TOOLBOX_VOLUME, "mountPath": TOOLBOX_PATH, "readOnly": True}],
    }
    if spec.docker.enabled:
        container["readinessProbe"] = {
            "exec": {"command": list(_PROBE)},
            # The first readiness comes from the start itself; a probe beside it would only take CPU from it.
            "initialDelaySeconds": 5,
            "periodSeconds": config.probe_period_seconds,
            # A probe that is late on a busy node must not look like a dead daemon.
            "timeoutSeconds": 10,
            "failureThreshold": 1,
        }
        if spec.docker.storage.type is StorageType.DISK:
            container["volumeMounts"].append({"name": "docker", "mountPath": _DOCKER_ROOT})
    return container


def _command(spec: SandboxSpec) -> dict[str, Any]:
    if spec.entrypoint is Entrypoint.IMAGE:
        return {} if spec.args is None else {"args": list(spec.args)}
    return {"command": list(_GATE), "args": ["--", *(spec.command or ()), *(spec.args or ())]}


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


def _volumes(spec: SandboxSpec, config: Config) -> list[dict[str, Any]]:
    image = _toolbox(spec, config).image
    volumes: list[dict[str, Any]] = [
        {"name": TOOLBOX_VOLUME, "image": {"reference": image, "pullPolicy": "IfNotPresent"}},
    ]
    if spec.docker.enabled and spec.docker.storage.type is StorageType.DISK:
        limit = disk_storage_limit(spec, config)
        volumes.append({"name": "docker", "emptyDir": {} if limit is None else {"sizeLimit": str(limit)}})
    return volumes
