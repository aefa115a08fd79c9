"""lightkube and kr8s: other ways to the same API, with patch types, watches and waits of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import kr8s.asyncio
import kr8s.asyncio.objects as objects
import lightkube
import pytest
from lightkube.codecs import from_dict
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import CascadeType, PatchType

from minik8s.blocking import BlockingCluster

SECONDS = 20
"""How long anything may take; a safety net."""


@pytest.fixture
def light(wire_cluster: BlockingCluster, namespace: str) -> Iterator[lightkube.Client]:
    """A lightkube client in the test's namespace."""
    kubeconfig = lightkube.KubeConfig.from_file(str(wire_cluster.kubeconfig)).get()
    client = lightkube.Client(config=kubeconfig, namespace=namespace, field_manager="light")
    yield client
    client._client._client.close()


@pytest.fixture
async def kr8s_api(wire_cluster: BlockingCluster, namespace: str) -> AsyncIterator[Any]:
    """A kr8s API object in the test's namespace and loop."""
    api = await kr8s.asyncio.api(kubeconfig=str(wire_cluster.kubeconfig), namespace=namespace)
    yield api
    await api._session.aclose()


def test_lightkube_objects(light: lightkube.Client) -> None:
    """create, replace, the three patches, chunked lists and both deletes."""
    created = light.create(ConfigMap(metadata=ObjectMeta(name="cm", labels={"a": "b"}), data={"a": "1"}))
    created.data = {"a": "1", "b": "2"}
    light.replace(created)
    light.patch(ConfigMap, "cm", {"data": {"c": "3"}})
    light.patch(ConfigMap, "cm", {"data": {"a": None}}, patch_type=PatchType.MERGE)
    operations = [{"op": "add", "path": "/data/d", "value": "4"}]
    patched = light.patch(ConfigMap, "cm", operations, patch_type=PatchType.JSON)
    assert patched.data == {"b": "2", "c": "3", "d": "4"}
    with pytest.raises(lightkube.ApiError) as stale:
        light.replace(created)
    assert (stale.value.status.code, stale.value.status.reason) == (409, "Conflict")
    assert [found.metadata.name for found in light.list(ConfigMap, labels={"a": "b"})] == ["cm"]
    assert len(list(light.list(ConfigMap, chunk_size=1))) == 2, "also kube-root-ca.crt"
    light.delete(ConfigMap, "cm")
    with pytest.raises(lightkube.ApiError, match='configmaps "cm" not found'):
        light.get(ConfigMap, "cm")
    light.deletecollection(ConfigMap)


def test_lightkube_apply(light: lightkube.Client) -> None:
    """Server-side apply owns what it says, removes what it no longer says, and conflicts."""
    cm = ConfigMap(metadata=ObjectMeta(name="cm"), data={"a": "1"})
    light.apply(cm)
    cm.data = {"b": "2"}
    assert light.apply(cm).data == {"b": "2"}
    cm.data = {"b": "3"}
    with pytest.raises(lightkube.ApiError, match=r'conflict with "light": \.data\.b'):
        light.apply(cm, field_manager="other")
    assert light.apply(cm, field_manager="other", force=True).data == {"b": "3"}


def test_lightkube_deployment(light: lightkube.Client, web: dict[str, Any]) -> None:
    """Waits, scales, watches, reads logs and deletes with cascade."""
    web["metadata"]["namespace"] = light.namespace
    light.apply(from_dict(web))
    light.wait(Deployment, "web", for_conditions=["Available"])
    scale = light.get(Deployment.Scale, "web")
    assert scale.status.selector == "app=web"
    scale.spec.replicas = 1
    scale.metadata.resourceVersion = None
    light.replace(scale, "web")
    for _, deployment in light.watch(Deployment, fields={"metadata.name": "web"}, server_timeout=SECONDS):
        if deployment.status.readyReplicas == deployment.status.replicas == 1:
            break
    condition = {"type": "Reviewed", "status": "True"}
    status = light.patch(Deployment.Status, "web", {"status": {"conditions": [condition]}})
    assert "Reviewed" in {condition.type for condition in status.status.conditions}
    pod = next(pod for pod in light.list(Pod, labels={"app": "web"}) if not pod.metadata.deletionTimestamp)
    assert "simulated start" in next(iter(light.log(pod.metadata.name)))
    version = light.list(Deployment, fields={"metadata.name": "web"})
    list(version)
    light.delete(Deployment, "web", cascade=CascadeType.FOREGROUND)
    for operation, _ in light.watch(
        Deployment, resource_version=version.resourceVersion, server_timeout=SECONDS, fields={"metadata.name": "web"}
    ):
        if operation == "DELETED":
            break


@pytest.mark.anyio
# it says that it has not been tested with 1.36
@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_kr8s_deployment(kr8s_api: Any, web: dict[str, Any]) -> None:
    """Create, wait, ready, scale, pods and their logs, labels, patches, and deletion until it is gone."""
    with anyio.fail_after(SECONDS):
        deployment = await objects.Deployment(web, api=kr8s_api)
        await deployment.create()
        await deployment.wait("condition=Available")
        assert await deployment.ready()
        await deployment.scale(3)
        await deployment.wait("jsonpath='{.status.readyReplicas}'=3")
        pods = await deployment.pods()
        assert len(pods) == 3
        assert "simulated start" in await anext(pods[0].logs())
        await deployment.label({"tier": "front"})
        await deployment.annotate({"note": "hello"})
        await deployment.patch({"spec": {"minReadySeconds": 1}})
        await deployment.patch([{"op": "add", "path": "/spec/revisionHistoryLimit", "value": 3}], type="json")
        await deployment.refresh()
        assert (deployment.labels, deployment.annotations["note"]) == ({"tier": "front"}, "hello")
        assert (deployment.spec.minReadySeconds, deployment.spec.revisionHistoryLimit) == (1, 3)
        found = [found.name async for found in kr8s_api.get("deployments", label_selector={"tier": "front"})]
        assert found == ["web"]
        await deployment.delete(propagation_policy="Foreground")
        await deployment.wait("delete")
        assert not await deployment.exists()


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_kr8s_cluster(kr8s_api: Any) -> None:
    """Version, discovery, who am I, watches and a node that is cordoned."""
    with anyio.fail_after(SECONDS):
        assert (await kr8s_api.version())["minor"] == "36"
        assert await kr8s_api.whoami() == "system:admin"
        names = {resource["name"] for resource in await kr8s_api.api_resources()}
        assert {"pods", "deployments", "customresourcedefinitions", "leases"} <= names
        cm = await objects.ConfigMap({"metadata": {"name": "cm"}, "data": {"a": "1"}}, api=kr8s_api)
        await cm.create()
        async for event, found in kr8s_api.watch("configmaps", field_selector="metadata.name=cm"):
            assert (event, found.name) == ("ADDED", "cm")
            break
        node = await anext(kr8s_api.get("nodes", "node-1"))
        await node.cordon()
        assert node.unschedulable
        await node.uncordon()
        assert not node.unschedulable
