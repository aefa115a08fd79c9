"""ReplicaSets, ReplicationControllers and Deployments against a real API server, with the test as the kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest

from minik8s.api.request import ApiRequest
from minik8s.api.resources import DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from minik8s.client.events import Recorders
from minik8s.cluster import Cluster
from minik8s.controllers import controllers
from minik8s.controllers.deployment_revision import new_replica_set
from minik8s.controllers.deployment_rollout import Limits
from minik8s.controllers.manager import run_controllers
from minik8s.controllers.runtime import Context
from minik8s.machinery.errors import ApiError, Forbidden
from minik8s.machinery.meta import controller_of, find_condition, is_terminating

pytestmark = pytest.mark.anyio
NAMES = ("serviceaccount", "replicationcontroller", "replicaset", "deployment")
LABELS = {"app": "web"}


@asynccontextmanager
async def cluster(names: tuple[str, ...] = NAMES) -> AsyncIterator[Cluster]:
    with anyio.fail_after(20):
        async with Cluster(
            nodes=0, serve=False, proxy=False, scheduler=False, controllers=names, freeze=True, seed=1
        ) as up:
            yield up


def workload(kind: str, replicas: int = 3, image: str = "v1", **spec: Any) -> Any:
    plain = kind == "ReplicationController"
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": image}]}}
    selector = LABELS if plain else {"matchLabels": LABELS}
    return {
        "apiVersion": "v1" if plain else "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": selector, "template": template, **spec},
    }


def lone_pod(name: str, labels: Any) -> Any:
    spec = {"containers": [{"name": "c", "image": "x"}]}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def kubelet(up: Cluster) -> None:
    """Makes every pod ready as soon as it is seen, and lets it go when it is deleted."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"phase": "Running", "conditions": [ready]}
    async for change in up.client.watch(PODS):
        pod = change.object
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        if change.type == "DELETED":
            continue
        try:
            if is_terminating(pod):
                await up.client.delete(PODS, name, namespace=namespace, grace_period=0)
            elif pod["status"].get("phase") == "Pending":
                await up.client.patch(PODS, name, {"status": status}, namespace=namespace, subresource="status")
        except ApiError:
            continue


async def events(up: Cluster, reason: str) -> list[str]:
    """Messages of the events with that reason that exist now."""
    found = (await up.client.list(EVENTS, namespace="default")).items
    return [event["message"] for event in found if event["reason"] == reason]


async def pods_become(up: Cluster, holds: Callable[[list[Any]], bool]) -> None:
    """Returns once that is so of all pods of the namespace."""
    async for _ in up.client.watch(PODS, namespace="default"):
        if holds(await pods_of(up)):
            return


async def pods_of(up: Cluster) -> list[Any]:
    return list((await up.client.list(PODS, namespace="default")).items)


@pytest.mark.parametrize(
    ("resource", "kind"), [(REPLICA_SETS, "ReplicaSet"), (REPLICATION_CONTROLLERS, "ReplicationController")]
)
async def test_sets_keep_their_size(resource: Any, kind: str) -> None:
    """Pods are created, replaced and deleted until there are as many as wanted, and the status counts them."""
    async with cluster() as up:
        await up.client.create(resource, workload(kind))
        await up.wait_for(resource, "web", lambda o: o["status"].get("replicas") == 3)
        first = (await pods_of(up))[0]
        assert first["metadata"]["generateName"] == "web-"
        owner = controller_of(first)
        assert owner is not None
        assert (owner["kind"], owner["name"]) == (kind, "web")
        await up.client.delete(PODS, first["metadata"]["name"], namespace="default", grace_period=0)
        await up.client.patch(resource, "web", {"spec": {"replicas": 2}}, namespace="default")
        done = await up.wait_for(
            resource, "web", lambda o: (o["status"].get("observedGeneration"), o["status"].get("replicas")) == (2, 2)
        )
        assert done["status"]["fullyLabeledReplicas"] == 2
        names = {pod["metadata"]["name"] for pod in await pods_of(up) if not is_terminating(pod)}
        assert len(names) == 2


async def test_orphans_are_adopted_and_strays_released() -> None:
    """A matching pod without an owner is taken in instead of a new one; one that loses its label is let go."""
    async with cluster() as up:
        await up.client.create(PODS, lone_pod("orphan", LABELS))
        await up.client.create(PODS, lone_pod("other", {"app": "other"}))
        await up.client.create(REPLICA_SETS, workload("ReplicaSet", 1))
        await up.wait_for(REPLICA_SETS, "web", lambda o: o["status"].get("replicas") == 1)
        adopted = await up.client.get(PODS, "orphan", namespace="default")
        assert controller_of(adopted) is not None
        assert len(await pods_of(up)) == 2
        await up.client.patch(PODS, "orphan", {"metadata": {"labels": {"app": "free"}}}, namespace="default")
        freed = await up.wait_for(PODS, "orphan", lambda o: controller_of(o) is None)
        assert freed["metadata"].get("ownerReferences", []) == []
        await pods_become(up, lambda pods: len(pods) == 3)
        assert controller_of(await up.client.get(PODS, "other", namespace="default")) is None


async def test_a_late_orphan_is_one_too_many() -> None:
    """An orphan that appears wakes the set that it matches: it is adopted, and the surplus pod goes."""
    async with cluster() as up:
        await up.client.create(REPLICA_SETS, workload("ReplicaSet", 1))
        await up.wait_for(REPLICA_SETS, "web", lambda o: o["status"].get("replicas") == 1)
        await up.client.create(PODS, lone_pod("late", LABELS))
        await up.wait_for(PODS, "late", lambda o: controller_of(o) is not None)
        await pods_become(up, lambda pods: sum(not is_terminating(pod) for pod in pods) == 1)


class Refusing:
    """A transport that refuses to create pods for as long as it is told to."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.refuse = True
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def call(self, request: ApiRequest) -> Any:
        if self.refuse and request.verb == "create" and request.resource is PODS:
            self.refused += 1
            raise Forbidden("pods is forbidden: exceeded quota: q")
        return await self._inner.call(request)


async def test_failed_creations_are_said_and_retried() -> None:
    """Slow start tries one pod, not all; the condition says why, and goes once creation works."""
    async with cluster(()) as up:
        transport = Refusing(up.client._transport)
        client = up.client.as_agent("test")
        client._transport = transport
        recorders = Recorders(client, up.clock, up.rng)
        context = Context(client, up.informers, up.clock, up.rng, recorders, strict=True)
        async with anyio.create_task_group() as group:
            group.start_soon(recorders.run)
            group.start_soon(partial(run_controllers, context, controllers(NAMES)))
            await up.client.create(DEPLOYMENTS, workload("Deployment", 50))

            def failing(obj: Any) -> bool:
                found = find_condition(obj["status"].get("conditions"), "ReplicaFailure")
                return found is not None and found["reason"] == "FailedCreate"

            failed = await up.wait_for(DEPLOYMENTS, "web", failing)
            found = find_condition(failed["status"]["conditions"], "ReplicaFailure")
            assert found is not None
            assert found["message"] == "pods is forbidden: exceeded quota: q"
            assert transport.refused < 10, "one a pass"
            transport.refuse = False
            await up.wait_for(DEPLOYMENTS, "web", lambda o: o["status"].get("replicas") == 50)
            await up.wait_for(DEPLOYMENTS, "web", lambda o: not failing(o))
            assert "Error creating: pods is forbidden: exceeded quota: q" in await events(up, "FailedCreate")
            group.cancel_scope.cancel()


def complete(generation: int) -> Any:
    """A predicate: the rollout of that generation is over."""

    def done(obj: Any) -> bool:
        found = find_condition(obj["status"].get("conditions"), "Progressing")
        status, spec = obj["status"], obj["spec"]["replicas"]
        return (
            status.get("observedGeneration", 0) >= generation
            and found is not None
            and found["reason"] == "NewReplicaSetAvailable"
            and status.get("updatedReplicas", 0)
            == status.get("replicas", 0)
            == status.get("availableReplicas", 0)
            == spec
        )

    return done


async def test_a_deployment_rolls_out_and_back() -> None:
    """From the first rollout through an update and its undoing: sets, revisions, events and pods are right."""
    async with cluster() as up, anyio.create_task_group() as group:
        group.start_soon(kubelet, up)
        await up.client.create(DEPLOYMENTS, workload("Deployment"))
        await up.wait_for(DEPLOYMENTS, "web", complete(1))
        (first,) = (await up.client.list(REPLICA_SETS)).items
        image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "v2"}]}}}}
        await up.client.patch(DEPLOYMENTS, "web", image, namespace="default", type="strategic")
        second = await up.wait_for(DEPLOYMENTS, "web", complete(2))
        assert second["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
        images = {p["spec"]["containers"][0]["image"] for p in await pods_of(up) if not is_terminating(p)}
        assert images == {"v2"}
        image["spec"]["template"]["spec"]["containers"][0]["image"] = "v1"
        await up.client.patch(DEPLOYMENTS, "web", image, namespace="default", type="strategic")
        await up.wait_for(DEPLOYMENTS, "web", complete(3))
        old = await up.client.get(REPLICA_SETS, first["metadata"]["name"], namespace="default")
        assert old["spec"]["replicas"] == 3
        assert old["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
        assert old["metadata"]["annotations"]["deployment.kubernetes.io/revision-history"] == "1"
        name = first["metadata"]["name"]
        assert f"Scaled up replica set {name} from 0 to 3" in await events(up, "ScalingReplicaSet")
        group.cancel_scope.cancel()


async def test_recreate_never_mixes_versions() -> None:
    """No pod of the new version exists while one of the old does."""
    async with cluster() as up, anyio.create_task_group() as group:
        group.start_soon(kubelet, up)
        await up.client.create(DEPLOYMENTS, workload("Deployment", strategy={"type": "Recreate"}))
        await up.wait_for(DEPLOYMENTS, "web", complete(1))
        seen: list[set[str]] = []
        up.informers(PODS).add_handler(
            lambda old, new: seen.append(
                {p["spec"]["containers"][0]["image"] for p in up.informers(PODS).lister.all("default")}
            )
        )
        image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "v2"}]}}}}
        await up.client.patch(DEPLOYMENTS, "web", image, namespace="default", type="strategic")
        await up.wait_for(DEPLOYMENTS, "web", complete(2))
        assert {"v1", "v2"} not in seen
        assert {"v2"} in seen
        group.cancel_scope.cancel()


async def test_a_taken_name_is_a_collision() -> None:
    """When another template's set has the name, collisionCount rises and another name is used."""
    async with cluster(("serviceaccount", "replicaset")) as up:
        created = await up.client.create(DEPLOYMENTS, workload("Deployment", 1))
        clash = new_replica_set(created, [], 1, Limits.of(created))
        thief = {**workload("ReplicaSet", 0, "other"), "metadata": {**clash["metadata"], "ownerReferences": []}}
        thief["metadata"]["labels"] = {"not": "web"}
        await up.client.create(REPLICA_SETS, thief)
        recorders = Recorders(up.client, up.clock, up.rng)
        context = Context(up.client, up.informers, up.clock, up.rng, recorders, strict=True)
        async with anyio.create_task_group() as group:
            group.start_soon(partial(run_controllers, context, controllers(("deployment",))))
            done = await up.wait_for(DEPLOYMENTS, "web", lambda o: o["status"].get("replicas") == 1)
            assert done["status"]["collisionCount"] == 1
            group.cancel_scope.cancel()
