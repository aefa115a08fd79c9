"""StatefulSets: the plan as tables, and the controller against scheduler and simulated nodes in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from minik8s.controllers.garbagecollector import GarbageCollector
from minik8s.controllers.history import new_revision
from minik8s.controllers.statefulset import StatefulSetController
from minik8s.controllers.statefulset_plan import Plan, Revisions, plan
from minik8s.machinery.meta import is_terminating, owner_references, parse_time

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = {"app": "s"}


def template(image: str) -> Any:
    return {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}}


def stateful_set(replicas: int = 3, image: str = "busybox", claims: bool = False, **spec: Any) -> Any:
    given = {
        "replicas": replicas,
        "serviceName": "s",
        "selector": {"matchLabels": LABELS},
        "template": template(image),
        "updateStrategy": {"type": "RollingUpdate"},
        **spec,
    }
    if claims:
        storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        given["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": storage}]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "s", "namespace": "default", "uid": "sts"},
        "spec": given,
    }


def revision(name: str, image: str) -> Any:
    made = new_revision(stateful_set(image=image), 1)
    made["metadata"]["name"] = name
    return made


OLD, NEW = revision("s-old", "busybox"), revision("s-new", "nginx")


def pod(ordinal: int, state: str = "ready", digest: str = "s-new", **metadata: Any) -> Any:
    """`state` is ready, unready, leaving, or a phase."""
    name = f"s-{ordinal}"
    index = {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal)}
    if state == "leaving":
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    phase = state if state[0].isupper() else "Running"
    ready = {
        "type": "Ready",
        "status": str(state in ("ready", "leaving")),
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "uid": name, "labels": {**index, "controller-revision-hash": digest}, **metadata},
        "spec": {},
        "status": {"phase": phase, "conditions": [ready]},
    }


def decide(sts: Any, *pods: Any, claims: Any = None) -> Plan:
    return plan(sts, Revisions(OLD, NEW), pods, (claims or {}).get, NOW)


def names(docs: Any) -> list[str]:
    return [doc["metadata"]["name"] for doc in docs]


PARALLEL = {"podManagementPolicy": "Parallel"}


@pytest.mark.parametrize(
    ("spec", "pods", "create", "delete"),
    [
        ({}, [], ["s-0"], []),
        ({}, [pod(0, "Pending")], [], []),
        ({}, [pod(0, "unready")], [], []),
        ({}, [pod(0)], ["s-1"], []),
        ({}, [pod(0), pod(2)], ["s-1"], []),
        ({}, [pod(0, "leaving"), pod(1)], [], []),
        ({"minReadySeconds": 10}, [pod(0)], [], []),
        ({}, [pod(0), pod(1, "Failed"), pod(2)], [], ["s-1"]),
        ({}, [pod(0), pod(1, "Succeeded")], [], ["s-1"]),
        (PARALLEL, [pod(1, "unready")], ["s-0", "s-2"], []),
        (PARALLEL, [], ["s-0", "s-1", "s-2"], []),
        ({"ordinals": {"start": 5}}, [pod(5)], ["s-6"], []),
        ({"replicas": 1}, [pod(0), pod(1), pod(2)], [], ["s-2"]),
        ({"replicas": 1}, [pod(0), pod(1), pod(2, "leaving")], [], []),
        ({"replicas": 1}, [pod(0), pod(1), pod(2, "unready")], [], ["s-2"]),
        ({"replicas": 1}, [pod(0), pod(1, "unready"), pod(2, "unready")], [], []),
        ({"replicas": 1}, [pod(0), pod(1, "leaving"), pod(2)], [], ["s-2"]),
        ({"replicas": 1}, [pod(0, "unready"), pod(1)], [], []),
        ({"replicas": 0, **PARALLEL}, [pod(0), pod(1)], [], ["s-1", "s-0"]),
    ],
)
def test_order(spec: Any, pods: Any, create: list[str], delete: list[str]) -> None:
    """Up from the lowest, each after the one before is ready; down from the highest, one at a time; unless Parallel."""
    todo = decide(stateful_set(**spec), *pods)
    assert (names(todo.create), names(todo.delete)) == (create, delete)


def rolling(**bounds: Any) -> Any:
    return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": bounds}}


TWO = {**PARALLEL, **rolling(maxUnavailable=2)}


@pytest.mark.parametrize(
    ("spec", "pods", "delete"),
    [
        ({}, [pod(0, digest="s-old"), pod(1, digest="s-old"), pod(2, digest="s-old")], ["s-2"]),
        ({}, [pod(0, digest="s-old"), pod(1, digest="s-old"), pod(2)], ["s-1"]),
        ({}, [pod(0, digest="s-old"), pod(1, digest="s-old"), pod(2, "unready")], []),
        (rolling(partition=2), [pod(0, digest="s-old"), pod(1, digest="s-old"), pod(2)], []),
        (rolling(maxUnavailable=2), [pod(0, digest="s-old"), pod(1, digest="s-old"), pod(2)], ["s-1", "s-0"]),
        ({"updateStrategy": {"type": "OnDelete"}}, [pod(0, digest="s-old"), pod(1), pod(2)], []),
        (PARALLEL, [pod(0, digest="s-old"), pod(1, digest="s-old"), pod(2, "unready", "s-old")], ["s-2"]),
        (PARALLEL, [pod(0, "unready", "s-old"), pod(1, digest="s-old"), pod(2, "unready")], []),
        (PARALLEL, [pod(0, "unready", "s-old"), pod(1, digest="s-old"), pod(2)], ["s-1"]),
        (TWO, [pod(0, "unready", "s-old"), pod(1, digest="s-old"), pod(2, digest="s-old")], ["s-2", "s-0"]),
        (TWO, [pod(0, "unready"), pod(1, digest="s-old"), pod(2, digest="s-old")], ["s-2"]),
        (TWO, [pod(0, "unready"), pod(1, "unready"), pod(2, digest="s-old")], []),
        (TWO, [pod(0, digest="s-old"), pod(1, "unready", "s-old"), pod(2, "leaving", "s-old")], ["s-1"]),
    ],
)
def test_updates(spec: Any, pods: Any, delete: list[str]) -> None:
    """Old pods go from the highest ordinal down to the partition, no more at once than may be unavailable."""
    assert names(decide(stateful_set(**spec), *pods).delete) == delete


@pytest.mark.parametrize(("spec", "repaired"), [({}, []), (PARALLEL, ["s-0"])])
def test_labels_are_put_back(spec: Any, repaired: list[str]) -> None:
    """A pod that has lost a label of its identity gets it back; in an ordered set once it is ready."""
    stripped = pod(0, "unready")
    del stripped["metadata"]["labels"]["apps.kubernetes.io/pod-index"]
    assert names(decide(stateful_set(**spec), stripped, pod(1), pod(2)).repair) == repaired


def test_pods_below_the_partition_keep_the_current_revision() -> None:
    """A pod that is made anew below the partition gets the old template."""
    todo = decide(stateful_set(**rolling(partition=1), **PARALLEL))
    assert [p["spec"]["containers"][0]["image"] for p in todo.create] == ["busybox", "nginx", "nginx"]
    assert [p["metadata"]["labels"]["controller-revision-hash"] for p in todo.create] == ["s-old", "s-new", "s-new"]


def test_identity() -> None:
    """Name, labels, host name, subdomain and claim follow from the ordinal; a pod without its labels gets them."""
    todo = decide(stateful_set(claims=True), pod(0))
    (made,) = todo.create
    assert made["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "s-1"
    assert made["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"
    assert (made["spec"]["hostname"], made["spec"]["subdomain"]) == ("s-1", "s")
    assert made["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-s-1"}}]
    ((owner, claim),) = todo.new_claims
    assert (owner, claim["metadata"]["name"], claim["metadata"]["labels"]) == ("s-1", "data-s-1", LABELS)
    bare = pod(0)
    bare["metadata"]["labels"] = {"controller-revision-hash": "s-new"}
    (fixed,) = decide(stateful_set(1), bare).repair
    assert fixed["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "0"


@pytest.mark.parametrize(
    ("deleted", "scaled", "owners"),
    [
        ("Retain", "Retain", [[], []]),
        ("Delete", "Retain", [["StatefulSet"], ["StatefulSet"]]),
        ("Retain", "Delete", [[], ["Pod"]]),
        ("Delete", "Delete", [["StatefulSet"], ["Pod"]]),
    ],
)
def test_retention(deleted: str, scaled: str, owners: Any) -> None:
    """Claims belong to the set, or to the pod that is one too many, as the policy says."""
    policy = {"whenDeleted": deleted, "whenScaled": scaled}
    claims = {name: {"metadata": {"name": name}} for name in ("data-s-0", "data-s-1")}
    sts = stateful_set(1, claims=True, persistentVolumeClaimRetentionPolicy=policy)
    changed = {doc["metadata"]["name"]: doc for doc in decide(sts, pod(0), pod(1), claims=claims).owned}
    found = [[ref["kind"] for ref in owner_references(changed.get(name, claims[name]))] for name in claims]
    assert found == owners


def test_a_former_pods_claim_is_waited_for() -> None:
    """A claim that goes with a former pod of the name must not be mounted by the new one."""
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "s-0", "uid": "former"}
    claims = {"data-s-0": {"metadata": {"name": "data-s-0", "ownerReferences": [reference]}}}
    policy = {"whenDeleted": "Retain", "whenScaled": "Delete"}
    sts = stateful_set(claims=True, persistentVolumeClaimRetentionPolicy=policy)
    assert decide(sts, claims=claims).create == ()


def test_status() -> None:
    """Counts by revision; the update revision becomes the current one when all have it and are ready."""
    status = decide(stateful_set(), pod(0, digest="s-old"), pod(1, "unready"), pod(2)).status
    assert status == {
        "replicas": 3,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 1,
        "updatedReplicas": 2,
        "currentRevision": "s-old",
        "updateRevision": "s-new",
        "collisionCount": 0,
    }
    done = decide(stateful_set(), pod(0), pod(1), pod(2)).status
    assert (done["currentRevision"], done["currentReplicas"]) == ("s-new", 3)


def created(*args: Any, **kwargs: Any) -> Any:
    made = stateful_set(*args, **kwargs)
    del made["metadata"]["uid"]
    return made


async def settled(world: Any, generation: int, count: int) -> Any:
    """Waits until so many pods are updated and ready, and nothing else is there."""

    async def look() -> Any:
        found = (await world.get("statefulsets", "s", "default"))["status"]
        counts = [found.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas", "currentReplicas")]
        done = found.get("observedGeneration") == generation and counts == [count] * 4
        return found if done and found["currentRevision"] == found["updateRevision"] else None

    return await world.until(look)


async def pods_of(world: Any) -> list[Any]:
    return [p for p in (await world.client.list(PODS)).items if not is_terminating(p)]


def test_ordered_start_update_and_scale(virtual: Any, start: Any) -> None:
    """Pods start in order, update in reverse, return to a former revision, and go from the highest."""

    async def body(clock: Any) -> None:
        async with start(clock, StatefulSetController, nodes=2) as world:
            made = created()
            made["spec"]["template"]["metadata"]["annotations"] = {"simulated.minik8s.dev/start-seconds": "3"}
            await world.client.create(STATEFUL_SETS, made)
            await settled(world, 1, 3)
            pods = await pods_of(world)
            times = [parse_time(p["metadata"]["creationTimestamp"]) for p in sorted(pods, key=lambda p: names([p]))]
            assert times[0] < times[1] < times[2]
            image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "nginx"}]}}}}
            await world.client.patch(STATEFUL_SETS, "s", image, namespace="default", type="strategic")
            await settled(world, 2, 3)
            updated = sorted(await pods_of(world), key=lambda p: p["metadata"]["creationTimestamp"])
            assert names(updated) == ["s-2", "s-1", "s-0"]
            assert {p["spec"]["containers"][0]["image"] for p in updated} == {"nginx"}
            first = min((await world.client.list(CONTROLLER_REVISIONS)).items, key=lambda r: r["revision"])
            await world.client.patch(STATEFUL_SETS, "s", first["data"], namespace="default", type="strategic")
            status = await settled(world, 3, 3)
            assert status["currentRevision"] == first["metadata"]["name"]
            await world.client.patch(STATEFUL_SETS, "s", {"spec": {"replicas": 1}}, namespace="default")
            await settled(world, 4, 1)
            assert names(await pods_of(world)) == ["s-0"]
            await world.quiet()
            assert "create Pod s-0 in StatefulSet s successful" in {
                event["message"] for event in await world.events("SuccessfulCreate")
            }

    virtual(body)


def test_claims_follow_their_pods(virtual: Any, start: Any) -> None:
    """Claims are made with the pods, wait for volumes, and stay when the set goes unless the policy says otherwise."""

    async def body(clock: Any, when: str, left: int) -> None:
        async with start(clock, StatefulSetController, GarbageCollector) as world:
            policy = {"whenDeleted": when, "whenScaled": "Retain"}
            extra = {**PARALLEL, "persistentVolumeClaimRetentionPolicy": policy}
            await world.client.create(STATEFUL_SETS, created(2, claims=True, **extra))
            await world.quiet()
            claims = (await world.client.list(PERSISTENT_VOLUME_CLAIMS)).items
            assert names(claims) == ["data-s-0", "data-s-1"]
            assert {claim["status"]["phase"] for claim in claims} == {"Pending"}
            messages = {event["message"] for event in await world.events("SuccessfulCreate")}
            assert "create Claim data-s-0 Pod s-0 in StatefulSet s success" in messages
            await world.client.delete(STATEFUL_SETS, "s", namespace="default", propagation="Background")
            await world.quiet(60)
            assert await pods_of(world) == []
            claims = (await world.client.list(PERSISTENT_VOLUME_CLAIMS)).items
            assert len([claim for claim in claims if not is_terminating(claim)]) == left

    virtual(lambda clock: body(clock, "Retain", 2))
    virtual(lambda clock: body(clock, "Delete", 0))


def test_orphans_by_name_are_adopted(virtual: Any, start: Any) -> None:
    """A matching pod of the right name is taken in; one of another name is left alone."""

    async def body(clock: Any) -> None:
        async with start(clock, StatefulSetController) as world:
            spec = {"containers": [{"name": "c", "image": "busybox"}]}
            for name in ("s-0", "stranger"):
                await world.add("pods", name, "default", metadata={"labels": LABELS}, spec=spec)
            await world.client.create(STATEFUL_SETS, created(1))
            await world.quiet()
            assert owner_references(await world.get("pods", "s-0", "default"))
            assert not owner_references(await world.get("pods", "stranger", "default"))

    virtual(body)
