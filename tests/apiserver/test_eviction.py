"""The eviction subresource: with, within and beyond a disruption budget."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.conftest import MERGE, SUCCESS, pod

pytestmark = pytest.mark.anyio


BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"

REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."


async def running(server: Any, name: str, *, ready: bool = True) -> None:
    await server.ok("POST", "pods", pod(name, nodeName="n1"))
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    patch = {"status": {"phase": "Running", "conditions": [condition]}}
    await server.ok("PATCH", f"pods/{name}/status", patch, type=MERGE)


async def budget(server: Any, name: str = "b", policy: str = "", **status: Any) -> None:
    spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}
    if policy:
        spec["unhealthyPodEvictionPolicy"] = policy
    await server.ok("POST", BUDGETS, {"metadata": {"name": name}, "spec": spec})
    full = {
        "observedGeneration": 1,
        "expectedPods": 1,
        "disruptionsAllowed": 0,
        "currentHealthy": 1,
        "desiredHealthy": 1,
    }
    await server.ok("PATCH", f"{BUDGETS}/{name}/status", {"status": full | status}, type=MERGE)


def eviction(name: str, **options: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "deleteOptions": options}


async def test_eviction_without_a_budget(server: Any) -> None:
    """The pod is marked with the reason and deleted with its grace."""
    await running(server, "p")
    response = await server.call("POST", "pods/p/eviction", eviction("p", gracePeriodSeconds=7))
    assert (response.status_code, response.json()) == (201, SUCCESS)
    evicted = await server.ok("GET", "pods/p")
    assert evicted["metadata"]["deletionGracePeriodSeconds"] == 7
    (condition,) = [c for c in evicted["status"]["conditions"] if c["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "EvictionByEvictionAPI")


async def test_eviction_within_the_budget(server: Any) -> None:
    """One disruption is spent and written down."""
    await running(server, "p")
    await budget(server, disruptionsAllowed=1)
    before = server.ctx.store.revision
    await server.ok("POST", "pods/p/eviction?dryRun=All", eviction("p"))
    await server.ok("POST", "pods/p/eviction", eviction("p", dryRun=["All"]))
    assert server.ctx.store.revision == before
    await server.ok("POST", "pods/p/eviction", eviction("p"))
    status = (await server.ok("GET", f"{BUDGETS}/b"))["status"]
    assert status["disruptionsAllowed"] == 0
    assert status["disruptedPods"] == {"p": "2026-01-01T00:00:00Z"}


async def test_eviction_beyond_the_budget(server: Any) -> None:
    """429 with the numbers; a budget nobody has looked at yet asks to come back."""
    await running(server, "p")
    await budget(server)
    details = await server.refused("POST", "pods/p/eviction", 429, "TooManyRequests", REFUSED, eviction("p"))
    text = "The disruption budget b needs 1 healthy pods and has 1 currently"
    assert details == {"causes": [{"reason": "DisruptionBudget", "message": text}]}
    response = await server.call("POST", "pods/p/eviction", eviction("p"))
    assert "retry-after" not in response.headers
    await server.ok("PATCH", f"{BUDGETS}/b", {"spec": {"minAvailable": 2}}, type=MERGE)
    response = await server.call("POST", "pods/p/eviction", eviction("p"))
    assert (response.status_code, response.headers["retry-after"]) == (429, "10")
    (cause,) = response.json()["details"]["causes"]
    assert cause["message"] == "The disruption budget b is still being processed by the server."


@pytest.mark.parametrize(
    ("phase", "ready", "policy", "healthy", "code"),
    [
        ("Pending", False, "", 1, 201),
        ("Succeeded", False, "", 1, 201),
        ("Failed", False, "", 1, 201),
        ("Running", False, "", 1, 201),
        ("Running", False, "", 0, 429),
        ("Running", False, "AlwaysAllow", 0, 201),
        ("Running", True, "AlwaysAllow", 1, 429),
    ],
)
async def test_pods_that_no_budget_holds(
    server: Any, phase: str, ready: bool, policy: str, healthy: int, code: int
) -> None:
    """Those who do not serve may go, if enough others do or the policy says so."""
    await running(server, "p", ready=ready)
    await server.ok("PATCH", "pods/p/status", {"status": {"phase": phase}}, type=MERGE)
    await budget(server, policy=policy, currentHealthy=healthy)
    assert (await server.call("POST", "pods/p/eviction", eviction("p"))).status_code == code


async def test_evictions_that_are_refused(server: Any) -> None:
    """Other names, missing pods, failed preconditions, two budgets; none of them writes anything."""
    body = eviction("p")
    await server.refused("POST", "pods/p/eviction", 404, "NotFound", 'pods "p" not found', body)
    await running(server, "p")
    uid = (await server.ok("GET", "pods/p"))["metadata"]["uid"]
    message = "name in URL does not match name in Eviction object"
    for wrong in (eviction("q"), {}):
        await server.refused("POST", "pods/p/eviction", 400, "BadRequest", message, wrong)
    message = (
        'Operation cannot be fulfilled on Pod "p": the UID in the precondition (x) does not match the UID in record '
        f"({uid}). The object might have been deleted and then recreated"
    )
    await budget(server, "b1", disruptionsAllowed=1)
    wrong = eviction("p", preconditions={"uid": "x"})
    await server.refused("POST", "pods/p/eviction", 409, "Conflict", message, wrong)
    await budget(server, "b2", disruptionsAllowed=1)
    message = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    await server.refused("POST", "pods/p/eviction", 500, "", message, body)
    await server.ok("DELETE", f"{BUDGETS}/b2")
    version = (await server.ok("GET", "pods/p"))["metadata"]["resourceVersion"]
    await server.ok("POST", "pods/p/eviction", eviction("p", preconditions={"resourceVersion": version}))
