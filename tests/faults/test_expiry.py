"""An end is for good, though the operator is killed after it was written and before it was carried out."""

import json

import pytest
from aiohttp import web

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.faults.operator import OperatorProcess
from tests.faults.proxy import Exchange, Proxy

PLAIN: Json = {"docker": {"enabled": False}}


@pytest.mark.parametrize(
    ("spec", "reason", "way_back"),
    [
        ({"lifetime": {"ttlSeconds": 12}}, "Expired", {"lifetime": {"ttlSeconds": 3600}}),
        pytest.param(
            {"lifetime": {"ttlSeconds": 12, "onExpiry": "Suspend"}},
            "Suspended",
            {"suspend": True},
            marks=pytest.mark.campaign,
        ),
    ],
    ids=["Delete", "Suspend"],
)
def test_killed_before_the_pod_is_deleted(
    kubectl: Kubectl, operator: OperatorProcess, proxy: Proxy, spec: Json, reason: str, way_back: Json
) -> None:
    killed = False

    async def kill(exchange: Exchange) -> web.StreamResponse:
        nonlocal killed
        if exchange.name != "DELETE pods" or killed:
            return await exchange.forward()
        killed = True
        operator.kill()
        return exchange.drop()

    with proxy.fault(kill):
        kubectl.sandbox("demo", **PLAIN, **spec)
        kubectl.until_ready("demo")
        eventually(lambda: killed, lambda: "the pod was not to be deleted")
        status = kubectl.status("demo")
        assert condition(status, "Ready")["status"] == "False"
        assert kubectl.exists("pod", "demo")
        # Which a Sandbox that is not at its end yet would live by.
        kubectl("patch", "sbx", "demo", "--type=merge", "-p", json.dumps({"spec": way_back}))
        operator.start()
        kubectl.until("demo", lambda s: condition(s, "Ready").get("observedGeneration") == 2, "the changed spec")
        eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod is there still")
        kubectl.until_reason("demo", reason)
    assert kubectl.status("demo")["expiresAt"] == status["expiresAt"]
