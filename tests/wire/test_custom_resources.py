"""Custom resources for clients that never heard of us: kubectl, the official Python client, kopf with its own kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import kopf
import kr8s.asyncio
import lightkube
import pytest
import yaml
from kr8s.asyncio.objects import new_class
from kubernetes import client, config, dynamic, watch
from lightkube.generic_resource import get_generic_resource, load_in_cluster_generic_resources
from lightkube.types import PatchType

from minik8s import custom_resource
from minik8s.blocking import BlockingCluster
from tests.wire.test_operators import Seen, running

TRAINS = custom_resource("rail.example.com", "v1", "trains", "Train")
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: trains.rail.example.com}
spec:
  group: rail.example.com
  scope: Namespaced
  names: {plural: trains, kind: Train, shortNames: [tr], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Line, type: string, jsonPath: .spec.line}
    - {name: Cars, type: integer, jsonPath: .spec.replicas}
    selectableFields: [{jsonPath: .spec.line}]
    schema:
      openAPIV3Schema:
        type: object
        description: A Train runs on a line.
        properties:
          spec:
            type: object
            description: What is wanted of the train.
            required: [line]
            properties:
              line: {type: string, pattern: '^[A-Z]+$', description: The line that it runs on.}
              replicas: {type: integer, minimum: 1, default: 1}
              stops:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, minutes: {type: integer}}
            x-kubernetes-validations:
            - {rule: 'self.line == oldSelf.line', message: a train stays on its line}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"""
TRAIN = """\
apiVersion: rail.example.com/v1
kind: Train
metadata: {name: early}
spec: {line: A, stops: [{name: north, minutes: 1}]}
"""

# aiohttp leaves its TLS transports to the garbage collector when their loop ends
pytestmark = [
    pytest.mark.usefixtures("aiohttp_leftovers"),
    pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def trains(wire_cluster: BlockingCluster) -> None:
    """The definition, for all tests of this module."""
    wire_cluster.apply(DEFINITION)


def test_kubectl_reads_and_writes(kubectl: Any) -> None:
    """All its ways of changing an object, and those of looking at it."""
    assert "created" in kubectl("apply", "-f", "-", input=TRAIN)
    assert kubectl("get", "tr").split()[:3] == ["NAME", "LINE", "CARS"]
    assert "train.rail.example.com/early" in kubectl("get", "all", "-o", "name")
    assert "configured" in kubectl("apply", "-f", "-", input=TRAIN.replace("minutes: 1", "minutes: 2"))
    kubectl("scale", "train/early", "--replicas=4")
    kubectl("label", "trains", "early", "x=y")
    kubectl("patch", "train", "early", "--type=merge", "-p", '{"spec":{"stops":[{"name":"south"}]}}')
    kubectl("patch", "train", "early", "--type=json", "-p", '[{"op":"add","path":"/spec/stops/0/minutes","value":9}]')
    status = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    kubectl("patch", "train", "early", "--subresource=status", "--type=merge", "-p", status)
    kubectl("wait", "--for=condition=Ready", "train/early", "--timeout=10s")
    train = kubectl.json("get", "trains.rail.example.com", "early")
    assert train["spec"] == {"line": "A", "replicas": 4, "stops": [{"name": "south", "minutes": 9}]}
    assert "early" in kubectl("get", "trains", "--field-selector=spec.line=A", "-o", "name")
    assert kubectl("get", "trains", "--field-selector=spec.line=B", "-o", "name") == ""
    assert "Replicas:  4" in kubectl("describe", "train", "early")
    kubectl("delete", "train", "early")


def test_kubectl_is_told_what_is_wrong(kubectl: Any) -> None:
    """Unknown fields, invalid values and broken rules, before and after the object exists."""
    said = kubectl.fails("apply", "-f", "-", input=TRAIN.replace("line: A", "line: a, wheels: 8"))
    assert 'strict decoding error: unknown field "spec.wheels"' in said
    said = kubectl.fails("apply", "-f", "-", input=TRAIN.replace("line: A", "line: a"))
    assert "spec.line: Invalid value: \"a\": spec.line in body should match '^[A-Z]+$'" in said
    kubectl("apply", "-f", "-", input=TRAIN)
    said = kubectl.fails("apply", "-f", "-", input=TRAIN.replace("line: A", "line: B"))
    assert "spec: Invalid value: a train stays on its line" in said
    assert "strategic-merge-patch+json is not supported" in kubectl.fails("patch", "train", "early", "-p", "{}")


def test_kubectl_applies_on_the_server(kubectl: Any) -> None:
    """Lists merge by their keys, and another owner's field is a conflict."""
    kubectl("apply", "--server-side", "--field-manager=a", "-f", "-", input=TRAIN)
    more = TRAIN.replace("{name: north, minutes: 1}", "{name: south}")
    kubectl("apply", "--server-side", "--field-manager=b", "-f", "-", input=more)
    stops = kubectl.json("get", "train", "early")["spec"]["stops"]
    assert [stop["name"] for stop in stops] == ["north", "south"]
    other = TRAIN.replace("minutes: 1", "minutes: 5")
    said = kubectl.fails("apply", "--server-side", "--field-manager=b", "-f", "-", input=other)
    assert 'conflict with "a": .spec.stops[name="north"].minutes' in said


def test_kubectl_explains(kubectl_admin: Any) -> None:
    """From the definition's schema."""
    assert "What is wanted of the train." in kubectl_admin("explain", "trains.spec")
    assert "The line that it runs on." in kubectl_admin("explain", "tr.spec.line")
    listed = kubectl_admin("api-resources", "--api-group=rail.example.com", "--no-headers").split()
    assert listed == ["trains", "tr", "rail.example.com/v1", "true", "Train"]


def test_kubectl_deletes_a_definition_with_its_objects(kubectl: Any) -> None:
    """And waits until it is gone."""
    text = DEFINITION.replace("rail.", "metro.")
    kubectl("apply", "-f", "-", input=text)
    kubectl("wait", "--for=condition=Established", "crd/trains.metro.example.com", "--timeout=10s")
    kubectl("apply", "-f", "-", input=TRAIN.replace("rail.", "metro."))
    kubectl("delete", "crd", "trains.metro.example.com", "--timeout=20s")
    assert "doesn't have a resource type" in kubectl.fails("get", "trains.metro.example.com")


@pytest.fixture
def api(wire_cluster: BlockingCluster) -> Iterator[client.ApiClient]:
    """The official client."""
    with config.new_client_from_config(str(wire_cluster.kubeconfig)) as made:
        yield made


def test_the_official_client(api: client.ApiClient, namespace: str, tmp_path: Path) -> None:
    """Typed definitions, untyped objects, the dynamic client and a watch."""
    crds = client.ApiextensionsV1Api(api)
    crd = crds.read_custom_resource_definition("trains.rail.example.com")
    assert [c.type for c in crd.status.conditions if c.status == "True"] == ["NamesAccepted", "Established"]
    objects = client.CustomObjectsApi(api)
    where = ("rail.example.com", "v1", namespace, "trains")
    made = objects.create_namespaced_custom_object(*where, yaml.safe_load(TRAIN))
    assert made["spec"]["replicas"] == 1
    made["spec"]["replicas"] = 2
    assert objects.replace_namespaced_custom_object(*where, "early", made)["metadata"]["generation"] == 2
    objects.patch_namespaced_custom_object_status(*where, "early", {"status": {"seen": True}})
    assert objects.get_namespaced_custom_object_scale(*where, "early")["spec"] == {"replicas": 2}
    found = dynamic.DynamicClient(api, cache_file=str(tmp_path / "discovery"))
    resource = found.resources.get(api_version="rail.example.com/v1", kind="Train")
    assert resource.get(name="early", namespace=namespace).status.seen
    stream = watch.Watch().stream(objects.list_namespaced_custom_object, *where, timeout_seconds=10)
    event = next(stream)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "early")
    stream.close()
    assert objects.delete_namespaced_custom_object(*where, "early")["status"] == "Success"


PEERINGS = [
    f"""\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.kopf.dev}}
spec:
  scope: {scope}
  group: kopf.dev
  names: {{kind: {kind}, plural: {plural}, singular: {kind.lower()}}}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          status: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
    for scope, plural, kind in (
        ("Cluster", "clusterkopfpeerings", "ClusterKopfPeering"),
        ("Namespaced", "kopfpeerings", "KopfPeering"),
    )
]
"""kopf's own kinds, as its peering.yaml defines them."""


def test_a_kopf_operator_with_its_own_kinds(wire_cluster: BlockingCluster, namespace: str, seen: Seen) -> None:
    """A real operator keeps its state and results in the status of its objects, and pairs with its peers."""
    for definition in PEERINGS:
        wire_cluster.apply(definition)
    peering = {"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "default"}}
    wire_cluster.apply(peering, namespace=namespace)
    registry = kopf.OperatorRegistry()

    @kopf.on.create("trains.rail.example.com", id="created", registry=registry)
    def created(spec: kopf.Spec, **_: Any) -> dict[str, Any]:
        seen.note("created", spec["line"])
        return {"cars": spec["replicas"]}

    @kopf.on.delete("trains.rail.example.com", registry=registry)
    def deleted(name: str, **_: Any) -> None:
        seen.note("deleted", name)

    with running(registry, wire_cluster.kubeconfig, namespaces=[namespace], peering_name="default", standalone=False):
        wire_cluster.apply(TRAIN, namespace=namespace)
        seen.wait_for("created", "A")
        wire_cluster.wait_for(
            TRAINS, "early", lambda train: "created" in (train.get("status") or {}), namespace=namespace
        )
        wire_cluster.run(wire_cluster.client.delete, TRAINS, "early", namespace=namespace)
        seen.wait_for("deleted", "early")
        wire_cluster.wait_for(TRAINS, "early", "Deleted", namespace=namespace)
        peerings = custom_resource("kopf.dev", "v1", "kopfpeerings", "KopfPeering")
        paired = wire_cluster.run(wire_cluster.client.get, peerings, "default", namespace=namespace)
        assert paired["status"]


@pytest.fixture
def seen() -> Seen:
    """What the handlers noted."""
    return Seen()


def test_lightkube(wire_cluster: BlockingCluster, namespace: str) -> None:
    """Generic resources, loaded from the definitions, with status and apply."""
    kubeconfig = lightkube.KubeConfig.from_file(str(wire_cluster.kubeconfig)).get()
    light = lightkube.Client(config=kubeconfig, namespace=namespace, field_manager="light")
    try:
        load_in_cluster_generic_resources(light)
        train = get_generic_resource("rail.example.com/v1", "Train")
        assert train is not None
        made = light.create(train(metadata={"name": "light"}, spec={"line": "L"}))
        assert made.spec == {"line": "L", "replicas": 1}
        light.patch(train.Status, "light", {"status": {"x": 1}}, patch_type=PatchType.MERGE)
        applied = light.apply(train(metadata={"name": "light"}, spec={"line": "L", "replicas": 3}), force=True)
        assert (applied.spec["replicas"], applied.status) == (3, {"x": 1})
        assert [found.metadata.name for found in light.list(train)] == ["light"]
        light.delete(train, "light")
    finally:
        light._client._client.close()


@pytest.mark.anyio
# it says that it has not been tested with 1.36
@pytest.mark.filterwarnings("ignore:Kubernetes version .* is not supported:UserWarning")
async def test_kr8s(wire_cluster: BlockingCluster, namespace: str) -> None:
    """A class made at run time, found by discovery as well; scaled and waited for."""
    api = await kr8s.asyncio.api(kubeconfig=str(wire_cluster.kubeconfig), namespace=namespace)
    try:
        with anyio.fail_after(20):
            kind = new_class("Train", "rail.example.com/v1", scalable=True, scalable_spec="replicas")
            train = await kind({"metadata": {"name": "kr8s"}, "spec": {"line": "K"}}, api=api)
            await train.create()
            await train.scale(2)
            await train.patch({"status": {"x": 1}}, subresource="status")
            await train.wait("jsonpath='{.status.x}'=1")
            assert [found.name async for found in api.get("trains.rail.example.com")] == ["kr8s"]
            await train.delete()
            await train.wait("delete")
    finally:
        await api._session.aclose()
