"""Expiry is permanent even if the operator is killed after it wrote the status and before it deleted the pod."""

import json

import pytest
from aiohttp import web

from tests.e2e.kubectl import Json, Kubectl, condition, eventually
from tests.faults.operator import OperatorProcess
from tests.faults.proxy import Exchange, Proxy

PLAIN: Json = {"docker": {"enabled": False}}


@pytest.mark.parametrize(
    ("spec", "reason", "later_change"),
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
def test_operator_killed_before_it_deletes_an_expired_pod(
    kubectl: Kubectl, operator: OperatorProcess, proxy: Proxy, spec: Json, reason: str, later_change: Json
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
        eventually(lambda: killed, lambda: "the operator did not delete the pod")
        status = kubectl.status("demo")
        assert condition(status, "Ready")["status"] == "False"
        assert kubectl.exists("pod", "demo")
        # A Sandbox that has not expired would apply this change.
        kubectl("patch", "sbx", "demo", "--type=merge", "-p", json.dumps({"spec": later_change}))
        operator.start()
        kubectl.until("demo", lambda s: condition(s, "Ready").get("observedGeneration") == 2, "the changed spec")
        eventually(lambda: not kubectl.exists("pod", "demo"), lambda: "the pod still exists")
        kubectl.until_reason("demo", reason)
    assert kubectl.status("demo")["expiresAt"] == status["expiresAt"]
