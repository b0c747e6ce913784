"""Ports of a sandbox, reached by the name that its Service has."""

import json

import pytest

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.e2e.test_ready import IMPORT

_WEB_SERVER = "mkdir /www; echo hello from inside >/www/index.html; exec /busybox httpd -f -p 80 -h /www"
SERVE = f"docker run -d -p 8080:80 hello /busybox sh -c '{_WEB_SERVER}'"
WEB = [{"name": "web", "containerPort": 8080}]


def test_a_published_port_is_reached_from_another_sandbox_at_the_services_endpoint(kubectl: Kubectl) -> None:
    together = {"sandboxes": True}
    kubectl.sandbox("server", ports=WEB, network=together)
    kubectl.sandbox("client", docker={"enabled": False}, network=together)
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
    """Return the addresses and ports that the Service of the sandbox `server` leads to."""
    slices = json.loads(kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=server", "-o", "json"))
    return {
        (address, port["port"])
        for found in slices["items"]
        for endpoint in found["endpoints"] or ()
        for address in endpoint["addresses"]
        for port in found["ports"] or ()
    }


def test_ports_change_in_place_and_without_them_the_service_goes(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False}, ports=WEB)
    uid = kubectl.until_ready("demo")["podUID"]

    more = [*WEB, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]
    kubectl.sandbox("demo", docker={"enabled": False}, ports=more)
    eventually(lambda: ports(kubectl) == [("web", 8080), ("dns", 53)], lambda: f"the ports are {ports(kubectl)}")

    kubectl("delete", "service", "demo")
    eventually(lambda: kubectl.exists("service", "demo"), lambda: "it does not come back")

    kubectl.sandbox("demo", docker={"enabled": False}, ports=[])
    eventually(lambda: not kubectl.exists("service", "demo"), lambda: "the Service is still there")
    assert kubectl.status("demo")["podUID"] == uid


def ports(kubectl: Kubectl) -> list[tuple[str, int]]:
    """Return the ports of the Service `demo`, by name."""
    return [(port["name"], port["port"]) for port in kubectl.get("service", "demo")["spec"]["ports"]]


def test_a_foreign_service_of_that_name_is_told_of_and_left_alone(kubectl: Kubectl) -> None:
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
def test_a_service_goes_with_its_sandbox(kubectl: Kubectl) -> None:
    kubectl.sandbox("demo", docker={"enabled": False}, ports=WEB)
    kubectl.until_ready("demo")
    kubectl("delete", "sbx", "demo")
    eventually(lambda: not kubectl.exists("service", "demo"), lambda: "the Service is still there")
