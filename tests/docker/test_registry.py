"""Registries: with TLS of a private CA and a password, without both, and as a pull-through mirror."""

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import VALUES, LocalCluster
from tests.e2e.kubectl import Json, Kubectl, KubectlError, eventually
from tests.e2e.test_ready import IMPORT

USER, PASSWORD = "somebody", f"secret-{secrets.token_hex(8)}"
PORT = 5000


@pytest.fixture(scope="module")
def registries(cluster: LocalCluster) -> Iterator[Kubectl]:
    """A namespace for registries, which are ordinary pods."""
    cluster.local("images", "registry")
    name = f"registries-{secrets.token_hex(4)}"
    kubectl = Kubectl(cluster.kubeconfig, name)
    kubectl("create", "namespace", name)
    yield kubectl
    kubectl("delete", "namespace", name, "--wait=false")


def serve(
    kubectl: Kubectl, name: str, env: dict[str, str], *, has_keys: bool = False, on_the_node: bool = False
) -> None:
    """Run a registry behind the Service of this name, or on the host network, and wait until it listens."""
    container: Json = {
        "name": "registry",
        "image": "caisson.dev/test/registry:1",
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    spec: Json = {"runtimeClassName": "runc", "automountServiceAccountToken": False, "containers": [container]}
    spec["hostNetwork"] = on_the_node
    if has_keys:
        container["volumeMounts"] = [{"name": "tls", "mountPath": "/tls"}]
        spec["volumes"] = [{"name": "tls", "secret": {"secretName": name}}]
    metadata = {"name": name, "labels": {"registry": name}}
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s")


def expose(kubectl: Kubectl, name: str) -> str:
    """Create the Service of a registry and return its address."""
    spec = {"selector": {"registry": name}, "ports": [{"port": PORT}]}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
    return str(kubectl.get("service", name)["spec"]["clusterIP"])


@pytest.fixture(scope="module")
def plain(registries: Kubectl) -> str:
    """Address and port of a registry without TLS and without a password."""
    address = expose(registries, "plain")
    serve(registries, "plain", {})
    return f"{address}:{PORT}"


@pytest.fixture(scope="module")
def guarded(registries: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Address and port of a registry with TLS and a password, and the certificate (PEM) of its CA."""
    address, directory = expose(registries, "guarded"), tmp_path_factory.mktemp("tls")
    certificate = issue(directory, address)
    files = [f"--cert={directory / 'server.crt'}", f"--key={directory / 'server.key'}"]
    registries("create", "secret", "tls", "guarded", *files)
    tls = {"REGISTRY_HTTP_TLS_CERTIFICATE": "/tls/tls.crt", "REGISTRY_HTTP_TLS_KEY": "/tls/tls.key"}
    serve(registries, "guarded", tls | {"WITH_USER": USER, "WITH_PASSWORD": PASSWORD}, has_keys=True)
    return f"{address}:{PORT}", certificate


def issue(directory: Path, address: str) -> str:
    """Write a server's key and certificate for an address, and return its CA's certificate."""
    ca = ("-CA", "ca.crt", "-CAkey", "ca.key")
    key = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30")
    openssl(directory, *key, "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.crt")
    name = ("-subj", "/CN=registry", "-addext", f"subjectAltName=IP:{address}", "-addext", "basicConstraints=CA:FALSE")
    openssl(directory, *key, *ca, *name, "-keyout", "server.key", "-out", "server.crt")
    return (directory / "ca.crt").read_text()


def openssl(directory: Path, *arguments: str) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def allow(kubectl: Kubectl, registry: str, certificate: str) -> Json:
    """Create the objects that a Sandbox needs for the guarded registry, and return its `docker.registry`."""
    kubectl("create", "configmap", "sandbox-authorities", f"--from-literal=registry.crt={certificate}")
    return {"authorities": {"name": "sandbox-authorities"}, "credentials": credentials(kubectl, registry)}


def credentials(kubectl: Kubectl, *registries: str) -> Json:
    """Create a Secret with the user and the password for these registries, and return a reference to it."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    content = json.dumps({"auths": {registry: {"auth": auth} for registry in registries}})
    literal = f"--from-literal=.dockerconfigjson={content}"
    kubectl("create", "secret", "generic", "sandbox-registry", "--type=kubernetes.io/dockerconfigjson", literal)
    return {"name": "sandbox-registry"}


@pytest.mark.parametrize("version", ["26", *(pytest.param(v, marks=pytest.mark.campaign) for v in ("28", "29"))])
def test_images_are_pushed_and_pulled_with_tls_and_a_password(
    kubectl: Kubectl, guarded: tuple[str, str], version: str
) -> None:
    registry, certificate = guarded
    image = f"{registry}/hello:{version}"
    kubectl.sandbox("demo", docker={"version": version, "registry": allow(kubectl, registry, certificate)})
    kubectl.until_ready("demo")
    kubectl.shell("demo", f"{IMPORT}; docker tag hello {image}; docker push -q {image}; docker image rm hello {image}")
    assert kubectl.shell("demo", f"docker run --rm {image} /busybox echo it ran").strip().endswith("it ran")


@pytest.mark.campaign
def test_docker_reports_a_missing_ca_or_credentials(kubectl: Kubectl, guarded: tuple[str, str]) -> None:
    registry, certificate = guarded
    settings = allow(kubectl, registry, certificate)
    kubectl.sandbox("stranger")
    kubectl.sandbox("nobody", docker={"registry": {"authorities": settings["authorities"]}})
    for name, message in (("stranger", "certificate"), ("nobody", "no basic auth credentials")):
        kubectl.until_ready(name)
        with pytest.raises(KubectlError, match=message):
            kubectl.exec(name, "docker", "pull", f"{registry}/nothing")


@pytest.mark.campaign
def test_password_in_the_log_of_dockerd_is_redacted(kubectl: Kubectl, guarded: tuple[str, str]) -> None:
    registry, certificate = guarded
    docker = {
        "registry": allow(kubectl, registry, certificate),
        "flags": [f"--storage-driver=no-{PASSWORD}"],
        "restart": {"policy": "Never"},
    }
    kubectl.sandbox("demo", docker=docker)
    status = kubectl.until_reason("demo", "StorageDriverFailed")
    assert PASSWORD not in json.dumps(status)
    assert "no-[redacted]" in status["crash"]["stderr"]


@pytest.mark.parametrize("version", [pytest.param(v, marks=pytest.mark.campaign) for v in ("26", "28", "29")])
def test_insecure_registry_of_the_spec_is_used(kubectl: Kubectl, plain: str, version: str) -> None:
    kubectl.sandbox("demo", docker={"version": version, "registry": {"insecure": [plain]}})
    kubectl.until_ready("demo")
    image = f"{plain}/hello:{version}"
    kubectl.shell("demo", f"{IMPORT}; docker tag hello {image}; docker push -q {image}; docker image rm hello {image}")
    assert kubectl.shell("demo", f"docker run --rm {image} /busybox echo it ran").strip().endswith("it ran")


@pytest.mark.campaign
def test_docker_hub_images_are_pulled_from_the_mirror(
    operator: LocalCluster, kubectl: Kubectl, registries: Kubectl, plain: str
) -> None:
    """The mirror pulls from the plain registry, which represents Docker Hub, and stores the image."""
    mirror = expose(registries, "mirror")
    serve(registries, "mirror", {"REGISTRY_PROXY_REMOTEURL": f"http://{plain}"})
    kubectl.sandbox("source", docker={"registry": {"insecure": [plain]}})
    kubectl.until_ready("source")
    origin = f"{plain}/library/mirrored:1"
    kubectl.shell("source", f"{IMPORT}; docker tag hello {origin}; docker push -q {origin}")

    values = operator.kubeconfig.parent / "mirror-values.yaml"
    values.write_text(json.dumps({"config": {"sandboxes": {"registryMirrors": [f"http://{mirror}:{PORT}"]}}}))
    operator.start_operator(VALUES, values)
    for version in ("26", "28", "29"):
        kubectl.sandbox(f"d{version}", docker={"version": version})
        kubectl.until_ready(f"d{version}")
        run = "docker run --rm mirrored:1 /busybox echo it ran"
        assert kubectl.shell(f"d{version}", run).strip().endswith("it ran")
    ls = "ls /tmp/registry/docker/registry/v2/repositories/library"
    eventually(lambda: "mirrored" in registries.exec("mirror", "sh", "-c", ls), lambda: "the mirror has no image")


@pytest.mark.campaign
def test_image_of_the_sandbox_is_pulled_with_a_password(kubectl: Kubectl, registries: Kubectl) -> None:
    """The node pulls the image. It trusts a registry at its loopback address without TLS."""
    serve(registries, "node", {"WITH_USER": USER, "WITH_PASSWORD": PASSWORD}, on_the_node=True)
    address = registries.get("pod", "node")["status"]["hostIP"]
    at_the_node, inside = f"127.0.0.1:{PORT}", f"{address}:{PORT}"
    secret = credentials(kubectl, at_the_node, inside)
    kubectl.sandbox("source", docker={"registry": {"insecure": [inside], "credentials": secret}})
    kubectl.until_ready("source")
    kubectl.shell("source", f"{IMPORT}; docker tag hello {inside}/own:1; docker push -q {inside}/own:1")

    kubectl.sandbox("stranger", image=f"{at_the_node}/own:1")
    kubectl.until_reason("stranger", "ImagePullFailed")
    kubectl.sandbox("demo", image=f"{at_the_node}/own:1", imagePullSecrets=[secret])
    kubectl.until_ready("demo")
    assert kubectl.exec("demo", "/busybox", "echo", "it ran").strip() == "it ran"
