"""The admission policies on the real API server: every dangerous field, for every user and every kind of request."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from caisson.model.pod_shape import DOCKER_CAPABILITIES
from caisson.model.tripwire import tripwire
from tests.e2e.cluster import LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, condition, eventually

OPERATOR = "--as=system:serviceaccount:caisson-system:caisson"
TENANT = "--as=tenant"


def pod(
    container: Json | None = None, annotations: Json | None = None, labels: Json | None = None, **spec: Any
) -> Json:
    """Return a pod that the policy accepts, except for the given fields."""
    plain = {"name": "c", "image": "debian:trixie-slim"}
    metadata: Json = {"name": "p", "annotations": annotations or {}, "labels": labels or {}}
    body = {"runtimeClassName": "gvisor", "containers": [plain | (container or {})]} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def context(**fields: Any) -> Json:
    """Return a container with this securityContext."""
    return {"securityContext": fields}


CAPABILITIES = list(DOCKER_CAPABILITIES)
MANAGED = {"app.kubernetes.io/managed-by": "caisson"}
OTHER = {"name": "other", "image": "debian:trixie-slim"}
GATE: Json = {
    "name": "gate",
    "image": "caisson.dev/toolbox:26",
    "command": ["/bin/busybox", "sh", "/libexec/gate", "--check"],
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
"""The init container of pods that the previous release created."""


TRIPWIRE = tripwire()
DAMAGED_TRIPWIRES: dict[str, list[Json]] = {
    # The kubelet converts slashes, and the last value wins: this pod runs on runc.
    "overridden-by-slashes": [
        *TRIPWIRE,
        {"name": "kernel/shm_rmid_forced", "value": "0"},
        {"name": "net/ipv4/tcp_syncookies", "value": "1"},
    ],
    "with-another": [*TRIPWIRE, {"name": "kernel.msgmax", "value": "1"}],
    "empty": [sysctl | {"value": ""} for sysctl in TRIPWIRE],
    "after-a-digit": [sysctl | {"value": "0 only-on-gvisor"} for sysctl in TRIPWIRE],
    "digit-and-newline": [sysctl | {"value": "0\n"} for sysctl in TRIPWIRE],
    "one-of-the-two": TRIPWIRE[:1],
    "reversed": TRIPWIRE[::-1],
}
"""Lists of sysctls that runc accepts, and similar lists."""

REQUIRED, PREFERRED = (f"{kind}DuringSchedulingIgnoredDuringExecution" for kind in ("required", "preferred"))
TERM = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}


def anti_affinity(**fields: Any) -> Json:
    """Return an affinity that keeps other pods from the node."""
    return {"podAntiAffinity": {REQUIRED: [TERM | fields]}}


REFUSED: dict[str, tuple[Json, str]] = {
    "no-runtime-class": (pod(runtimeClassName=None), "spec.runtimeClassName"),
    "runc": (pod(runtimeClassName="runc"), "spec.runtimeClassName"),
    "privileged": (pod(context(privileged=True)), "privileged"),
    "privileged-init": (pod(initContainers=[OTHER | context(privileged=True)]), "privileged"),
    "privileged-sidecar": (
        pod(initContainers=[OTHER | context(privileged=True) | {"restartPolicy": "Always"}]),
        "privil",
    ),
    "one-capability": (pod(context(capabilities={"add": ["SYS_ADMIN"]})), "capabilities.add"),
    "all-capabilities": (pod(context(capabilities={"add": ["ALL"]})), "capabilities.add"),
    "dockers-capabilities": (pod(context(capabilities={"add": CAPABILITIES, "drop": ["ALL"]})), "capabilities.add"),
    "capabilities-of-an-init-container": (
        pod(initContainers=[OTHER | context(capabilities={"add": ["NET_RAW"]})]),
        "capabilities.add",
    ),
    "managed-by-label": (pod(labels=MANAGED), "app.kubernetes.io/managed-by"),
    "managed-with-capabilities": (
        pod({"name": "sandbox"} | context(capabilities={"add": CAPABILITIES, "drop": ["ALL"]}), labels=MANAGED),
        "app.kubernetes.io/managed-by",
    ),
    "host-network": (pod(hostNetwork=True), "hostNetwork"),
    "host-pid": (pod(hostPID=True), "hostPID"),
    "host-ipc": (pod(hostIPC=True), "hostIPC"),
    "host-port": (pod({"ports": [{"containerPort": 80, "hostPort": 80}]}), "hostPort"),
    "host-path": (pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "spec.volumes"),
    "nfs": (pod(volumes=[{"name": "v", "nfs": {"server": "10.0.0.1", "path": "/"}}]), "spec.volumes"),
    "csi": (pod(volumes=[{"name": "v", "csi": {"driver": "any"}}]), "spec.volumes"),
    "device": (
        pod(
            {"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]},
            volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
        ),
        "volumeDevices",
    ),
    "unmasked-proc": (pod(context(procMount="Unmasked"), hostUsers=False), "procMount"),
    "unconfined": (pod(context(seccompProfile={"type": "Unconfined"})), "Unconfined"),
    "unconfined-pod": (pod(securityContext={"seccompProfile": {"type": "Unconfined"}}), "Unconfined"),
    "unconfined-apparmor": (pod(context(appArmorProfile={"type": "Unconfined"})), "Unconfined"),
    "sysctl": (pod(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}), "sysctls"),
    **{
        f"tripwire-{name}": (pod(securityContext={"sysctls": sysctls}), "spec.securityContext.sysctls")
        for name, sysctls in DAMAGED_TRIPWIRES.items()
    },
    "anti-affinity-to-another-namespace": (pod(affinity=anti_affinity(namespaces=["theirs"])), "spec.affinity"),
    "anti-affinity-to-all-namespaces": (pod(affinity=anti_affinity(namespaceSelector={})), "spec.affinity"),
    "anti-affinity-to-its-own-and-another": (
        pod(affinity=anti_affinity(namespaces=["e2e-admission", "theirs"])),
        "spec.affinity",
    ),
    "affinity-to-another-namespace": (
        pod(affinity={"podAffinity": {REQUIRED: [TERM | {"namespaces": ["theirs"]}]}}),
        "spec.affinity",
    ),
    "preferred-anti-affinity-to-another-namespace": (
        pod(
            affinity={
                "podAntiAffinity": {
                    PREFERRED: [
                        {"weight": 1, "podAffinityTerm": TERM | {"namespaceSelector": {"matchLabels": {"a": "b"}}}}
                    ]
                }
            }
        ),
        "spec.affinity",
    ),
    "system-node-critical": (pod(priorityClassName="system-node-critical"), "spec.priorityClassName"),
    "the-operators-class": (pod(priorityClassName="caisson"), "spec.priorityClassName"),
    "system-cluster-critical": (pod(priorityClassName="system-cluster-critical"), "spec.priorityClassName"),
    "node-name": (pod(nodeName="caisson-local"), "spec.nodeName"),
    "extended-resource": (pod({"resources": {"limits": {"example.com/gpu": "1"}}}), "resources: a namespace"),
    "device-of-an-init-container": (
        pod(initContainers=[OTHER | {"resources": {"limits": {"example.com/gpu": "1"}}}]),
        "resources: a namespace",
    ),
    "device-claim": (pod(resourceClaims=[{"name": "gpu", "resourceClaimName": "gpu"}]), "spec.resourceClaims"),
    "huge-pages": (
        pod({"resources": {"limits": {"hugepages-2Mi": "2Mi", "memory": "1Mi", "cpu": "1"}}}),
        "resources: a namespace",
    ),
    "gvisor-annotation": (pod(annotations={"dev.gvisor.internal.nvproxy": "true"}), "metadata.annotations"),
    "gvisor-flag": (pod(annotations={"dev.gvisor.flag.network": "host"}), "metadata.annotations"),
    "mount-of-another-volume": (pod(annotations={"dev.gvisor.spec.mount.v.type": "bind"}), "metadata.annotations"),
    "mount-of-another-type": (pod(annotations={"dev.gvisor.spec.mount.docker.type": "9p"}), "metadata.annotations"),
    "selinux-type": (pod(context(seLinuxOptions={"type": "spc_t"})), "seLinuxOptions"),
    "selinux-role": (pod(securityContext={"seLinuxOptions": {"role": "system_r"}}), "seLinuxOptions"),
    "probe-of-another-host": (
        pod({"readinessProbe": {"httpGet": {"host": "169.254.169.254", "port": 80}}}),
        "host of a probe",
    ),
    "hook-to-another-host": (
        pod({"lifecycle": {"preStop": {"tcpSocket": {"host": "10.0.0.1", "port": 80}}}}),
        "host of a probe",
    ),
    "runtimes-annotation": (pod(annotations={"io.kubernetes.cri.untrusted-workload": "true"}), "metadata.annotations"),
}

ALLOWED: dict[str, Json] = {
    "plain": pod(),
    "dropped": pod(context(capabilities={"drop": ["ALL"]}, privileged=False, procMount="Default")),
    "volumes": pod(
        volumes=[
            {"name": "a", "emptyDir": {}},
            {"name": "b", "configMap": {"name": "x"}},
            {"name": "c", "secret": {"secretName": "x"}},
            {"name": "d", "image": {"reference": "debian:trixie-slim"}},
        ]
    ),
    "ordinary-annotation": pod(annotations={"example.com/dev.gvisor.x": "y"}),
    "own-mount": pod(annotations={"dev.gvisor.spec.mount.docker.share": "container"}),
    "port": pod({"ports": [{"containerPort": 80}]}),
    "tripwire": pod(securityContext={"sysctls": TRIPWIRE}),
    "resources": pod({"resources": {"limits": {"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}}}),
    "anti-affinity": pod(affinity=anti_affinity()),
    "anti-affinity-by-its-own-name": pod(affinity=anti_affinity(namespaces=["e2e-admission"])),
}


def create(kubectl: Kubectl, manifest: Json, *options: str) -> str:
    """Create an object. The default is a dry run."""
    return kubectl("create", "-f", "-", *(options or ("--dry-run=server",)), stdin=json.dumps(manifest))


def as_created(pod: Json) -> Json:
    """Return the fields of an operator's pod that the policies check, as they were at its creation."""
    metadata = {key: pod["metadata"][key] for key in ("name", "labels", "annotations", "ownerReferences")}
    shape = (
        "runtimeClassName",
        "restartPolicy",
        "automountServiceAccountToken",
        "securityContext",
        "containers",
        "volumes",
    )
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {key: pod["spec"][key] for key in shape}}


@pytest.fixture(scope="module")
def guarded(cluster: LocalCluster) -> Iterator[Kubectl]:
    """kubectl in a guarded namespace, where a tenant has the ClusterRole `edit`."""
    kubectl = Kubectl(cluster.kubeconfig, "e2e-admission")
    kubectl("create", "namespace", "e2e-admission")
    kubectl("label", "namespace", "e2e-admission", "caisson.dev/sandboxes=true")
    kubectl("create", "rolebinding", "tenant", "--clusterrole=edit", "--user=tenant")
    yield kubectl
    kubectl("delete", "namespace", "e2e-admission", "--wait=false")


@pytest.mark.parametrize("user", ["administrator", "tenant"])
@pytest.mark.parametrize(("manifest", "field"), REFUSED.values(), ids=REFUSED)
def test_dangerous_pod_is_rejected_with_the_field(guarded: Kubectl, manifest: Json, field: str, user: str) -> None:
    options = ("--dry-run=server",) + ((TENANT,) if user == "tenant" else ())
    with pytest.raises(KubectlError, match="denied request: caisson: ") as error:
        create(guarded, manifest, *options)
    assert field in str(error.value)


@pytest.mark.parametrize("manifest", ALLOWED.values(), ids=ALLOWED)
def test_ordinary_pod_on_gvisor_is_accepted(guarded: Kubectl, manifest: Json) -> None:
    assert "created" in create(guarded, manifest, "--dry-run=server", TENANT)


def test_policy_does_not_apply_to_other_namespaces(cluster: LocalCluster) -> None:
    other = Kubectl(cluster.kubeconfig, "kube-public")
    assert "created" in create(other, REFUSED["privileged"][0])


def test_policy_applies_to_pods_of_controllers(guarded: Kubectl) -> None:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": REFUSED["privileged"][0]["spec"]}
    spec = {"selector": {"matchLabels": {"app": "d"}}, "template": template}
    guarded.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec})
    guarded("wait", "--for=condition=ReplicaFailure", "deployment/d", "--timeout=60s")
    assert "caisson: securityContext.privileged" in guarded("get", "deployment", "d", "-o", "yaml")
    guarded("delete", "deployment", "d")


class TestRunningSandbox:
    """Requests that affect an existing pod."""

    @pytest.fixture(scope="class")
    @staticmethod
    def sandbox(guarded: Kubectl) -> Iterator[Kubectl]:
        """kubectl in a namespace with the Sandbox `demo`, without Docker."""
        resources = {"limits": {"cpu": "500m", "memory": "256Mi"}}
        guarded.sandbox("demo", docker={"enabled": False}, resources=resources)
        guarded.until_ready("demo")
        guarded("create", "serviceaccount", "builder")
        yield guarded
        guarded("delete", "sbx", "demo")

    @pytest.mark.parametrize(
        ("patch", "message"),
        [
            ({"annotations": {"dev.gvisor.flag.debug": "true"}}, "metadata.annotations"),
            ({"labels": {"app.kubernetes.io/managed-by": None}}, "app.kubernetes.io/managed-by"),
        ],
    )
    def test_policy_applies_to_updates(self, sandbox: Kubectl, patch: Json, message: str) -> None:
        with pytest.raises(KubectlError, match="denied request: caisson: ") as error:
            sandbox("patch", "pod", "demo", "--type=merge", "-p", json.dumps({"metadata": patch}), TENANT)
        assert message in str(error.value)

    @pytest.mark.parametrize("seconds", [None, 3600], ids=["added", "with other seconds"])
    def test_tolerations_are_immutable(self, sandbox: Kubectl, seconds: int | None) -> None:
        tolerations = sandbox.get("pod", "demo")["spec"]["tolerations"]
        if seconds is None:
            tolerations.append({"operator": "Exists", "effect": "NoExecute"})
        else:
            tolerations[0]["tolerationSeconds"] = seconds
        patch = json.dumps({"spec": {"tolerations": tolerations}})
        with pytest.raises(KubectlError, match=r"caisson: spec\.tolerations"):
            sandbox("patch", "pod", "demo", "--type=merge", "-p", patch, TENANT)

    def test_image_of_the_container_is_immutable(self, sandbox: Kubectl) -> None:
        patch = json.dumps({"spec": {"containers": [{"name": "sandbox", "image": "debian:trixie"}]}})
        with pytest.raises(KubectlError, match="the images of a sandbox's pod can't be changed"):
            sandbox("patch", "pod", "demo", "-p", patch, TENANT)

    def test_ordinary_update_is_accepted(self, sandbox: Kubectl) -> None:
        sandbox("label", "pod", "demo", "team=red", TENANT)

    def test_debug_container_gets_no_capabilities(self, sandbox: Kubectl) -> None:
        container = {"name": "debug", "image": "debian:trixie-slim", "command": ["sleep", "1"]}
        with pytest.raises(KubectlError, match=r"caisson: securityContext\.capabilities"):
            self._debug(sandbox, container | context(capabilities={"add": ["SYS_PTRACE"]}))
        with pytest.raises(KubectlError, match=r"caisson: securityContext\.privileged"):
            self._debug(sandbox, container | context(privileged=True))
        self._debug(sandbox, container)

    @staticmethod
    def _debug(kubectl: Kubectl, container: Json) -> None:
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/demo/ephemeralcontainers"
        body = kubectl.get("pod", "demo")
        body["spec"]["ephemeralContainers"] = [container]
        kubectl("replace", "--raw", path, "-f", "-", stdin=json.dumps(body))

    def test_pod_can_not_be_resized(self, sandbox: Kubectl) -> None:
        resources = {"resources": {"limits": {"cpu": "900m"}, "requests": {"cpu": "900m"}}}
        patch = json.dumps({"spec": {"containers": [{"name": "sandbox", **resources}]}})
        with pytest.raises(KubectlError, match="caisson: a sandbox can't be resized"):
            sandbox("patch", "pod", "demo", "--subresource=resize", "--patch", patch)

    @pytest.mark.parametrize(
        "command",
        [
            ["sh", "-c", "id"],
            ["/opt/caisson/bin/busybox", "sh", "/opt/caisson/libexec/gate", "--", "id"],
            ["/opt/caisson/bin/busybox", "sh", "-c", "id"],
            ["/opt/caisson/bin/busybox", "sh", "/opt/caisson/libexec/sandbox", "another", "--pod-uid", "x"],
        ],
    )
    def test_operator_may_exec_only_the_in_pod_script(self, sandbox: Kubectl, command: list[str]) -> None:
        with pytest.raises(KubectlError, match="caisson: the operator runs the in-pod script"):
            sandbox("exec", OPERATOR, "demo", "-c", "sandbox", "--", *command)

    @pytest.mark.parametrize(("verb", "event"), [("verify", "isolated"), ("idle", "idle")])
    def test_operator_may_exec_the_in_pod_script(self, sandbox: Kubectl, verb: str, event: str) -> None:
        uid = sandbox.get("pod", "demo")["metadata"]["uid"]
        script = ["/opt/caisson/bin/busybox", "sh", "/opt/caisson/libexec/sandbox", verb, "--pod-uid", uid]
        assert f'"{event}"' in sandbox("exec", OPERATOR, "demo", "-c", "sandbox", "--", *script)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"metadata": {"ownerReferences": []}}, "belong to a Sandbox"),
            ({"metadata": {"name": "another"}}, "belong to a Sandbox"),
            ({"spec": {"restartPolicy": "Always"}}, "not restarted"),
            ({"volume": {"name": "docker", "secret": {"secretName": "sandbox-a"}}}, "volumes for Docker's storage"),
            ({"volume": {"name": "volume-a", "secret": {"secretName": "sandbox-a"}}}, "volumes for Docker's storage"),
            ({"volume": {"name": "volume-b", "hostPath": {"path": "/"}}}, "volumes"),
            ({"volume": {"name": "registry-credentials", "secret": {"secretName": "token"}}}, "only Secrets"),
            ({"volume": {"name": "volume-c", "configMap": {"name": "theirs"}}}, "only Secrets, ConfigMaps"),
            (
                {"volume": {"name": "docker", "persistentVolumeClaim": {"claimName": "sandbox-a"}}},
                "volumes for Docker's storage",
            ),
            (
                {
                    "container": {
                        "volumeMounts": [
                            {"name": "caisson-toolbox", "mountPath": "/opt/caisson", "readOnly": True},
                            {"name": "volume-d", "mountPath": "/opt/caisson/bin"},
                        ]
                    },
                    "volume": {"name": "volume-d", "emptyDir": {}},
                },
                "no mount covers it",
            ),
            *(
                (
                    {
                        "container": {
                            "volumeMounts": [
                                {"name": "caisson-toolbox", "mountPath": "/opt/caisson", "readOnly": True},
                                {"name": "volume-d", "mountPath": path},
                            ]
                        },
                        "volume": {"name": "volume-d", "emptyDir": {}},
                    },
                    "no mount covers it",
                )
                for path in ("//opt/caisson/bin", "/opt/./caisson/bin", "/usr/../opt/caisson/bin", "opt/caisson/bin")
            ),
            ({"spec": {"imagePullSecrets": [{"name": "token"}]}}, "only imagePullSecrets"),
            ({"container": {"lifecycle": {"postStart": {"exec": {"command": ["id"]}}}}}, "the hook that ends dockerd"),
            (
                {"container": {"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "id", "x"]}}}}},
                "the hook that ends dockerd",
            ),
            ({"container": {"name": "c"}}, "one container, sandbox"),
            # Without the mount, the path of the gate would refer to the user's image.
            ({"container": {"volumeMounts": []}}, "the toolbox at /opt/caisson"),
            ({"container": {"restartPolicy": "Always"}}, "not restarted"),
            ({"container": {"envFrom": [{"secretRef": {"name": "s"}}]}}, "no environment from Secrets"),
            (
                {"container": {"env": [{"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}},
                "no environment from Secrets",
            ),
            ({"spec": {"initContainers": [GATE | {"image": "debian:trixie-slim"}]}}, "at most the gate"),
            ({"spec": {"initContainers": [GATE | {"name": "other"}]}}, "at most the gate"),
            ({"spec": {"initContainers": [GATE, GATE | {"name": "second"}]}}, "at most the gate"),
            ({"spec": {"initContainers": [GATE | {"terminationMessagePath": "/libexec/gate"}]}}, "default path"),
            ({"container": {"terminationMessagePath": "/opt/caisson/libexec/gate"}}, "default path"),
            ({"spec": {"securityContext": {}}}, "the two sysctls"),
            ({"spec": {"shareProcessNamespace": True}}, "share"),
            ({"spec": {"shareProcessNamespace": True, "securityContext": {}, "initContainers": [GATE]}}, "share"),
            ({"container": {"command": ["sh", "-c", "id"]}}, "run the gate"),
            *(
                ({"spec": {"securityContext": {"sysctls": sysctls}}}, "sysctls")
                for sysctls in DAMAGED_TRIPWIRES.values()
            ),
            ({"spec": {"automountServiceAccountToken": True}}, "caisson: "),
            ({"spec": {"serviceAccountName": "builder"}}, "no service account"),
        ],
        ids=lambda value: (
            "" if isinstance(value, str) else "-".join(str(field) for field in next(iter(value.values())))
        ),
    )
    def test_operator_may_create_no_other_pods(self, sandbox: Kubectl, change: Json, message: str) -> None:
        body = as_created(sandbox.get("pod", "demo"))
        spec = body["spec"]
        spec["containers"] = [spec["containers"][0] | change.get("container", {})]
        spec["volumes"] = [*spec["volumes"], *filter(None, [change.get("volume")])]
        body |= {"metadata": body["metadata"] | change.get("metadata", {}), "spec": spec | change.get("spec", {})}
        # Not a dry run, which the policy for the operator ignores. The request is rejected, so it creates nothing.
        with pytest.raises(KubectlError, match="denied request: caisson: ") as error:
            create(sandbox, body, OPERATOR)
        assert message in str(error.value)

    @pytest.mark.parametrize("spec", [{}, {"securityContext": {}, "initContainers": [GATE]}], ids=["new", "previous"])
    def test_operator_may_create_pods_of_both_releases(self, sandbox: Kubectl, spec: Json) -> None:
        body = as_created(sandbox.get("pod", "demo"))
        body["spec"] |= spec
        # Admission precedes the check for an existing name.
        with pytest.raises(KubectlError, match="AlreadyExists"):
            create(sandbox, body, OPERATOR)

    @pytest.mark.parametrize("user", [(), (TENANT,)], ids=["administrator", "tenant"])
    @pytest.mark.parametrize("request_", ["exec?command=true&container=gate", "attach?container=gate"])
    def test_gate_can_not_be_entered(self, sandbox: Kubectl, request_: str, user: tuple[str, ...]) -> None:
        # A raw request, because kubectl does not attach to a container that the pod does not have.
        path = f"/api/v1/namespaces/{sandbox.namespace}/pods/demo/{request_}&stdout=true"
        with pytest.raises(KubectlError, match="denied request: caisson: container: gate"):
            sandbox("get", "--raw", path, *user)

    def test_gate_can_not_be_debugged(self, sandbox: Kubectl) -> None:
        container = {"name": "debug-gate", "image": "debian:trixie-slim", "targetContainerName": "gate"}
        with pytest.raises(KubectlError, match="targetContainerName"):
            self._debug(sandbox, container)


OWNED = {"name": "demo", "labels": MANAGED | {"caisson.dev/sandbox": "demo"}}
SELECTOR = MANAGED | {"caisson.dev/sandbox": "demo"}
HEADLESS = {"clusterIP": "None", "selector": SELECTOR, "ports": [{"port": 80}]}
POLICY = {"podSelector": {"matchLabels": SELECTOR}, "policyTypes": ["Ingress", "Egress"]}
API_VERSIONS = {"NetworkPolicy": "networking.k8s.io/v1"}
EMPTY = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


@pytest.mark.parametrize(
    ("kind", "name", "spec", "message"),
    [
        ("Service", "other", HEADLESS, "belong to a Sandbox"),
        ("Service", "demo", HEADLESS | {"clusterIP": None}, "are headless"),
        ("Service", "demo", HEADLESS | {"selector": {"app": "theirs"}}, "are headless"),
        ("Service", "demo", {"type": "ExternalName", "externalName": "example.com"}, "are headless"),
        ("Service", "demo", HEADLESS | {"externalIPs": ["203.0.113.1"]}, "are headless"),
        ("NetworkPolicy", "other", POLICY, "belong to a Sandbox"),
        ("NetworkPolicy", "demo", POLICY | {"podSelector": {}}, "are for the pod of their Sandbox"),
        (
            "NetworkPolicy",
            "demo",
            POLICY | {"podSelector": {"matchLabels": MANAGED}},
            "are for the pod of their Sandbox",
        ),
        (
            "NetworkPolicy",
            "demo",
            POLICY | {"podSelector": {"matchLabels": SELECTOR | {"caisson.dev/sandbox": "theirs"}}},
            "are for the pod of their Sandbox",
        ),
        ("NetworkPolicy", "demo", POLICY | {"policyTypes": ["Ingress"]}, "in both directions"),
        ("PersistentVolumeClaim", "demo", EMPTY, "belong to a Sandbox"),
        ("PersistentVolumeClaim", "demo-docker", EMPTY | {"volumeName": "theirs"}, "choose no volume"),
        (
            "PersistentVolumeClaim",
            "demo-docker",
            EMPTY | {"dataSource": {"kind": "PersistentVolumeClaim", "name": "theirs"}},
            "are empty",
        ),
        ("PersistentVolumeClaim", "demo-docker", EMPTY | {"selector": {"matchLabels": {"a": "b"}}}, "choose no volume"),
        ("PersistentVolumeClaim", "demo-docker", EMPTY | {"volumeMode": "Block"}, "choose no volume"),
        ("PersistentVolumeClaim", "demo-docker", EMPTY | {"accessModes": ["ReadWriteMany"]}, "choose no volume"),
    ],
)
def test_operator_may_create_no_other_children(
    kubectl: Kubectl, kind: str, name: str, spec: Json, message: str
) -> None:
    owner = {"apiVersion": "caisson.dev/v1alpha1", "kind": "Sandbox", "name": "demo", "uid": "u", "controller": True}
    metadata = OWNED | {"name": name, "ownerReferences": [owner]}
    body = {"apiVersion": API_VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, "spec": spec}
    with pytest.raises(KubectlError, match="denied request: caisson: ") as error:
        create(kubectl, body, OPERATOR)
    assert message in str(error.value)


def test_operator_may_not_delete_pvcs_and_foreign_services(kubectl: Kubectl) -> None:
    kubectl("create", "service", "clusterip", "s", "--tcp=1")
    with pytest.raises(KubectlError, match="delete only objects of Sandboxes"):
        kubectl("delete", OPERATOR, "service", "s")
    with pytest.raises(KubectlError, match="cannot delete resource"):
        kubectl("delete", OPERATOR, "pvc", "any")


def test_operator_may_not_change_foreign_policies(kubectl: Kubectl) -> None:
    metadata = {"name": "demo"}
    kubectl.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": POLICY})
    with pytest.raises(KubectlError, match="may change and delete only objects of Sandboxes"):
        kubectl("delete", OPERATOR, "networkpolicy", "demo")
    policy = kubectl.get("networkpolicy", "demo")
    policy["spec"]["egress"] = [{}]
    with pytest.raises(KubectlError, match="may change and delete only objects of Sandboxes"):
        kubectl("replace", OPERATOR, "-f", "-", stdin=json.dumps(policy))


OBJECTS: dict[str, tuple[str, Json]] = {
    "Service": ("v1", HEADLESS),
    "NetworkPolicy": ("networking.k8s.io/v1", POLICY),
    "PersistentVolumeClaim": ("v1", EMPTY),
}


@pytest.mark.parametrize("user", [(), (TENANT,)], ids=["administrator", "tenant"])
@pytest.mark.parametrize("kind", OBJECTS)
def test_only_the_operator_may_create_objects_with_its_label(
    guarded: Kubectl, kind: str, user: tuple[str, ...]
) -> None:
    version, spec = OBJECTS[kind]
    body = {"apiVersion": version, "kind": kind, "metadata": {"name": "squatter"}, "spec": spec}
    with pytest.raises(KubectlError, match=r"caisson: metadata\.labels"):
        create(guarded, body | {"metadata": {"name": "squatter", "labels": MANAGED}}, "--dry-run=server", *user)
    create(guarded, body, "--output=name", *user)
    if kind != "NetworkPolicy" and not user:
        patch = json.dumps({"metadata": {"labels": MANAGED}})
        with pytest.raises(KubectlError, match=r"caisson: metadata\.labels"):
            guarded("patch", kind, "squatter", "--subresource=status", "--type=merge", "-p", patch)
    with pytest.raises(KubectlError, match=r"caisson: metadata\.labels"):
        guarded("label", kind, "squatter", "app.kubernetes.io/managed-by=caisson", *user)
    guarded("label", kind, "squatter", "app.kubernetes.io/managed-by=somebody", *user)
    guarded("delete", kind, "squatter", "--wait=false")


@pytest.mark.parametrize("user", [(), (TENANT,)], ids=["administrator", "tenant"])
def test_only_the_operator_may_change_its_objects(guarded: Kubectl, user: tuple[str, ...]) -> None:
    storage = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"size": "1Gi", "storageClassName": "none"}}
    guarded.sandbox("owner", docker={"storage": storage}, ports=[{"name": "web", "containerPort": 80}])
    for kind, name in (("service", "owner"), ("networkpolicy", "owner"), ("pvc", "owner-docker")):
        eventually(lambda kind=kind, name=name: guarded.exists(kind, name), lambda kind=kind: f"no {kind}")  # type: ignore[misc]
        for change in ({"labels": {"app.kubernetes.io/managed-by": None}}, {"labels": {"more": "x"}}):
            with pytest.raises(KubectlError, match="may be changed only by the operator"):
                guarded("patch", kind, name, "--type=merge", "-p", json.dumps({"metadata": change}), *user)
        with pytest.raises(KubectlError, match="may be changed only by the operator"):
            guarded("patch", kind, name, "--type=merge", "-p", '{"metadata": {"ownerReferences": null}}', *user)
    with pytest.raises(KubectlError, match="may be changed only by the operator"):
        guarded("patch", "networkpolicy", "owner", "--type=merge", "-p", '{"spec": {"egress": [{}]}}', *user)
    with pytest.raises(KubectlError, match="may be changed only by the operator"):
        guarded("patch", "service", "owner", "--type=merge", "-p", '{"spec": {"selector": {"a": "b"}}}', *user)
    for spec in ({"volumeName": "theirs"}, {"storageClassName": "another"}):
        with pytest.raises(KubectlError, match=r"may be changed only by the operator|is immutable|Forbidden"):
            guarded("patch", "pvc", "owner-docker", "--type=merge", "-p", json.dumps({"spec": spec}), *user)
    # Storage drivers annotate a PVC, and a controller of the cluster binds it.
    guarded("annotate", "pvc", "owner-docker", "driver=busy", "--overwrite", *user)
    guarded.as_controller("label", "pvc", "owner-docker", "more=x", "--overwrite")
    guarded("delete", "sbx", "owner")


def test_policies_have_no_type_errors(kubectl: Kubectl) -> None:
    def policies() -> list[Json]:
        all_policies = kubectl.get_all("validatingadmissionpolicies")
        return [policy for policy in all_policies if policy["metadata"]["name"].startswith("caisson-")]

    def is_checked(policy: Json) -> bool:
        status = policy.get("status", {})
        return status.get("observedGeneration") == policy["metadata"]["generation"] and "typeChecking" in status

    assert len(policies()) == 5
    eventually(lambda: all(map(is_checked, policies())), lambda: json.dumps([p.get("status") for p in policies()]))
    assert {p["metadata"]["name"]: p["status"]["typeChecking"] for p in policies() if p["status"]["typeChecking"]} == {}


def test_operator_may_not_delete_foreign_pods(kubectl: Kubectl) -> None:
    kubectl.apply(pod())
    with pytest.raises(KubectlError, match="caisson: the operator may change and delete only objects of Sandboxes"):
        kubectl("delete", "pod", "p", OPERATOR, "--wait=false")


@pytest.mark.parametrize(
    "metadata",
    [
        {"annotations": {"caisson.dev/spec-hash": "forged"}},
        {"annotations": {"caisson.dev/spec-hash": None}},
        {"annotations": {"caisson.dev/pool-template": "{}"}},
        {"labels": {"caisson.dev/sandbox": "another"}},
        {"labels": {"caisson.dev/pool": "warm"}},
        {"labels": {"caisson.dev/network": "sandboxes"}},
    ],
    ids=str,
)
def test_labels_and_annotations_of_the_operator_are_protected(kubectl: Kubectl, metadata: Json) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    eventually(lambda: kubectl.exists("pod", "demo"), lambda: "there is no pod")
    with pytest.raises(KubectlError, match="only the operator may change those"):
        kubectl("patch", "pod", "demo", "--type=merge", "-p", json.dumps({"metadata": metadata}))
    kubectl("label", "pod", "demo", "mine=yes")
    kubectl("annotate", "pod", "demo", "mine=yes")


def test_operator_may_not_change_the_pod_of_a_sandbox(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    eventually(lambda: kubectl.exists("pod", "demo"), lambda: "there is no pod")
    with pytest.raises(KubectlError, match="only to assign a pool's pod to a Sandbox"):
        kubectl("patch", OPERATOR, "pod", "demo", "--type=merge", "-p", '{"metadata": {"labels": {"a": "b"}}}')


def test_owner_of_a_pod_is_protected(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    with pytest.raises(KubectlError, match=r"caisson: metadata\.ownerReferences"):
        kubectl("patch", "pod", "demo", "--type=merge", "-p", '{"metadata":{"ownerReferences":null}}')


def test_operator_may_create_no_pods_in_other_namespaces(cluster: LocalCluster) -> None:
    other = Kubectl(cluster.kubeconfig, "kube-public")
    with pytest.raises(KubectlError, match="caisson: the namespace is not guarded"):
        create(other, pod(), OPERATOR)


def test_namespace_without_the_label_gets_no_pod(kubectl: Kubectl) -> None:
    kubectl("label", "namespace", kubectl.namespace, "caisson.dev/sandboxes-")
    kubectl.sandbox("demo", docker={"enabled": False})
    status = kubectl.until_reason("demo", "NamespaceNotGuarded")
    assert "caisson.dev/sandboxes=true" in condition(status, "Ready")["message"]
    assert not kubectl.exists("pod", "demo")
    kubectl("label", "namespace", kubectl.namespace, "caisson.dev/sandboxes=true")
    kubectl.until_ready("demo")


def test_sandbox_starts_with_the_image_pull_secrets_of_its_namespace(kubectl: Kubectl) -> None:
    """OpenShift, for example, adds imagePullSecrets to the ServiceAccount default of each namespace."""
    secrets = [{"name": "registry"}, {"name": "mirror"}]
    kubectl("patch", "serviceaccount", "default", "--patch", json.dumps({"imagePullSecrets": secrets}))
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    created = kubectl.get("pod", "demo")
    assert created["spec"]["imagePullSecrets"] == secrets
    kubectl("delete", "sbx", "demo")

    # The operator's token grants no other Secret of the namespace.
    kubectl.sandbox("owner", docker={"enabled": False}, suspend=True)
    reference = created["metadata"]["ownerReferences"][0] | {
        "name": "owner",
        "uid": kubectl.get("sbx", "owner")["metadata"]["uid"],
    }
    created["metadata"]["ownerReferences"] = [reference]
    created["metadata"]["labels"]["caisson.dev/sandbox"] = created["metadata"]["name"] = "owner"
    manifest = as_created(created)
    for names in (["registry"], ["mirror", "registry"], ["registry", "mirror", "token"], ["token"]):
        manifest["spec"]["imagePullSecrets"] = [{"name": name} for name in names]
        with pytest.raises(KubectlError, match="only imagePullSecrets whose names"):
            create(kubectl, manifest, OPERATOR)
    manifest["spec"]["imagePullSecrets"] = secrets
    assert "created" in create(kubectl, manifest, OPERATOR)


INJECTOR = """
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: e2e-injector}
spec:
  matchConstraints:
    namespaceSelector: {matchLabels: {e2e-inject: "true"}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  failurePolicy: Fail
  reinvocationPolicy: Never
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: >-
          [JSONPatch{op: "add", path: "/spec/containers/-",
          value: Object.spec.containers{name: "mesh", image: "debian:trixie-slim"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: e2e-injector}
spec: {policyName: e2e-injector}
"""


def test_mutation_of_the_pod_is_reported(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", stdin=INJECTOR)
    try:
        kubectl("label", "namespace", kubectl.namespace, "e2e-inject=true")
        time.sleep(3)  # the policy takes effect after a delay
        kubectl.sandbox("demo", docker={"enabled": False})
        status = kubectl.until_reason("demo", "PodMutated")
        assert "one container" in condition(status, "Ready")["message"]
        assert not kubectl.exists("pod", "demo")
    finally:
        kubectl("delete", "-f", "-", stdin=INJECTOR)
