"""kubernetes_asyncio: the typed client on aiohttp; its booleans arrive as `True`, its watch is an async iterator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.dynamic import DynamicClient

from minik8s.blocking import BlockingCluster

SECONDS = 20
"""How long anything may take; a safety net."""
APPLY = "application/apply-patch+yaml"

# aiohttp leaves its TLS transports to the garbage collector when their loop ends
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("aiohttp_leftovers"),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]


@pytest.fixture
async def api(wire_cluster: BlockingCluster) -> AsyncIterator[client.ApiClient]:
    """The client as its `load_kube_config` configures it."""
    configuration = client.Configuration()
    await config.load_kube_config(str(wire_cluster.kubeconfig), client_configuration=configuration)
    async with client.ApiClient(configuration) as api:
        yield api


async def caught(call: Any) -> tuple[int, str]:
    """Status code and body of the error that a call ends with."""
    with pytest.raises(ApiException) as error:
        await call
    return error.value.status, str(error.value.body)


async def test_objects(api: client.ApiClient, namespace: str) -> None:
    """create, every patch type, replace, conflict, paged lists and both deletes."""
    core = client.CoreV1Api(api)
    metadata = client.V1ObjectMeta(name="cm", labels={"a": "b"})
    with anyio.fail_after(SECONDS):
        created = await core.create_namespaced_config_map(
            namespace, client.V1ConfigMap(metadata=metadata, data={"a": "1"})
        )
        change = core.patch_namespaced_config_map
        await change("cm", namespace, {"data": {"b": "2"}})
        await change("cm", namespace, [{"op": "add", "path": "/data/c", "value": "3"}])
        merged = await change("cm", namespace, {"data": {"a": None}}, _content_type="application/merge-patch+json")
        assert merged.data == {"b": "2", "c": "3"}
        status, body = await caught(core.replace_namespaced_config_map("cm", namespace, created))
        assert (status, "the object has been modified" in body) == (409, True)
        for number in range(3):
            await core.create_namespaced_config_map(
                namespace, {"metadata": {"name": f"cm-{number}", "labels": {"n": ""}}}
            )
        page = await core.list_namespaced_config_map(namespace, label_selector="n", limit=2)
        rest = await core.list_namespaced_config_map(
            namespace, label_selector="n", limit=2, _continue=page.metadata._continue
        )
        assert [cm.metadata.name for cm in [*page.items, *rest.items]] == ["cm-0", "cm-1", "cm-2"]
        deleted = await core.delete_namespaced_config_map("cm", namespace)
        assert deleted.status == "Success"
        await core.delete_collection_namespaced_config_map(namespace, label_selector="n")
        assert (await caught(core.read_namespaced_config_map("cm", namespace)))[0] == 404


async def test_server_side_apply(api: client.ApiClient, namespace: str) -> None:
    """An applied object is owned; another manager conflicts until it forces."""
    core = client.CoreV1Api(api)

    async def apply(manager: str, value: str, **more: Any) -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": value}}
        return await core.patch_namespaced_config_map(
            "cm", namespace, body, field_manager=manager, _content_type=APPLY, **more
        )

    with anyio.fail_after(SECONDS):
        assert (await apply("one", "1")).metadata.managed_fields[0].operation == "Apply"
        status, body = await caught(apply("two", "2"))
        assert (status, 'conflict with \\"one\\": .data.a' in body) == (409, True)
        assert (await apply("two", "2", force=True)).data == {"a": "2"}


async def test_deployment(api: client.ApiClient, namespace: str, web: dict[str, Any]) -> None:
    """A Deployment is watched until it is ready, scaled, and one of its pods' logs followed to the end."""
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    with anyio.fail_after(SECONDS):
        await apps.create_namespaced_deployment(namespace, web)
        await apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
        async with watch.Watch() as watcher:
            async for event in watcher.stream(apps.list_namespaced_deployment, namespace, timeout_seconds=SECONDS):
                if event["object"].status.ready_replicas == 3:
                    break
        status = await apps.read_namespaced_deployment_status("web", namespace)
        assert status.status.available_replicas == 3
        pods = await core.list_namespaced_pod(namespace, label_selector="app=web")
        log = await core.read_namespaced_pod_log(pods.items[0].metadata.name, namespace, timestamps=False)
        assert "simulated start" in log
        await apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")


async def test_watch(api: client.ApiClient, namespace: str) -> None:
    """A watch from a list's version shows what happened since and ends in time."""
    core = client.CoreV1Api(api)
    with anyio.fail_after(SECONDS):
        version = (await core.list_namespaced_config_map(namespace)).metadata.resource_version
        await core.create_namespaced_config_map(namespace, {"metadata": {"name": "cm"}})
        await core.delete_namespaced_config_map("cm", namespace)
        seen = []
        async with watch.Watch() as watcher:
            stream = watcher.stream(
                core.list_namespaced_config_map, namespace, resource_version=version, timeout_seconds=1
            )
            async for event in stream:
                seen.append((event["type"], event["object"].metadata.name))
        assert seen[:2] == [("ADDED", "cm"), ("DELETED", "cm")]


async def test_dynamic_client(api: client.ApiClient, namespace: str) -> None:
    """Discovery finds kinds; objects are created, applied and listed through it."""
    with anyio.fail_after(SECONDS):
        dynamic = await DynamicClient(api)
        maps = await dynamic.resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cm"}, "data": {"a": "1"}}
        await maps.server_side_apply(body=body, name="cm", namespace=namespace, field_manager="test")
        assert (await maps.get(name="cm", namespace=namespace)).data.to_dict() == {"a": "1"}
