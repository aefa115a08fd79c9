"""In-place resize as data: allocations, verdicts, turns, restarts, limits that are too low, words."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.kubelet.admission import claim_of
from minik8s.kubelet.resize_plan import (
    Refusal,
    Shrinking,
    allocated,
    allocation_of,
    must_restart,
    refusal,
    restored,
    summary,
    too_small,
    totals,
    turn,
)

NODE = {"metadata": {"name": "n"}, "spec": {}, "status": {"allocatable": {"cpu": "4", "memory": "4Gi", "pods": "10"}}}


def amounts(cpu: str = "1", memory: str = "1Gi") -> dict[str, str]:
    return {"cpu": cpu, "memory": memory}


def pod(cpu: str = "1", memory: str = "1Gi", name: str = "p", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "c", "image": "i", "resources": {"requests": amounts(cpu, memory)}}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


def test_an_allocation_takes_the_place_of_what_is_wanted() -> None:
    """Containers, sidecars and the pod get what they were allocated; other init containers are as the spec has them."""
    sidecar = {"name": "s", "restartPolicy": "Always", "resources": {"requests": amounts()}}
    first = {"name": "i", "resources": {"requests": amounts()}}
    old = pod(initContainers=[first, sidecar], resources={"requests": amounts("3")})
    new = pod("2", initContainers=[{**first, "resources": {}}, {**sidecar, "resources": {}}], resources={})
    had = allocated(new, allocation_of(old["spec"]))["spec"]
    assert had["containers"] == old["spec"]["containers"]
    assert had["initContainers"] == [new["spec"]["initContainers"][0], sidecar]
    assert had["resources"] == old["spec"]["resources"]
    assert allocated(old, allocation_of(old["spec"])) is old


def test_an_earlier_kubelet_s_grants_are_found_in_the_status() -> None:
    """Requests are what the status calls allocated, limits what it says the container has."""
    wanted = {"requests": {"cpu": "2"}, "limits": {"cpu": "4"}}
    held = {"name": "c", "allocatedResources": {"cpu": "1"}, "resources": {"limits": {"cpu": "3"}}}
    spec = {"containers": [{"name": "c", "resources": wanted}, {"name": "d"}]}
    known = {"containerStatuses": [held, {"name": "d"}]}
    assert restored({"spec": spec, "status": known}) == {
        "c": {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
        "d": {},
    }
    assert restored({"spec": spec}) == allocation_of(spec)


@pytest.mark.parametrize(
    ("cpu", "memory", "reason", "message"),
    [
        ("3", "3Gi", "", ""),
        ("5", "1Gi", "Infeasible", "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000"),
        (
            "5",
            "5Gi",
            "Infeasible",
            "Node didn't have enough capacity: memory, requested: 5368709120, capacity: 4294967296",
        ),
        ("4", "1Gi", "Deferred", "Node didn't have enough resource: cpu, requested: 4000, used: 1000, capacity: 4000"),
    ],
)
def test_verdicts(cpu: str, memory: str, reason: str, message: str) -> None:
    """What exceeds the node never fits; what others have of it fits later."""
    wanted = pod(cpu, memory)
    expected = Refusal(reason, message) if reason else None
    assert refusal(wanted, claim_of(wanted), [claim_of(pod(name="other"))], NODE) == expected


def test_turns() -> None:
    """First who takes nothing, then by priority, then Guaranteed pods, then who has waited longest."""
    had = allocation_of(pod()["spec"])
    full = {"requests": amounts("2"), "limits": amounts("2")}
    guaranteed = pod()
    guaranteed["spec"]["containers"][0]["resources"] = full
    waiting = {
        "shrinks": (pod("500m"), None),
        "important": (pod("2", priority=5), None),
        "guaranteed": (guaranteed, None),
        "first": (pod("2"), "2026-01-01T00:00:00Z"),
        "second": (pod("2"), "2026-01-01T00:00:01Z"),
        "new": (pod("2"), None),
    }
    shuffled = sorted(waiting)
    assert sorted(shuffled, key=lambda name: turn(waiting[name][0], had, waiting[name][1])) == [*waiting]


@pytest.mark.parametrize(
    ("now", "restarting", "restarts"),
    [
        ({"limits": amounts("2"), "requests": amounts()}, "memory", False),
        ({"limits": amounts("1", "2Gi"), "requests": amounts()}, "memory", True),
        ({"limits": amounts(), "requests": amounts("1", "512Mi")}, "memory", False),
        ({"limits": amounts(), "requests": amounts("500m")}, "cpu", True),
    ],
)
def test_resizes_that_restart(now: Any, restarting: str, restarts: bool) -> None:
    """A container starts anew when a resource changes for which its resizePolicy says so, and only then."""
    was = {"limits": amounts(), "requests": amounts()}
    policy = [{"resourceName": restarting, "restartPolicy": "RestartContainer"}]
    assert must_restart(was, now, {"resizePolicy": policy}) is restarts
    assert not must_restart(was, now, {"resizePolicy": [{**policy[0], "restartPolicy": "NotRequired"}]})


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ([Shrinking("c", 20, 10, 9)], ""),
        ([Shrinking("c", 5, 10, 12)], ""),
        ([Shrinking("c", 20, None, 12)], ""),
        (
            [Shrinking("c", 20, 10, 12)],
            'cannot decrease memory limits: attempting to set container "c" memory limit (10) below current usage (12)',
        ),
        (
            [Shrinking("", 20, 10, 10), Shrinking("c", None, 5, 6)],
            "cannot decrease memory limits: [attempting to set pod memory limit (10) below current usage (10), "
            'attempting to set container "c" memory limit (5) below current usage (6)]',
        ),
    ],
)
def test_limits_below_what_is_used(limits: list[Shrinking], text: str) -> None:
    """A memory limit is not lowered below what is used; raising one is always possible."""
    assert too_small(limits) == text


def test_words_of_an_event() -> None:
    """The event names the resources by container, and what is wrong."""
    limited = pod()
    limited["spec"]["containers"][0]["resources"] = {"requests": amounts(), "limits": {"cpu": "2"}}
    assert summary("Pod resize started", limited, 3) == (
        'Pod resize started: {"containers":[{"name":"c","resources":{"limits":{"cpu":"2"},'
        '"requests":{"cpu":"1","memory":"1Gi"}}}],"generation":3}'
    )
    assert summary("Pod resize Deferred", pod(), 3, "no room").endswith(',"generation":3,"error":"no room"}')


def test_what_a_pod_s_status_says_of_the_whole() -> None:
    """Sums over its containers, nothing where nobody asks for anything."""
    assert totals(pod()) == {"allocatedResources": amounts(), "resources": {"requests": amounts()}}
    assert totals({"spec": {"containers": [{"name": "c"}]}}) == {}
