"""The chart on a real cluster: installation, upgrade, rollback and uninstallation do not affect running sandboxes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.e2e.cluster import CHECKOUT, VALUES, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, condition, eventually

pytestmark = pytest.mark.alone

NAMESPACE = "caisson-system"
CHART = CHECKOUT / "charts" / "caisson"
MANIFESTS = CHECKOUT / "manifests"
CRD = "sandboxes.caisson.dev"
OPERATOR = f"--as=system:serviceaccount:{NAMESPACE}:caisson"


class HelmError(Exception):
    """Helm failed. The message is its output."""


@dataclass(frozen=True)
class Release:
    """The Helm release `caisson` and its namespace."""

    helm: str
    system: Kubectl

    def __call__(self, command: str, *arguments: str) -> str:
        """Run helm and return its stdout and stderr. Raises HelmError."""
        environment = os.environ | {"KUBECONFIG": str(self.system.kubeconfig)}
        line = [self.helm, command, *arguments, "--namespace", NAMESPACE]
        result = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if result.returncode != 0:
            raise HelmError(result.stdout + result.stderr)
        return result.stdout + result.stderr

    def upgrade(self, *assignments: str, chart: Path = CHART, options: tuple[str, ...] = ()) -> None:
        """Install or upgrade the chart, and wait until all its objects are ready. Raises HelmError."""
        sets = [word for assignment in assignments for word in ("--set", assignment)]
        values = ("--values", str(VALUES))
        options = ("--create-namespace", "--wait", "--timeout", "120s", *options)
        self("upgrade", "caisson", str(chart), "--install", *values, *options, *sets)

    def remove(self) -> None:
        """Remove the release, the CRD and all Sandboxes."""
        self("uninstall", "caisson", "--wait", "--ignore-not-found")
        self.system("delete", "crd", CRD, "--ignore-not-found")

    def revision(self) -> int:
        """Return the number of the deployed revision."""
        return len(yaml.safe_load(self("history", "caisson", "--output", "yaml")))


@pytest.fixture
def release(cluster: LocalCluster, kubectl: Kubectl) -> Iterator[Release]:
    """The release, for a test that changes it. It is restored for the other tests afterwards."""
    command = [sys.executable, "-m", "local", "tool", "helm"]
    helm = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.strip()
    yield Release(helm, Kubectl(cluster.kubeconfig, NAMESPACE))
    cluster.start_operator()


@pytest.fixture
def absent(release: Release) -> Iterator[Release]:
    """The release, uninstalled before and after the test."""
    release.remove()
    yield release
    release.remove()


@pytest.fixture
def previous(release: Release, tmp_path: Path) -> Path:
    """The package of a previous chart.

    No version has been released, so it is the current chart with a lower version and a CRD without the field `lifetime`
    and one printer column. The operator is the same.
    """
    chart = tmp_path / "caisson"
    shutil.copytree(CHART, chart)
    crd = yaml.safe_load((chart / "files" / "crds" / "sandboxes.yaml").read_text(encoding="utf-8"))
    (version,) = crd["spec"]["versions"]
    version["additionalPrinterColumns"].pop()
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["lifetime"]
    rules = "x-kubernetes-validations"
    spec[rules] = [rule for rule in spec[rules] if "lifetime" not in rule["rule"]]
    (chart / "files" / "crds" / "sandboxes.yaml").write_text(yaml.safe_dump(crd), encoding="utf-8")
    release("package", str(chart), "--version", "0.0.9", "--destination", str(tmp_path))
    return tmp_path / "caisson-0.0.9.tgz"


def identity_of(kubectl: Kubectl, name: str) -> Json:
    """Return the properties of a sandbox that change only if its pod, its dockerd or its containers are restarted."""
    docker = kubectl.status(name)["docker"]
    return {
        "pod": kubectl.get("pod", name)["metadata"]["uid"],
        "dockerd": docker["pid"],
        "started": docker["startedAt"],
        # The start time of dockerd in clock ticks since boot.
        "ticks": kubectl.shell(name, f"cut -d ' ' -f 22 /proc/{docker['pid']}/stat").strip(),
        "restarts": docker["restarts"],
        "containers": kubectl.exec(name, "docker", "ps", "--quiet", "--no-trunc").split(),
    }


def has_lifetime(release: Release) -> bool:
    """Return whether the CRD on the cluster has the field that the CRD of the previous chart lacks."""
    (version,) = release.system.get("crd", CRD)["spec"]["versions"]
    return "lifetime" in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_sandboxes_survive_upgrade_and_rollback(absent: Release, kubectl: Kubectl, previous: Path) -> None:
    release = absent
    release.upgrade(chart=previous)
    assert not has_lifetime(release)
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    kubectl.shell(
        "demo", "tar -C /opt/caisson/bin -c busybox | docker import - box && docker run -d box /busybox sleep 1d"
    )
    before = identity_of(kubectl, "demo")
    assert len(before["containers"]) == 1

    release.upgrade("config.sandboxes.labels.tier=upgraded", "config.probePeriodSeconds=5", "replicas=2")
    assert has_lifetime(release), "the CRD was not upgraded"
    kubectl.sandbox("later", lifetime={"ttlSeconds": 3600})
    kubectl.until_ready("later")
    assert kubectl.get("pod", "later")["metadata"]["labels"]["tier"] == "upgraded"
    assert identity_of(kubectl, "demo") == before
    assert "tier" not in kubectl.get("pod", "demo")["metadata"]["labels"]

    later = identity_of(kubectl, "later")
    release("rollback", "caisson", "1", "--wait", "--timeout", "120s")
    assert not has_lifetime(release), "the CRD was not rolled back"
    assert identity_of(kubectl, "demo") == before
    assert identity_of(kubectl, "later") == later
    # The operator still reconciles it.
    kubectl.exec("demo", "busybox", "kill", "-9", str(before["dockerd"]))
    kubectl.until(
        "demo", lambda s: s["docker"]["restarts"] == 1 and condition(s, "Ready")["status"] == "True", "restart"
    )


@pytest.mark.campaign
def test_sandboxes_survive_uninstallation_and_reinstallation(release: Release, kubectl: Kubectl) -> None:
    for name in ("stays", "goes"):
        kubectl.sandbox(name)
    for name in ("stays", "goes"):
        kubectl.until_ready(name)
    before = identity_of(kubectl, "stays")
    release("uninstall", "caisson", "--wait")
    assert not release.system(
        "get", "deployments,serviceaccounts", "-l", "app.kubernetes.io/name=caisson", "-o", "name"
    )

    assert "finalizers" not in kubectl.get("sbx", "goes")["metadata"]
    kubectl("delete", "sbx", "goes", "--timeout=60s")
    eventually(lambda: not kubectl.exists("pod", "goes"), lambda: "the pod of a deleted Sandbox still exists")
    assert identity_of(kubectl, "stays") == before

    release.upgrade()
    kubectl.exec("stays", "busybox", "kill", "-9", str(before["dockerd"]))
    kubectl.until("stays", lambda s: s["docker"]["restarts"] == 1, "a restart by the reinstalled operator")
    assert kubectl.get("pod", "stays")["metadata"]["uid"] == before["pod"]


@pytest.mark.campaign
def test_uninstallation_without_keep_deletes_the_sandboxes(release: Release, kubectl: Kubectl) -> None:
    release.upgrade("crds.keep=false")
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    release("uninstall", "caisson", "--wait")
    eventually(lambda: not release.system.exists("crd", CRD), lambda: "the CRD still exists")
    eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod still exists")


def test_invalid_value_is_named_and_changes_nothing(release: Release) -> None:
    before = release.revision()
    with pytest.raises(HelmError, match="at '/config/workers': minimum: got 0, want 1"):
        release.upgrade("config.workers=0")
    assert release.revision() == before


@pytest.mark.campaign
def test_failed_upgrade_leaves_the_previous_operator_running(release: Release, kubectl: Kubectl) -> None:
    invalid = "config.sandboxes.lifetime.defaultSeconds=7200", "config.sandboxes.lifetime.maximumSeconds=3600"
    with pytest.raises(HelmError):
        release.upgrade(*invalid, options=("--timeout", "20s"))
    output = release.system("logs", "-l", "app.kubernetes.io/name=caisson", "--tail=-1", "--prefix")
    assert "defaultSeconds (7200) exceeds maximumSeconds (3600)" in output
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


@pytest.mark.campaign
def test_crd_of_an_administrator_is_not_managed_by_helm(absent: Release, kubectl: Kubectl) -> None:
    release = absent
    release.system("apply", "-f", str(MANIFESTS / "crd.yaml"))
    release.system("wait", "--for=condition=Established", f"crd/{CRD}")
    release.upgrade("crds.enabled=false")
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    release("uninstall", "caisson", "--wait")
    assert "labels" not in release.system.get("crd", CRD)["metadata"]
    assert kubectl.exists("sbx", "demo")


@pytest.mark.campaign
def test_all_options_and_roles_in_the_listed_namespace_only(absent: Release, kubectl: Kubectl) -> None:
    release, here = absent, kubectl.namespace
    release.upgrade(
        f"config.namespaces[0]={here}",
        *("prePull.enabled=true", "podDisruptionBudget.enabled=true", "replicas=2"),
        "networkPolicy.operator.enabled=true",
    )
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")

    def may(verb: str, resource: str, scope: str) -> bool:
        with suppress(KubectlError):
            return release.system("auth", "can-i", verb, resource, OPERATOR, *scope.split()) == "yes\n"
        return False

    for verb, resource in (("create", "pods"), ("list", "pods"), ("create", "pods/exec"), ("list", "sandboxes")):
        assert may(verb, resource, f"--namespace={here}"), (verb, resource)
        assert not may(verb, resource, "--namespace=default"), (verb, resource)
        assert not may(verb, resource, "--all-namespaces"), (verb, resource)
    assert may("get", "runtimeclasses", "")

    # The operator ignores Sandboxes in other namespaces.
    other = Kubectl(kubectl.kubeconfig, NAMESPACE)
    other.sandbox("stray")
    assert not other.status("stray")

    assert release.system.get("daemonset", "caisson-prepull")["status"]["numberReady"] == 1
    assert release.system.get("pdb", "caisson")["status"]["expectedPods"] == 2
    assert release.system.exists("networkpolicy", "caisson")

    output = release("test", "caisson", "--logs")
    assert f"created sbx/caisson-helm-test in {here}" in output
    assert "`docker version` in the sandbox reports the same version: 26." in output
    for kind in ("pod", "serviceaccount", "configmap", "role", "rolebinding"):
        assert not release.system.exists(kind, "caisson-helm-test"), kind
    assert not kubectl.exists("sbx", "caisson-helm-test")


@pytest.mark.campaign
def test_failed_helm_test_reports_the_reason_and_next_steps(release: Release) -> None:
    # The namespace of the release does not have the label for sandboxes.
    release.upgrade(f"test.namespace={NAMESPACE}", "test.timeoutSeconds=15")
    with pytest.raises(HelmError) as failure:
        release("test", "caisson", "--logs")
    output = str(failure.value)
    assert "FAILED: sbx/caisson-helm-test is not Ready after 15 seconds: NamespaceNotGuarded" in output
    assert f"next step: kubectl describe sbx caisson-helm-test --namespace {NAMESPACE}" in output
    assert f"next step: kubectl logs deployment/caisson --namespace {NAMESPACE}" in output


@pytest.mark.campaign
def test_install_manifest_works_with_kubectl(absent: Release, kubectl: Kubectl) -> None:
    system, start = absent.system, time.monotonic()
    # As the header of the manifest explains, replace the image with one that the node has.
    text = (MANIFESTS / "install.yaml").read_text(encoding="utf-8")
    (released,) = {
        line.split()[-1] for line in text.splitlines() if line.strip().startswith("image: caisson.dev/operator:")
    }
    text = text.replace(released, "caisson.dev/operator:dev")
    system("delete", "namespace", NAMESPACE)
    system("apply", "-f", str(MANIFESTS / "crd.yaml"))
    system("apply", "-f", "-", stdin=text)
    try:
        system("rollout", "status", "deployment/caisson", "--timeout=120s")
        kubectl.sandbox("demo")
        kubectl.until_ready("demo")
        print(f"kubectl apply to the first Ready: {time.monotonic() - start:.1f} s")
    finally:
        system("delete", "-f", "-", stdin=text)
    assert kubectl.exists("sbx", "demo")
    assert kubectl.exists("pod", "demo")
