"""An ordinary pod on runc, which represents a developer's machine or another pod on the pod network."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.kubectl import PATIENCE_SECONDS, Json, Kubectl

IMAGE = "caisson.dev/test/outside:1"

_UNTIL_CLOSED = 'setsid bash -euc "$1" & cat >/dev/null; kill -- -$!'

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class Outside:
    """An ordinary pod with a Docker CLI, kubectl and the permissions of a user of sandboxes in one namespace."""

    kubectl: Kubectl
    address: str

    @classmethod
    def start(cls, kubectl: Kubectl, sandboxes: Kubectl, program: Path) -> "Outside":
        """Start the pod in the namespace of `kubectl`, with access to `sandboxes`. `program` is the path of kubectl."""
        user = {"kind": "ServiceAccount", "name": "default", "namespace": kubectl.namespace}
        sandboxes.apply(_role())
        sandboxes.apply(_role_binding(user))
        server = sandboxes("get", "service", "kubernetes", "-n", "default", "-o", "jsonpath={.spec.clusterIP}")
        kubectl.apply(_kubeconfig(f"https://{server}", sandboxes.namespace))
        kubectl.apply(pod("outside", ["sleep", "infinity"], **_with_kubectl(program)))
        return cls(kubectl, until_running(kubectl, "outside"))

    def bash(self, script: str, timeout: float = PATIENCE_SECONDS) -> str:
        """Run a bash script and return its output without the last newline. Raises KubectlError."""
        return self.kubectl.exec("outside", "bash", "-euo", "pipefail", "-c", script, timeout=timeout).rstrip("\n")

    @contextmanager
    def terminal(self, script: str) -> Iterator[None]:
        """Run a script inside the context, as in its own terminal. Its processes end with the context."""
        command = ["kubectl", "--kubeconfig", str(self.kubectl.kubeconfig), "--namespace", self.kubectl.namespace]
        command += ["exec", "-i", "outside", "--", "bash", "-c", _UNTIL_CLOSED, "terminal", script]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        try:
            yield
        finally:
            process.communicate()


def pod(name: str, command: list[str], **spec: Any) -> Json:
    """Return the manifest of an ordinary pod with the outside image."""
    container = {"name": "main", "image": IMAGE, "command": command} | spec.pop("container", {})
    body = {"containers": [container], "terminationGracePeriodSeconds": 0} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": body}


def until_running(kubectl: Kubectl, name: str) -> str:
    """Wait until a pod is ready, and return its IP address."""
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s", timeout=180)
    return str(kubectl.get("pod", name)["status"]["podIP"])


def _with_kubectl(program: Path) -> dict[str, Any]:
    mounts = [
        {"name": "kubectl", "mountPath": "/usr/local/bin/kubectl", "readOnly": True},
        {"name": "kubeconfig", "mountPath": "/root/.kube", "readOnly": True},
    ]
    return {
        "container": {"volumeMounts": mounts, "workingDir": "/root"},
        "volumes": [
            {"name": "kubectl", "hostPath": {"path": str(program), "type": "File"}},
            {"name": "kubeconfig", "configMap": {"name": "kubeconfig"}},
        ],
    }


def _kubeconfig(server: str, namespace: str) -> Json:
    """A developer's kubeconfig: the API server, an account, and the namespace of the sandboxes."""
    authority = f"{_SERVICE_ACCOUNT}/ca.crt"
    cluster = {"server": server, "certificate-authority": authority}
    context = {"cluster": "cluster", "user": "developer", "namespace": namespace}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "developer", "user": {"tokenFile": f"{_SERVICE_ACCOUNT}/token"}}],
        "contexts": [{"name": "developer", "context": context}],
        "current-context": "developer",
    }
    data = {"config": json.dumps(config)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubeconfig"}, "data": data}


def _role() -> Json:
    """The permissions that docs/from-your-machine.md lists, and no others."""
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods/exec", "pods/portforward"], "verbs": ["get", "create"]},
    ]
    metadata = {"name": "developer"}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}


def _role_binding(user: Json) -> Json:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "developer"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "developer"},
        "roleRef": role,
        "subjects": [user],
    }
