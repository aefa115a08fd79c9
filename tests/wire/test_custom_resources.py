"""Custom resources by clients that have never heard of them: each defines a kind, and treats it as any other."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import lightkube
import pytest
from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from lightkube.core.exceptions import ApiError
from lightkube.generic_resource import create_namespaced_resource, load_in_cluster_generic_resources
from lightkube.resources.core_v1 import ConfigMap
from lightkube.types import PatchType

from minik8s.blocking import BlockingCluster

SECONDS = 20
"""How long anything may take; a safety net."""
SPEC = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "default": 1, "maximum": 9},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
    },
}
STATUS = {"type": "object", "properties": {"size": {"type": "integer"}, "phase": {"type": "string"}}}


def definition(group: str) -> dict[str, Any]:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"},
        },
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
            "versions": [version],
        },
    }


def widget(group: str, name: str = "w", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def api(wire_cluster: BlockingCluster) -> Iterator[client.ApiClient]:
    api = config.new_client_from_config(str(wire_cluster.kubeconfig))
    yield api
    api.rest_client.pool_manager.clear()


@pytest.fixture
def group(api: client.ApiClient, namespace: str) -> Iterator[str]:
    """The group of a freshly defined kind Widget; the definition is deleted after the test."""
    group = f"{namespace[:40].strip('-')}.example.com"
    definitions = client.ApiextensionsV1Api(api)
    created = definitions.create_custom_resource_definition(definition(group))
    assert created.metadata.name == f"widgets.{group}"
    for event in watch.Watch().stream(definitions.list_custom_resource_definition, timeout_seconds=SECONDS):
        found = event["object"]
        conditions = {c.type: c.status for c in found.status.conditions or ()} if found.status else {}
        if found.metadata.name == created.metadata.name and conditions.get("Established") == "True":
            break
    yield group
    definitions.delete_custom_resource_definition(created.metadata.name)


def test_python_custom_objects(api: client.ApiClient, namespace: str, group: str) -> None:
    """CustomObjectsApi: create with defaults, patches, status, scale, watch, validation, list and deletes."""
    objects = client.CustomObjectsApi(api)
    where = {"group": group, "version": "v1", "namespace": namespace, "plural": "widgets"}
    created = objects.create_namespaced_custom_object(**where, body=widget(group))
    assert created["spec"] == {"size": 1}
    patched = objects.patch_namespaced_custom_object(**where, name="w", body={"spec": {"size": 2}})
    assert (patched["spec"]["size"], patched["metadata"]["generation"]) == (2, 2)
    objects.patch_namespaced_custom_object_status(**where, name="w", body={"status": {"phase": "Ready"}})
    scale = objects.patch_namespaced_custom_object_scale(**where, name="w", body={"spec": {"replicas": 3}})
    assert scale["spec"]["replicas"] == 3
    found = objects.get_namespaced_custom_object(**where, name="w")
    assert (found["spec"]["size"], found["status"]) == (3, {"phase": "Ready"})
    with pytest.raises(ApiException) as refused:
        objects.patch_namespaced_custom_object(**where, name="w", body={"spec": {"size": 10}})
    assert refused.value.status == 422
    version = objects.list_namespaced_custom_object(**where)["metadata"]["resourceVersion"]
    objects.delete_namespaced_custom_object(**where, name="w")
    stream = watch.Watch().stream(
        objects.list_namespaced_custom_object, **where, resource_version=version, timeout_seconds=SECONDS
    )
    event = next(iter(stream))
    assert (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", "w")
    with pytest.raises(ApiException) as missing:
        objects.get_namespaced_custom_object(**where, name="w")
    assert missing.value.status == 404


def test_python_dynamic(api: client.ApiClient, namespace: str, group: str, tmp_path: Path) -> None:
    """The dynamic client discovers the new kind, applies it, and reads its status subresource."""
    found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery"))
    widgets = found.resources.get(api_version=f"{group}/v1", kind="Widget")
    body = widget(group, size=2, ports=[{"name": "a"}])
    widgets.server_side_apply(body=body, name="w", namespace=namespace, field_manager="one")
    body["spec"] = {"ports": [{"name": "b"}]}
    both = widgets.server_side_apply(body=body, name="w", namespace=namespace, field_manager="two")
    assert [port.name for port in both.spec.ports] == ["a", "b"]
    assert widgets.status.get(name="w", namespace=namespace).kind == "Widget"
    assert [item.metadata.name for item in widgets.get(namespace=namespace).items] == ["w"]
    widgets.delete(name="w", namespace=namespace)


@pytest.fixture
def light_config(wire_cluster: BlockingCluster) -> Any:
    return lightkube.KubeConfig.from_file(str(wire_cluster.kubeconfig)).get()


def test_lightkube_generic_resources(light_config: Any, namespace: str, group: str) -> None:
    """lightkube makes classes for kinds it is told of, or finds in the cluster; apply, patch, status and list."""
    light = lightkube.Client(config=light_config, namespace=namespace, field_manager="light")
    try:
        widgets = create_namespaced_resource(group, "v1", "Widget", "widgets")
        body = {"metadata": {"name": "w", "namespace": namespace}, "spec": {"size": 2}}
        applied = light.apply(widgets({"apiVersion": f"{group}/v1", "kind": "Widget", **body}))
        assert applied["spec"]["size"] == 2
        changed = {"apiVersion": f"{group}/v1", "kind": "Widget", **body, "spec": {"size": 3}}
        with pytest.raises(ApiError, match=r'conflict with "light": \.spec\.size'):
            light.apply(widgets(changed), field_manager="other")
        light.patch(widgets, "w", {"spec": {"size": 4}}, patch_type=PatchType.MERGE)
        status = light.patch(widgets.Status, "w", {"status": {"phase": "Ready"}}, patch_type=PatchType.MERGE)
        assert status["status"] == {"phase": "Ready"}
        load_in_cluster_generic_resources(light)
        assert [found.metadata.name for found in light.list(widgets)] == ["w"]
        light.delete(widgets, "w")
    finally:
        light._client._client.close()


@pytest.mark.anyio
async def test_lightkube_async(light_config: Any, namespace: str) -> None:
    """The asynchronous client: apply, watch, list, conflict and delete."""
    from lightkube.models.meta_v1 import ObjectMeta

    light = lightkube.AsyncClient(config=light_config, namespace=namespace, field_manager="light")
    try:
        with anyio.fail_after(SECONDS):
            cm = ConfigMap(metadata=ObjectMeta(name="cm"), data={"a": "1"})
            await light.apply(cm)
            async for operation, found in light.watch(ConfigMap, fields={"metadata.name": "cm"}):
                assert (operation, found.data) == ("ADDED", {"a": "1"})
                break
            cm.data = {"a": "2"}
            with pytest.raises(ApiError, match=r'conflict with "light"'):
                await light.apply(cm, field_manager="other")
            assert "cm" in [found.metadata.name async for found in light.list(ConfigMap)]
            await light.delete(ConfigMap, "cm")
    finally:
        await light._client._client.aclose()


KR8S = """
import sys
import warnings
import kr8s
from kr8s.objects import ConfigMap, Pod, new_class
warnings.simplefilter("ignore")  # it says that it has not been tested with 1.36
group, namespace = sys.argv[1:]
api = kr8s.api(namespace=namespace)
Widget = new_class(kind="Widget", version=f"{group}/v1", plural="widgets", namespaced=True)
w = Widget({"metadata": {"name": "w", "namespace": namespace}, "spec": {"size": 2}}, api=api)
w.create()
w.patch({"spec": {"size": 3}})
w.patch({"status": {"phase": "Ready"}}, subresource="status")
w.refresh()
assert (w.spec.size, w.status.phase) == (3, "Ready"), w.raw
assert [found.name for found in api.get("widgets." + group)] == ["w"]
w.label({"a": "b"})
assert w.labels == {"a": "b"}
w.delete()
assert not w.exists()
cm = ConfigMap({"metadata": {"name": "cm", "namespace": namespace}, "data": {"a": "1"}}, api=api)
cm.create()
cm.patch([{"op": "replace", "path": "/data/a", "value": "2"}], type="json")
assert cm.raw["data"]["a"] == "2"
spec = {"containers": [{"name": "c", "image": "busybox"}]}
pod = Pod({"metadata": {"name": "p", "namespace": namespace}, "spec": spec}, api=api)
pod.create()
pod.wait("condition=Ready", timeout=20)
assert "simulated start" in "\\n".join(pod.logs())
pod.delete()
"""


def test_kr8s_sync(wire_cluster: BlockingCluster, namespace: str, group: str) -> None:
    """kr8s without async, in a process of its own because it keeps a thread: a new class, patches, labels, waits."""
    env = {**os.environ, "KUBECONFIG": str(wire_cluster.kubeconfig)}
    done = subprocess.run(
        [sys.executable, "-c", KR8S, group, namespace], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


OPERATOR = """
import os
import kopf

GROUP = os.environ["GROUP"]

@kopf.on.startup()
def configure(settings, **_):
    settings.persistence.finalizer = GROUP + "/operator"
    settings.posting.enabled = True

@kopf.on.create(GROUP, "v1", "widgets")
@kopf.on.update(GROUP, "v1", "widgets", field="spec.size")
def sized(spec, patch, body, **_):
    patch.status["size"] = spec["size"]
    kopf.info(body, reason="Sized", message=f"to {spec['size']}")

@kopf.on.resume(GROUP, "v1", "widgets")
def resumed(patch, **_):
    patch.metadata.annotations["example.com/resumed"] = "yes"

@kopf.timer(GROUP, "v1", "widgets", interval=0.05)
def tick(patch, status, **_):
    patch.status["phase"] = "Ticked"

@kopf.daemon(GROUP, "v1", "widgets")
async def watcher(stopped, name, **_):
    await stopped.wait()
    print("daemon ended", name, flush=True)

@kopf.on.delete(GROUP, "v1", "widgets")
def deleted(name, **_):
    print("deleted", name, flush=True)
"""


def test_kopf_operator(
    api: client.ApiClient, wire_cluster: BlockingCluster, namespace: str, group: str, tmp_path: Path
) -> None:
    """`kopf run` with a CRD: status by handlers and a timer, a finalizer, a resumed object, a daemon's end, Events."""
    script = tmp_path / "operator.py"
    script.write_text(OPERATOR)
    objects = client.CustomObjectsApi(api)
    where = {"group": group, "version": "v1", "namespace": namespace, "plural": "widgets"}

    def until(name: str, condition: Any) -> Any:
        stream = watch.Watch().stream(objects.list_namespaced_custom_object, **where, timeout_seconds=SECONDS)
        for event in stream:
            found = event["object"]
            if found["metadata"]["name"] == name and condition(event["type"], found):
                return found
        raise AssertionError("the watch timed out")

    objects.create_namespaced_custom_object(**where, body=widget(group, "before", size=2))
    env = {**os.environ, "KUBECONFIG": str(wire_cluster.kubeconfig), "GROUP": group}
    command = [sys.executable, "-m", "kopf", "run", "--standalone", "-n", namespace, str(script)]
    operator = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(operator.communicate()))
    reader.start()
    try:
        until("before", lambda _, found: found.get("status", {}).get("size") == 2)
        objects.create_namespaced_custom_object(**where, body=widget(group, size=3))
        found = until("w", lambda _, found: found.get("status", {}).get("size") == 3)
        assert found["metadata"]["finalizers"] == [f"{group}/operator"]
        objects.patch_namespaced_custom_object(**where, name="w", body={"spec": {"size": 4}})
        until("w", lambda _, found: found["status"].get("size") == 4 and found["status"].get("phase") == "Ticked")
        for name in ("w", "before"):
            objects.delete_namespaced_custom_object(**where, name=name)
            until_gone(objects, where, name)
    finally:
        operator.terminate()
        reader.join(SECONDS)
        operator.kill()
    assert not reader.is_alive()
    assert {"deleted w", "daemon ended w", "deleted before"} <= set(said[0].splitlines()), said
    events = client.CoreV1Api(api).list_namespaced_event(namespace, field_selector="reason=Sized,involvedObject.name=w")
    assert {event.message for event in events.items} == {"to 3", "to 4"}


def until_gone(objects: client.CustomObjectsApi, where: dict[str, str], name: str) -> None:
    """Waits for an object's end, which its finalizer holds up."""
    listed = objects.list_namespaced_custom_object(**where)
    if name not in {item["metadata"]["name"] for item in listed["items"]}:
        return
    version = listed["metadata"]["resourceVersion"]
    for event in watch.Watch().stream(
        objects.list_namespaced_custom_object, **where, resource_version=version, timeout_seconds=SECONDS
    ):
        if (event["type"], event["object"]["metadata"]["name"]) == ("DELETED", name):
            return
    raise AssertionError(f"{name} is still there")
