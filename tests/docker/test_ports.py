"""Ports of a sandbox and its Service."""

import json

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

_WEB_SERVER = "mkdir /www; echo hello from inside >/www/index.html; exec /busybox httpd -f -p 80 -h /www"
SERVE = f"docker run -d -p 8080:80 hello /busybox sh -c '{_WEB_SERVER}'"
WEB = [{"name": "web", "containerPort": 8080}]


def test_published_port_is_reachable_at_the_service_endpoint(kubectl: Kubectl) -> None:
    network = {"sandboxes": True}
    kubectl.sandbox("server", ports=WEB, network=network)
    kubectl.sandbox("client", docker={"enabled": False}, network=network)
    ip = kubectl.until_ready("server")["podIP"]
    kubectl.until_ready("client")
    kubectl.shell("server", f"{IMPORT}; {SERVE}")

    service = kubectl.get("service", "server")
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["ownerReferences"][0]["name"] == "server"
    eventually(lambda: addresses(kubectl) == {(ip, 8080)}, lambda: f"the endpoints are {addresses(kubectl)}")
    fetch = ("/opt/caisson/bin/busybox", "wget", "-q", "-O", "-", f"http://{ip}:8080/")
    assert kubectl.exec("client", *fetch).strip() == "hello from inside"


def addresses(kubectl: Kubectl) -> set[tuple[str, int]]:
    """Return the addresses and ports of the endpoints of the Service `server`."""
    slices = json.loads(kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=server", "-o", "json"))
    return {
        (address, port["port"])
        for endpoint_slice in slices["items"]
        for endpoint in endpoint_slice["endpoints"] or ()
        for address in endpoint["addresses"]
        for port in endpoint_slice["ports"] or ()
    }


def test_ports_change_in_place_and_the_service_is_deleted(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False}, ports=WEB)
    uid = kubectl.until_ready("demo")["podUID"]

    more = [*WEB, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    kubectl.sandbox("demo", docker={"enabled": False}, ports=more)
    eventually(lambda: ports(kubectl) == [("web", 8080), ("dns", 53)], lambda: f"the ports are {ports(kubectl)}")

    kubectl("delete", "service", "demo")
    eventually(lambda: kubectl.exists("service", "demo"), lambda: "the Service was not recreated")

    kubectl.sandbox("demo", docker={"enabled": False}, ports=[])
    eventually(lambda: not kubectl.exists("service", "demo"), lambda: "the Service still exists")
    assert kubectl.status("demo")["podUID"] == uid


def ports(kubectl: Kubectl) -> list[tuple[str, int]]:
    """Return the ports of the Service `demo`, by name."""
    return [(port["name"], port["port"]) for port in kubectl.get("service", "demo")["spec"]["ports"]]


def test_foreign_service_of_the_same_name_is_reported_and_kept(kubectl: Kubectl) -> None:
    foreign: Json = {"ports": [{"port": 80}], "selector": {"app": "somebody"}}
    kubectl.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "demo"}, "spec": foreign})
    kubectl.sandbox("demo", docker={"enabled": False}, ports=WEB)
    status = kubectl.until_reason("demo", "ServiceRejected")
    assert "the Service demo has no owner" in condition(status, "Ready")["message"]
    assert condition(status, "PodRunning")["status"] == "True"
    assert kubectl.get("service", "demo")["spec"]["selector"] == {"app": "somebody"}

    kubectl("delete", "service", "demo")
    kubectl.until_ready("demo")


@pytest.mark.campaign
def test_service_is_deleted_with_its_sandbox(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False}, ports=WEB)
    kubectl.until_ready("demo")
    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("service", "demo"), lambda: "the Service still exists")
