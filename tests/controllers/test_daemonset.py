"""DaemonSets: the plan as tables, and the controller against scheduler and simulated nodes in virtual time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from minik8s.controllers.daemonset import DaemonSetController
from minik8s.controllers.daemonset_plan import Plan, World, plan
from minik8s.controllers.daemonset_pods import new_pod, node_of
from minik8s.controllers.history import new_revision, superfluous
from minik8s.machinery.meta import is_terminating

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = {"app": "d"}


def daemon_set(image: str = "busybox", pod_spec: Any = None, **spec: Any) -> Any:
    pods = {"containers": [{"name": "c", "image": image}], **(pod_spec or {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": "default", "uid": "ds"},
        "spec": {
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pods},
            **spec,
        },
    }


def rolling(**bounds: Any) -> Any:
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0, **bounds}}


def node(name: str, *taints: Any, **labels: str) -> Any:
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": list(taints)}}


def pod(name: str, on: str, digest: str = "new", ready: bool = True, phase: str = "Running", **metadata: Any) -> Any:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": {"controller-revision-hash": digest},
            "creationTimestamp": f"2026-01-01T00:00:0{name[-1]}Z",
            **metadata,
        },
        "spec": {"nodeName": on},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def decide(pods: list[Any], nodes: list[Any], held_back: frozenset[str] = frozenset(), **spec: Any) -> Plan:
    return plan(World.of(daemon_set(**spec), "new", pods, nodes, NOW, held_back))


def names(todo: Plan) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in todo.delete)


TAINT = {"key": "k", "effect": "NoSchedule"}
DRIVING = {"key": "k", "effect": "NoExecute"}
CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("node", "pod_spec", "create", "keep"),
    [
        (node("a"), {}, True, True),
        (node("a", TAINT), {}, False, True),
        (node("a", DRIVING), {}, False, False),
        (node("a", CORDON), {}, True, True),
        (node("a", TAINT), {"tolerations": [{"operator": "Exists"}]}, True, True),
        (node("a"), {"nodeSelector": {"disk": "ssd"}}, False, False),
        (node("a", disk="ssd"), {"nodeSelector": {"disk": "ssd"}}, True, True),
        (node("a"), {"nodeName": "b"}, False, False),
    ],
)
def test_where_pods_belong(node: Any, pod_spec: Any, create: bool, keep: bool) -> None:
    """Selectors and taints decide whether a node gets a pod, and whether the one it has may stay."""
    assert bool(decide([], [node], pod_spec=pod_spec).create) is create
    assert (names(decide([pod("p1", "a")], [node], pod_spec=pod_spec)) == []) is keep


def test_one_pod_a_node() -> None:
    """The oldest of several stays; failed ones go unless one failed there just before; those for no node go."""
    todo = decide([pod("p1", "a"), pod("p2", "a")], [node("a")])
    assert names(todo) == ["p2"]
    failed = pod("p1", "a", phase="Failed")
    todo = decide([failed], [node("a")])
    assert names(todo) == ["p1"]
    text = "Found failed daemon pod default/p1 on node a, will try to kill it"
    assert todo.failed == (("Warning", "FailedDaemonPod", text),)
    assert names(decide([failed], [node("a")], frozenset("a"))) == []
    waiting = new_pod(daemon_set(), "gone", "new")
    waiting["metadata"] |= {"name": "w", "uid": "w"}
    assert node_of(waiting) == "gone"
    assert names(decide([waiting], [])) == ["w"]


@pytest.mark.parametrize(
    ("strategy", "pods", "create", "delete"),
    [
        (rolling(), [("p1", "a", "old", True), ("p2", "b", "old", True)], [], ["p1"]),
        (rolling(maxUnavailable=2), [("p1", "a", "old", True), ("p2", "b", "old", True)], [], ["p1", "p2"]),
        (rolling(), [("p1", "a", "new", False), ("p2", "b", "old", True)], [], []),
        (rolling(), [("p1", "a", "new", True), ("p2", "b", "old", True)], [], ["p2"]),
        (rolling(), [("p1", "a", "new", False), ("p2", "b", "old", False)], [], ["p2"]),
        (rolling(), [("p1", "a", "old", False), ("p2", "b", "old", True)], [], ["p1"]),
        (rolling(maxUnavailable=2), [("p1", "a", "old", False), ("p2", "b", "old", True)], [], ["p1", "p2"]),
        ({"type": "OnDelete"}, [("p1", "a", "old", True), ("p2", "b", "old", True)], [], []),
        (
            rolling(maxUnavailable=0, maxSurge=1),
            [("p1", "a", "old", True), ("p2", "b", "old", True)],
            ["a"],
            [],
        ),
        (
            rolling(maxUnavailable=0, maxSurge=1),
            [("p1", "a", "old", True), ("p3", "a", "new", False), ("p2", "b", "old", True)],
            [],
            [],
        ),
        (
            rolling(maxUnavailable=0, maxSurge=1),
            [("p1", "a", "old", True), ("p3", "a", "new", True), ("p2", "b", "old", True)],
            [],
            ["p1"],
        ),
        (rolling(maxUnavailable=0, maxSurge=1), [("p1", "a", "old", False), ("p2", "b", "old", True)], ["a", "b"], []),
    ],
)
def test_updates(strategy: Any, pods: Any, create: list[str], delete: list[str]) -> None:
    """Old pods go, or new ones come, only within the bounds."""
    made = [pod(name, on, digest, ready) for name, on, digest, ready in pods]
    todo = decide(made, [node("a"), node("b")], updateStrategy=strategy)
    assert (sorted(todo.create), names(todo)) == (create, delete)


SURGE = rolling(maxUnavailable=0, maxSurge=1)


@pytest.mark.parametrize(
    ("strategy", "pods", "create", "delete"),
    [
        (rolling(), [("p1", "a", "new", True), ("p2", "t", "old", True)], [], ["p2"]),
        (rolling(), [("p1", "a", "new", False), ("p2", "t", "old", True)], [], []),
        (SURGE, [("p1", "a", "new", True), ("p2", "t", "old", True)], [], ["p2"]),
        (SURGE, [("p1", "a", "new", False), ("p2", "t", "old", True)], [], []),
        (SURGE, [("p1", "a", "new", False), ("p2", "t", "old", False)], [], ["p2"]),
        (SURGE, [("p1", "a", "old", True), ("p2", "t", "old", True)], ["a"], ["p2"]),
        (SURGE, [("p1", "a", "new", True), ("p2", "t", "new", True)], [], []),
        (SURGE, [("p1", "a", "new", True), ("p2", "gone", "old", True)], [], []),
        (SURGE, [("p1", "a", "old", True), ("p2", "s", "old", True)], [], ["p2"]),
    ],
)
def test_updates_of_nodes_that_get_no_pod(strategy: Any, pods: Any, create: list[str], delete: list[str]) -> None:
    """What a NoSchedule taint lets stay goes within the bounds; what a selector excludes goes at once, surging or not.

    So does upstream: its manage loop deletes before its rollingUpdate looks at what may go.
    """
    made = [pod(name, on, digest, ready) for name, on, digest, ready in pods]
    nodes = [node("a", disk="ssd"), node("t", TAINT, disk="ssd"), node("s")]
    todo = decide(made, nodes, updateStrategy=strategy, pod_spec={"nodeSelector": {"disk": "ssd"}})
    assert (sorted(todo.create), names(todo)) == (create, delete)


def test_status() -> None:
    """Counts by the first pod of each node; a pod where none belongs is misscheduled."""
    pods = [pod("p1", "a", "old"), pod("p2", "b", ready=False), pod("p3", "c")]
    status = decide(pods, [node("a"), node("b"), node("c", TAINT), node("d")]).status
    assert status == {
        "desiredNumberScheduled": 3,
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "numberReady": 1,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
    }


def test_pods_are_for_one_node() -> None:
    """A pod asks for its node by name, whatever else the template asked for, and bears what befalls nodes."""
    term = {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    made = new_pod(daemon_set(pod_spec={"affinity": affinity, "hostNetwork": True}), "a", "x")
    terms = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    field = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    assert terms == {"nodeSelectorTerms": [{"matchFields": [field]}]}
    assert len(made["spec"]["tolerations"]) == 7
    assert made["metadata"]["labels"] == {**LABELS, "controller-revision-hash": "x"}


async def settled(world: Any, generation: int, count: int) -> Any:
    """Waits until the rollout of that generation is over on so many nodes."""

    async def look() -> Any:
        status = (await world.get("daemonsets", "d", "default"))["status"]
        counts = [status.get(n, 0) for n in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")]
        return status if status.get("observedGeneration") == generation and counts == [count] * 3 else None

    return await world.until(look)


def created() -> Any:
    made = daemon_set()
    del made["metadata"]["uid"]
    return made


def test_a_pod_on_every_node(virtual: Any, start: Any) -> None:
    """Pods come with nodes and labels, and go with them; the scheduler has bound them."""

    async def body(clock: Any) -> None:
        async with start(clock, DaemonSetController, nodes=3) as world:
            await world.client.create(DAEMON_SETS, created())
            await settled(world, 1, 3)
            pods = (await world.client.list(PODS)).items
            assert {p["spec"]["nodeName"] for p in pods} == {"node-1", "node-2", "node-3"}
            taint = {"spec": {"taints": [{"key": "k", "effect": "NoExecute"}]}}
            await world.client.patch(NODES, "node-2", taint)
            await settled(world, 1, 2)
            await world.client.patch(NODES, "node-2", {"spec": {"taints": None}})
            await settled(world, 1, 3)
            await world.quiet()
            assert len(await world.events("SuccessfulCreate")) == 4

    virtual(body)


@pytest.mark.parametrize("bounds", [{"maxUnavailable": 1}, {"maxUnavailable": 0, "maxSurge": 1}])
def test_rolling_update(virtual: Any, start: Any, bounds: Any) -> None:
    """A new template replaces every pod; at no time are more nodes without a ready pod than allowed."""

    async def body(clock: Any) -> None:
        async with start(clock, DaemonSetController, nodes=3) as world:
            made = created()
            made["spec"]["updateStrategy"] = rolling(**bounds)
            await world.client.create(DAEMON_SETS, made)
            await settled(world, 1, 3)
            image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}}}
            await world.client.patch(DAEMON_SETS, "d", image, namespace="default", type="strategic")

            async def done() -> bool:
                pods = [p for p in (await world.client.list(PODS)).items if not is_terminating(p)]
                status = (await world.get("daemonsets", "d", "default"))["status"]
                assert status.get("numberUnavailable", 0) <= bounds["maxUnavailable"]
                return len(pods) == 3 and {p["spec"]["containers"][0]["image"] for p in pods} == {"nginx"}

            await world.until(done)
            await settled(world, 2, 3)
            revisions = (await world.client.list(CONTROLLER_REVISIONS)).items
            assert sorted(r["revision"] for r in revisions) == [1, 2]
            first = next(r for r in revisions if r["revision"] == 1)
            await world.client.patch(DAEMON_SETS, "d", first["data"], namespace="default", type="strategic")
            await settled(world, 3, 3)
            again = await world.get("controllerrevisions", first["metadata"]["name"], "default")
            assert again["revision"] == 3

    virtual(body)


@pytest.mark.parametrize(
    ("limit", "live", "current", "gone"),
    [
        (1, {"r1", "r4"}, "r4", ["r2", "r3"]),  # a DaemonSet's: what is in use takes room
        (1, {"r1", "r4"}, "", ["r2"]),  # a StatefulSet's
        (0, {"r4"}, "r4", ["r1", "r2", "r3"]),
        (None, {"r4"}, "r4", []),
    ],
)
def test_superfluous_revisions(limit: int | None, live: set[str], current: str, gone: list[str]) -> None:
    """The oldest that are not in use go, as many as there are too many."""
    revisions = [{"metadata": {"name": f"r{n}"}, "revision": n} for n in (3, 1, 4, 2)]
    owner = {"spec": {"revisionHistoryLimit": limit}}
    assert [r["metadata"]["name"] for r in superfluous(owner, revisions, live, current)] == gone


def test_the_data_of_a_revision() -> None:
    """Its keys are in the order in which Go writes them, at every depth: kubectl compares its bytes."""
    template = {"spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "i"}]}, "metadata": {}}
    owner: Any = {
        "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": "n", "uid": "u"},
        "spec": {"template": template},
    }
    owner["apiVersion"] = "apps/v1"
    assert json.dumps(new_revision(owner, 1)["data"], separators=(",", ":")) == (
        '{"spec":{"template":{"$patch":"replace","metadata":{},'
        '"spec":{"containers":[{"image":"i","name":"c"}],"restartPolicy":"Always"}}}}'
    )


def test_history_is_limited(virtual: Any, start: Any) -> None:
    """Revisions beyond the limit go, but never the present one."""

    async def body(clock: Any) -> None:
        async with start(clock, DaemonSetController, nodes=1) as world:
            made = created()
            made["spec"]["revisionHistoryLimit"] = 1
            await world.client.create(DAEMON_SETS, made)
            for generation in range(1, 5):
                await settled(world, generation, 1)
                image = {"containers": [{"name": "c", "image": f"busybox:{generation}"}]}
                patch = {"spec": {"template": {"spec": image}}}
                await world.client.patch(DAEMON_SETS, "d", patch, namespace="default", type="strategic")
            await settled(world, 5, 1)
            await world.quiet()
            revisions = (await world.client.list(CONTROLLER_REVISIONS)).items
            assert sorted(r["revision"] for r in revisions) == [4, 5]

    virtual(body)


def test_failed_pods_are_replaced_ever_later(virtual: Any, start: Any) -> None:
    """A failed pod is deleted and replaced, after a delay that doubles."""

    async def body(clock: Any) -> None:
        async with start(clock, DaemonSetController) as world:
            await world.add("nodes", "n")
            await world.client.patch(NODES, "n", {"spec": {"taints": None}})
            await world.client.create(DAEMON_SETS, created())

            async def another() -> Any:
                return next((p for p in (await world.client.list(PODS)).items if not is_terminating(p)), None)

            seen: list[float] = []
            for _ in range(4):
                name = (await world.until(another))["metadata"]["name"]
                failed = {"status": {"phase": "Failed"}}
                await world.client.patch(PODS, name, failed, namespace="default", subresource="status")
                begun = clock.monotonic()
                await world.until_gone("pods", name, "default")
                seen.append(clock.monotonic() - begun)
            assert seen == sorted(seen)
            assert seen[-1] > seen[0] + 1
            await world.quiet()
            assert await world.events("FailedDaemonPod")

    virtual(body)
