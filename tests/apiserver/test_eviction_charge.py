"""What a disruption budget says to an eviction, as a table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.apiserver.eviction import MAX_DISRUPTED, charge
from minik8s.machinery.errors import ApiError, Forbidden, TooManyRequests

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PENDING = "The disruption budget b is still being processed by the server."
CLOSED = "The disruption budget b does not allow evicting pods currently"


def budget(policy: str = "IfHealthyBudget", condition: tuple[str, str, str] | None = None, **status: Any) -> Any:
    """A budget that has been looked at; `condition` is status, reason and message of DisruptionAllowed."""
    if condition:
        names = ("status", "reason", "message")
        status["conditions"] = [{"type": "DisruptionAllowed", **dict(zip(names, condition, strict=True))}]
    spec = {"unhealthyPodEvictionPolicy": policy}
    return {"metadata": {"name": "b", "generation": 2}, "spec": spec, "status": {"observedGeneration": 2, **status}}


def pod(ready: bool = True) -> Any:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"metadata": {"name": "p"}, "status": {"phase": "Running", "conditions": [condition]}}


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        ({"observedGeneration": 1, "disruptionsAllowed": 5}, TooManyRequests, PENDING),
        ({"currentHealthy": 2, "desiredHealthy": 2}, TooManyRequests, "needs 2 healthy pods and has 2 currently"),
        ({"condition": ("False", "SyncFailed", "why")}, TooManyRequests, f"{CLOSED} because it failed sync: why"),
        ({"condition": ("False", "SyncFailed", "")}, TooManyRequests, "needs 0 healthy pods and has 0 currently"),
        ({"currentHealthy": 4, "desiredHealthy": 3, "condition": ("False", "R", "m")}, TooManyRequests, "(R): m"),
        ({"currentHealthy": 4, "desiredHealthy": 3}, TooManyRequests, CLOSED),
        ({"disruptionsAllowed": -1}, Forbidden, "pdb disruptions allowed is negative"),
        (
            {"disruptionsAllowed": 1, "disruptedPods": {str(n): "" for n in range(MAX_DISRUPTED + 1)}},
            Forbidden,
            "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
        ),
    ],
)
def test_refusals(status: Any, kind: type[ApiError], text: str) -> None:
    """Each reason for which a budget refuses has its status code and its text."""
    with pytest.raises(kind) as refused:
        charge(budget(**status), pod(), NOW)
    cause = refused.value.causes[0].message if refused.value.causes else refused.value.message
    assert cause.endswith(text)


@pytest.mark.parametrize(("allowed", "state"), [(2, None), (1, ("False", "InsufficientPods", 2))])
def test_a_disruption_is_spent(allowed: int, state: Any) -> None:
    """The pod is taken down with the time; the last disruption turns the condition at once."""
    status = (charge(budget(disruptionsAllowed=allowed), pod(), NOW) or {})["status"]
    assert status["disruptionsAllowed"] == allowed - 1
    assert status["disruptedPods"] == {"p": "2026-01-01T00:00:00Z"}
    found = [(c["status"], c["reason"], c["observedGeneration"]) for c in status.get("conditions", ())]
    assert found == ([state] if state else [])


@pytest.mark.parametrize(
    ("policy", "healthy", "free"),
    [("AlwaysAllow", 0, True), ("IfHealthyBudget", 3, True), ("IfHealthyBudget", 2, False)],
)
def test_pods_that_are_not_ready(policy: str, healthy: int, free: bool) -> None:
    """A pod that is not ready costs nothing if the policy says so, or if enough others are healthy."""
    given = budget(policy, currentHealthy=healthy, desiredHealthy=3)
    if free:
        assert charge(given, pod(ready=False), NOW) is None
    else:
        with pytest.raises(TooManyRequests):
            charge(given, pod(ready=False), NOW)
