"""The chart on a real cluster: installed, upgraded, rolled back, uninstalled; sandboxes notice nothing of it."""

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
from tests.e2e.kubectl import Json, Kubectl, Refused, condition, eventually

pytestmark = pytest.mark.alone

NAMESPACE = "caisson-system"
CHART = CHECKOUT / "charts" / "caisson"
MANIFESTS = CHECKOUT / "manifests"
CRD = "sandboxes.caisson.dev"
OPERATOR = f"--as=system:serviceaccount:{NAMESPACE}:caisson"


class HelmError(Exception):
    """Helm ended with an error; the message is what it printed."""


@dataclass(frozen=True)
class Release:
    """The release `caisson`, and the namespace that it is in."""

    helm: str
    system: Kubectl

    def __call__(self, command: str, *arguments: str) -> str:
        """Run helm and return all that it printed. Raises HelmError."""
        environment = os.environ | {"KUBECONFIG": str(self.system.kubeconfig)}
        line = [self.helm, command, *arguments, "--namespace", NAMESPACE]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            raise HelmError(done.stdout + done.stderr)
        return done.stdout + done.stderr

    def upgrade(self, *assignments: str, chart: Path = CHART, options: tuple[str, ...] = ()) -> None:
        """Install the chart or upgrade to it, and wait until all of it is ready. Raises HelmError."""
        sets = [word for assignment in assignments for word in ("--set", assignment)]
        values = ("--values", str(VALUES))
        options = ("--create-namespace", "--wait", "--timeout", "120s", *options)
        self("upgrade", "caisson", str(chart), "--install", *values, *options, *sets)

    def remove(self) -> None:
        """Have nothing of the release, the CRD and the Sandboxes included."""
        self("uninstall", "caisson", "--wait", "--ignore-not-found")
        self.system("delete", "crd", CRD, "--ignore-not-found")

    def revision(self) -> int:
        """Return the number of the revision that is deployed."""
        return len(yaml.safe_load(self("history", "caisson", "--output", "yaml")))


@pytest.fixture
def release(cluster: LocalCluster, kubectl: Kubectl) -> Iterator[Release]:
    """The release, for a test that changes it: afterwards it is again what the other tests need."""
    command = [sys.executable, "-m", "local", "tool", "helm"]
    helm = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.strip()
    found = Release(helm, Kubectl(cluster.kubeconfig, NAMESPACE))
    yield found
    cluster.start_operator()


@pytest.fixture
def absent(release: Release) -> Iterator[Release]:
    """The release, not installed; nor is what the test installs, afterwards."""
    release.remove()
    yield release
    release.remove()


@pytest.fixture
def previous(release: Release, tmp_path: Path) -> Path:
    """The package of an earlier chart.

    No version was released yet, so it is this one with an older number and an older CRD, which lacks a column and a
    field. The operator is the same.
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


def life(kubectl: Kubectl, name: str) -> Json:
    """Return what stays the same of a sandbox for as long as nobody touches its pod and its dockerd."""
    docker = kubectl.status(name)["docker"]
    return {
        "pod": kubectl.get("pod", name)["metadata"]["uid"],
        "dockerd": docker["pid"],
        "started": docker["startedAt"],
        # In the kernel's own words: ticks since its start.
        "ticks": kubectl.shell(name, f"cut -d ' ' -f 22 /proc/{docker['pid']}/stat").strip(),
        "restarts": docker["restarts"],
        "containers": kubectl.exec(name, "docker", "ps", "--quiet", "--no-trunc").split(),
    }


def has_lifetime(release: Release) -> bool:
    """Tell whether the CRD on the cluster knows the field that the previous chart's did not."""
    (version,) = release.system.get("crd", CRD)["spec"]["versions"]
    return "lifetime" in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


def test_sandboxes_live_on_through_upgrade_and_rollback(absent: Release, kubectl: Kubectl, previous: Path) -> None:
    release = absent
    release.upgrade(chart=previous)
    assert not has_lifetime(release)
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")
    kubectl.shell(
        "demo", "tar -C /opt/caisson/bin -c busybox | docker import - box && docker run -d box /busybox sleep 1d"
    )
    before = life(kubectl, "demo")
    assert len(before["containers"]) == 1

    release.upgrade("config.sandboxes.labels.tier=upgraded", "config.probePeriodSeconds=5", "replicas=2")
    assert has_lifetime(release), "the CRD was not upgraded"
    kubectl.sandbox("later", lifetime={"ttlSeconds": 3600})
    kubectl.until_ready("later")
    assert kubectl.get("pod", "later")["metadata"]["labels"]["tier"] == "upgraded"
    assert life(kubectl, "demo") == before
    assert "tier" not in kubectl.get("pod", "demo")["metadata"]["labels"]

    afterwards = life(kubectl, "later")
    release("rollback", "caisson", "1", "--wait", "--timeout", "120s")
    assert not has_lifetime(release), "the CRD was not rolled back"
    assert life(kubectl, "demo") == before
    assert life(kubectl, "later") == afterwards
    # It is looked after, too.
    kubectl.exec("demo", "busybox", "kill", "-9", str(before["dockerd"]))
    kubectl.until(
        "demo", lambda s: s["docker"]["restarts"] == 1 and condition(s, "Ready")["status"] == "True", "restart"
    )


@pytest.mark.campaign
def test_uninstalling_leaves_sandboxes_that_can_be_deleted_and_are_taken_up_again(
    release: Release, kubectl: Kubectl
) -> None:
    for name in ("stays", "goes"):
        kubectl.sandbox(name)
    for name in ("stays", "goes"):
        kubectl.until_ready(name)
    before = life(kubectl, "stays")
    release("uninstall", "caisson", "--wait")
    assert not release.system(
        "get", "deployments,serviceaccounts", "-l", "app.kubernetes.io/name=caisson", "-o", "name"
    )

    assert "finalizers" not in kubectl.get("sbx", "goes")["metadata"]
    kubectl("delete", "sbx", "goes", "--timeout=60s")
    eventually(lambda: not kubectl.exists("pod", "goes"), lambda: "the pod of a deleted Sandbox is still there")
    assert life(kubectl, "stays") == before

    release.upgrade()
    kubectl.exec("stays", "busybox", "kill", "-9", str(before["dockerd"]))
    kubectl.until("stays", lambda s: s["docker"]["restarts"] == 1, "a restart by the operator that is back")
    assert kubectl.get("pod", "stays")["metadata"]["uid"] == before["pod"]


@pytest.mark.campaign
def test_without_keep_the_sandboxes_go_with_the_release(release: Release, kubectl: Kubectl) -> None:
    release.upgrade("crds.keep=false")
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")
    release("uninstall", "caisson", "--wait")
    eventually(lambda: not release.system.exists("crd", CRD), lambda: "the CRD is still there")
    eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "its pod is still there")


def test_a_wrong_value_changes_nothing_and_is_named(release: Release) -> None:
    before = release.revision()
    with pytest.raises(HelmError, match="at '/config/workers': minimum: got 0, want 1"):
        release.upgrade("config.workers=0")
    assert release.revision() == before


@pytest.mark.campaign
def test_what_only_the_operator_can_refuse_leaves_the_one_that_runs(release: Release, kubectl: Kubectl) -> None:
    wrong = "config.sandboxes.lifetime.defaultSeconds=7200", "config.sandboxes.lifetime.maximumSeconds=3600"
    with pytest.raises(HelmError):
        release.upgrade(*wrong, options=("--timeout", "20s"))
    said = release.system("logs", "-l", "app.kubernetes.io/name=caisson", "--tail=-1", "--prefix")
    assert "defaultSeconds (7200) exceeds maximumSeconds (3600)" in said
    kubectl.sandbox("demo", docker={"enabled": False})
    kubectl.until_ready("demo")


@pytest.mark.campaign
def test_the_crd_may_be_an_administrators(absent: Release, kubectl: Kubectl) -> None:
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
def test_with_all_options_it_looks_after_the_listed_namespaces_with_their_roles_alone(
    absent: Release, kubectl: Kubectl
) -> None:
    release, here = absent, kubectl.namespace
    release.upgrade(
        f"config.namespaces[0]={here}",
        *("prePull.enabled=true", "podDisruptionBudget.enabled=true", "replicas=2"),
        "networkPolicy.operator.enabled=true",
    )
    kubectl.sandbox("demo")
    kubectl.until_ready("demo")

    def may(verb: str, resource: str, where: str) -> bool:
        with suppress(Refused):
            return release.system("auth", "can-i", verb, resource, OPERATOR, *where.split()) == "yes\n"
        return False

    for verb, resource in (("create", "pods"), ("list", "pods"), ("create", "pods/exec"), ("list", "sandboxes")):
        assert may(verb, resource, f"--namespace={here}"), (verb, resource)
        assert not may(verb, resource, "--namespace=default"), (verb, resource)
        assert not may(verb, resource, "--all-namespaces"), (verb, resource)
    assert may("get", "runtimeclasses", "")

    # A Sandbox elsewhere is nobody's.
    elsewhere = Kubectl(kubectl.kubeconfig, NAMESPACE)
    elsewhere.sandbox("stray")
    assert not elsewhere.status("stray")

    assert release.system.get("daemonset", "caisson-prepull")["status"]["numberReady"] == 1
    assert release.system.get("pdb", "caisson")["status"]["expectedPods"] == 2
    assert release.system.exists("networkpolicy", "caisson")

    said = release("test", "caisson", "--logs")
    assert f"created sbx/caisson-helm-test in {here}" in said
    assert "`docker version` in it says the same: 26." in said
    for kind in ("pod", "serviceaccount", "configmap", "role", "rolebinding"):
        assert not release.system.exists(kind, "caisson-helm-test"), kind
    assert not kubectl.exists("sbx", "caisson-helm-test")


@pytest.mark.campaign
def test_helm_test_tells_why_it_failed_and_what_to_look_at(release: Release) -> None:
    # The release's own namespace has no label.
    release.upgrade(f"test.namespace={NAMESPACE}", "test.timeoutSeconds=15")
    with pytest.raises(HelmError) as failure:
        release("test", "caisson", "--logs")
    said = str(failure.value)
    assert "FAILED: sbx/caisson-helm-test is not Ready after 15 seconds: NamespaceNotGuarded" in said
    assert f"look at: kubectl describe sbx caisson-helm-test --namespace {NAMESPACE}" in said
    assert f"look at: kubectl logs deployment/caisson --namespace {NAMESPACE}" in said


@pytest.mark.campaign
def test_kubectl_installs_what_helm_does(absent: Release, kubectl: Kubectl) -> None:
    system, began = absent.system, time.monotonic()
    # As its header tells: with an image that the node has.
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
        print(f"kubectl apply to the first Ready: {time.monotonic() - began:.1f} s")
    finally:
        system("delete", "-f", "-", stdin=text)
    assert kubectl.exists("sbx", "demo")
    assert kubectl.exists("pod", "demo")
