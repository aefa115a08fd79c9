"""Disruption budgets: what they allow as a table, and evictions against a real API server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.api.resources import PODS, REPLICA_SETS
from minik8s.controllers.disruption import DisruptionController
from minik8s.controllers.disruption_plan import plan
from minik8s.controllers.replicaset import ReplicaSetController
from minik8s.controllers.stale_disruption import StaleDisruptionController
from minik8s.machinery.errors import TooManyRequests
from minik8s.machinery.meta import find_condition, rfc3339

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = {"app": "web"}


def pod(name: str, ready: bool = True, **metadata: Any) -> Any:
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"metadata": {"name": name, **metadata}, "status": {"phase": "Running", "conditions": [condition]}}


def budget(status: Any = None, **spec: Any) -> Any:
    return {"metadata": {"name": "b", "namespace": "default", "generation": 3}, "spec": spec, "status": status or {}}


@pytest.mark.parametrize(
    ("spec", "ready", "unready", "scale", "expected"),
    [
        ({"minAvailable": 2}, 3, 0, 9, (1, 3, 2, 3)),
        ({"minAvailable": 3}, 2, 1, 0, (0, 2, 3, 3)),
        ({"minAvailable": "50%"}, 5, 0, 5, (2, 5, 3, 5)),
        ({"maxUnavailable": 1}, 3, 0, 3, (1, 3, 2, 3)),
        ({"maxUnavailable": 1}, 2, 1, 3, (0, 2, 2, 3)),
        ({"maxUnavailable": "34%"}, 3, 0, 3, (2, 3, 1, 3)),
        ({"maxUnavailable": 5}, 3, 0, 3, (3, 3, 0, 3)),
        ({"maxUnavailable": 1}, 3, 0, 0, (0, 3, 0, 0)),
        ({"minAvailable": 0}, 0, 0, 0, (0, 0, 0, 0)),
        ({}, 3, 0, 3, (0, 3, 0, 0)),
    ],
)
def test_figures(spec: Any, ready: int, unready: int, scale: int, expected: tuple[int, ...]) -> None:
    """Allowed, healthy, desired and expected follow from the budget's kind, the pods and the owners' scale."""
    pods = [pod(f"r{i}") for i in range(ready)] + [pod(f"u{i}", ready=False) for i in range(unready)]
    status = plan(budget(**spec), pods, {"o": scale}, NOW).status
    found = [status[name] for name in ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")]
    assert tuple(found) == expected
    condition = find_condition(status["conditions"], "DisruptionAllowed")
    assert condition is not None
    assert condition["reason"] == ("SufficientPods" if expected[0] else "InsufficientPods")
    assert status["observedGeneration"] == 3


def test_disrupted_pods_expire() -> None:
    """A charged pod counts as gone for two minutes; then it is late, and counts again."""
    entries = {"a": rfc3339(NOW - timedelta(seconds=30)), "b": rfc3339(NOW - timedelta(seconds=150)), "gone": "x"}
    todo = plan(budget({"disruptedPods": entries}, minAvailable=1), [pod("a"), pod("b"), pod("c")], {}, NOW)
    assert todo.status["disruptedPods"] == {"a": entries["a"]}
    assert todo.status["currentHealthy"] == 2
    assert [late["metadata"]["name"] for late in todo.late] == ["b"]
    assert todo.recheck == 91


def test_leaving_pods_are_not_healthy() -> None:
    """What is being deleted counts no longer, and its entry is dropped."""
    leaving = pod("a", deletionTimestamp="2026-01-01T00:00:00Z")
    todo = plan(budget({"disruptedPods": {"a": rfc3339(NOW)}}, minAvailable=1), [leaving, pod("b")], {}, NOW)
    assert (todo.status["currentHealthy"], todo.status["disruptionsAllowed"]) == (1, 0)
    assert "disruptedPods" not in todo.status


async def ready(world: Any, name: str) -> None:
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"phase": "Running", "conditions": [condition]}
    await world.client.patch(PODS, name, {"status": status}, namespace="default", subresource="status")


async def evict(world: Any, name: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    await world.client.create(PODS, body, subresource="eviction", name=name)


async def allowed(world: Any, count: int) -> Any:
    """Waits until the budget allows so many disruptions."""

    async def look() -> Any:
        found = await world.get("poddisruptionbudgets", "b", "default")
        return found if (found.get("status") or {}).get("disruptionsAllowed") == count else None

    return await world.until(look)


def test_evictions_spend_the_budget(virtual: Any, start: Any) -> None:
    """Evictions succeed until the budget is spent, and again once the replacement is ready."""

    async def body(clock: Any) -> None:
        async with start(clock, DisruptionController, ReplicaSetController) as world:
            template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
            spec = {"replicas": 3, "selector": {"matchLabels": LABELS}, "template": template}
            await world.client.create(
                REPLICA_SETS,
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "metadata": {"name": "web", "namespace": "default"},
                    "spec": spec,
                },
            )
            selector = {"matchLabels": LABELS}
            await world.add(
                "poddisruptionbudgets", "b", "default", spec={"maxUnavailable": "40%", "selector": selector}
            )
            await world.quiet()
            first, second, third = [p["metadata"]["name"] for p in (await world.client.list(PODS)).items]
            status = (await allowed(world, 0))["status"]
            assert (status["expectedPods"], status["desiredHealthy"]) == (3, 1)
            for name in (first, second, third):
                await ready(world, name)
            await allowed(world, 2)
            await evict(world, first)
            await evict(world, second)
            await world.quiet()
            with pytest.raises(TooManyRequests) as refused:
                await evict(world, third)
            assert refused.value.causes[0].message == "The disruption budget b needs 1 healthy pods and has 1 currently"
            await world.quiet()
            for each in (await world.client.list(PODS)).items:
                await ready(world, each["metadata"]["name"])
            await allowed(world, 2)
            await evict(world, third)

    virtual(body)


def test_unmanaged_pods_and_unscalable_owners(virtual: Any, start: Any) -> None:
    """What cannot be counted is said, and allows nothing."""

    async def body(clock: Any) -> None:
        async with start(clock, DisruptionController) as world:
            spec = {"containers": [{"name": "c", "image": "x"}]}
            owner = await world.add("configmaps", "owner", "default")
            await world.add("pods", "lone", "default", metadata={"labels": LABELS}, spec=spec)
            selector = {"matchLabels": LABELS}
            await world.add("poddisruptionbudgets", "b", "default", spec={"maxUnavailable": 1, "selector": selector})
            await allowed(world, 0)
            await world.quiet()
            (event,) = await world.events("UnmanagedPods")
            printed = (
                "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement"
            )
            assert f"(selector: {printed}{{}},}}) were found to be unmanaged." in event["message"]
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
            metadata = {"labels": LABELS, "ownerReferences": [{**reference, "controller": True}]}
            await world.add("pods", "odd", "default", metadata=metadata, spec=spec)

            async def failed() -> Any:
                found = await world.get("poddisruptionbudgets", "b", "default")
                return find_condition(found["status"]["conditions"], "DisruptionAllowed")["reason"] == "SyncFailed"

            await world.until(failed)
            assert await world.events("CalculateExpectedPodCountFailed")

    virtual(body)


def test_an_owner_that_vanished(virtual: Any, start: Any) -> None:
    """A budget in percent of an owner that is gone cannot be computed, and allows nothing until that is mended."""

    async def body(clock: Any) -> None:
        async with start(clock, DisruptionController) as world:
            owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "u", "controller": True}
            metadata = {"labels": LABELS, "ownerReferences": [owner]}
            await world.add(
                "pods", "p", "default", metadata=metadata, spec={"containers": [{"name": "c", "image": "x"}]}
            )
            selector = {"matchLabels": LABELS}
            await world.add("poddisruptionbudgets", "b", "default", spec={"minAvailable": "50%", "selector": selector})

            async def condition() -> Any:
                found = (await world.get("poddisruptionbudgets", "b", "default")).get("status") or {}
                return find_condition(found.get("conditions"), "DisruptionAllowed")

            found = await world.until(condition)
            assert (found["status"], found["reason"]) == ("False", "SyncFailed")
            assert found["message"] == 'found no controllers for pod "p"'
            await world.client.patch(PODS, "p", {"metadata": {"ownerReferences": None}}, namespace="default")
            await world.quiet()
            assert (await condition())["reason"] == "InsufficientPods"

    virtual(body)


def test_stale_marks_are_taken_back(virtual: Any, start: Any) -> None:
    """A pod that is still there two minutes after it was marked for disruption is not marked any more."""

    async def body(clock: Any) -> None:
        async with start(clock, StaleDisruptionController) as world:
            await world.add("pods", "p", "default", spec={"containers": [{"name": "c", "image": "x"}]})
            mark = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "m"}
            status = {"conditions": [{**mark, "lastTransitionTime": rfc3339(clock.now())}]}
            await world.client.patch(PODS, "p", {"status": status}, namespace="default", subresource="status")

            async def condition() -> Any:
                return find_condition((await world.get("pods", "p", "default"))["status"]["conditions"], mark["type"])

            await world.quiet(115)
            assert (await condition())["status"] == "True"
            await world.quiet(10)
            found = await condition()
            assert (found["status"], found.get("reason")) == ("False", None)

    virtual(body)
