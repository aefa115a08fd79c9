"""Patches of custom resources: their schema says how lists and maps merge, in every version they are served in."""

from __future__ import annotations

import copy
from typing import Any

import pytest

pytestmark = pytest.mark.anyio

APPLY = "application/apply-patch+yaml"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
PORT = {
    "type": "object",
    "required": ["port"],
    "properties": {
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
        "name": {"type": "string"},
    },
}
SPEC = {
    "type": "object",
    "properties": {
        "size": {"type": "integer"},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": PORT,
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "atoms": {"type": "array", "items": {"type": "string"}},
        "selector": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "additionalProperties": {"type": "string"},
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
STATUS = {"type": "object", "properties": {"size": {"type": "integer"}}}
SCALE = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
VERSIONS: list[dict[str, Any]] = [
    {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}, "scale": SCALE},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}},
    },
    {
        "name": "v2",
        "served": True,
        "storage": False,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    },
]
DEFINITION = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "kind": "Widget"},
        "versions": VERSIONS,
    },
}


def url(version: str = "v1", subresource: str = "", query: str = "fieldManager=m") -> str:
    return f"/apis/example.com/{version}/namespaces/default/widgets/w{subresource}?{query}"


def widget(version: str = "v1", **spec: Any) -> dict[str, Any]:
    body = {"apiVersion": f"example.com/{version}", "kind": "Widget", "metadata": {"name": "w"}}
    return {**body, "spec": spec} if spec else body


@pytest.fixture
async def widgets(server: Any) -> Any:
    """A server that has widgets."""
    await server.ok("POST", DEFINITIONS, DEFINITION)
    return server


def fields(obj: Any, manager: str) -> Any:
    return next((e["fieldsV1"] for e in obj["metadata"]["managedFields"] if e["manager"] == manager), None)


async def test_lists_and_maps_of_a_schema(widgets: Any) -> None:
    """Keyed lists merge by all keys, absent ones by their default; sets unite; the rest is one value."""
    first = widget(
        ports=[{"port": 80}, {"port": 80, "protocol": "UDP"}],
        tags=["x"],
        atoms=["a"],
        selector={"a": "b"},
        free={"x": {"y": 1}, "l": [1]},
    )
    await widgets.ok("PATCH", url(query="fieldManager=one"), first, type=APPLY)
    second = widget(ports=[{"port": 80, "protocol": "TCP", "name": "n"}], tags=["y"], free={"x": {"z": 1}})
    both = await widgets.ok("PATCH", url(query="fieldManager=two"), second, type=APPLY)
    assert both["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "name": "n"}, {"port": 80, "protocol": "UDP"}],
        "tags": ["x", "y"],
        "atoms": ["a"],
        "selector": {"a": "b"},
        "free": {"x": {"y": 1, "z": 1}, "l": [1]},
    }
    assert fields(both, "one")["f:spec"] == {
        "f:atoms": {},
        "f:free": {"f:l": {}, "f:x": {".": {}, "f:y": {}}},
        "f:ports": {
            'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}},
            'k:{"port":80,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}},
        },
        "f:selector": {},
        "f:tags": {'v:"x"': {}},
    }
    third = widget(atoms=["b"], selector={"c": "d"}, free={"l": [2]})
    response = await widgets.call("PATCH", url(query="fieldManager=two"), third, type=APPLY)
    assert [cause["field"] for cause in response.json()["details"]["causes"]] == [
        ".spec.atoms",
        ".spec.selector",
        ".spec.free.l",
    ]
    alone = await widgets.ok("PATCH", url(query="fieldManager=two&force=true"), third, type=APPLY)
    assert alone["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}, {"port": 80, "protocol": "UDP"}]
    assert (alone["spec"]["tags"], alone["spec"]["selector"]) == (["x"], {"c": "d"})
    assert set(fields(alone, "one")["f:spec"]) == {"f:free", "f:ports", "f:tags"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"foo": 1}, ".spec.foo: field not declared in schema"),
        ({"size": "1"}, ".spec.size: expected numeric (int or float), got string"),
        (
            {"ports": [{"port": 1}, {"port": 1, "protocol": "TCP"}]},
            '.spec.ports: duplicate entries for key [port=1,protocol="TCP"]',
        ),
        ({"tags": ["a", "a"]}, '.spec.tags: duplicate entries for key [="a"]'),
        ({"atoms": [1]}, ".spec.atoms[0]: expected string, got &value.valueUnstructured{Value:1}"),
    ],
)
async def test_what_does_not_fit_the_schema(widgets: Any, spec: Any, message: str) -> None:
    """A configuration is checked against the schema before anything else is."""
    who = "failed to create typed patch object (/w; example.com/v1, Kind=Widget): "
    await widgets.refused("PATCH", url(), 500, "", who + message, widget(**spec), type=APPLY)


async def test_other_patches(widgets: Any) -> None:
    """Merge and JSON patches work and are tracked; a strategic one is refused with what there is."""
    await widgets.ok("PATCH", url(), widget(size=1, tags=["a"]), type=APPLY)
    merge = url(query="fieldManager=merger")
    await widgets.ok("PATCH", merge, {"spec": {"size": 2}}, type="application/merge-patch+json")
    operations = [{"op": "add", "path": "/spec/tags/-", "value": "b"}]
    obj = await widgets.ok("PATCH", url(query="fieldManager=jp"), operations, type="application/json-patch+json")
    assert fields(obj, "merger") == {"f:spec": {"f:size": {}}}
    assert fields(obj, "jp") == {"f:spec": {"f:tags": {'v:"b"': {}}}}
    assert fields(obj, "m") == {"f:spec": {"f:tags": {'v:"a"': {}}}}
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )
    strategic = "application/strategic-merge-patch+json"
    await widgets.refused("PATCH", url(), 415, "UnsupportedMediaType", message, {"spec": {}}, type=strategic)


async def test_subresources(widgets: Any) -> None:
    """Status and scale are applied at their endpoints; the scale's owner owns what its path says."""
    await widgets.ok("PATCH", url(), widget(size=1), type=APPLY)
    body = {**widget(size=9), "metadata": {"name": "w", "labels": {"a": "b"}}, "status": {"size": 3}}
    obj = await widgets.ok("PATCH", url(subresource="/status", query="fieldManager=s"), body, type=APPLY)
    assert (obj["spec"]["size"], obj["status"]["size"], "labels" in obj["metadata"]) == (1, 3, False)
    assert fields(obj, "s") == {"f:status": {"f:size": {}}}
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "w"}, "spec": {"replicas": 5}}
    where = url(subresource="/scale", query="fieldManager=hpa")
    message = 'Apply failed with 1 conflict: conflict with "m": .spec.replicas'
    await widgets.refused("PATCH", where, 409, "Conflict", message, scale, type=APPLY)
    await widgets.ok("PATCH", f"{where}&force=true", scale, type=APPLY)
    obj = await widgets.ok("GET", url())
    assert obj["spec"]["size"] == 5
    assert (fields(obj, "hpa"), fields(obj, "m")) == ({"f:spec": {"f:size": {}}}, None)


async def test_versions(widgets: Any) -> None:
    """Owners in one version conflict with appliers in another, and lose to them."""
    await widgets.ok("PATCH", url(query="fieldManager=old"), widget(size=1, tags=["a"]), type=APPLY)
    config = widget("v2", size=2, more={"a": 1})
    message = 'Apply failed with 1 conflict: conflict with "old": .spec.size'
    await widgets.refused("PATCH", url("v2", query="fieldManager=new"), 409, "Conflict", message, config, type=APPLY)
    obj = await widgets.ok("PATCH", url("v2", query="fieldManager=new&force=true"), config, type=APPLY)
    assert fields(obj, "old") == {"f:spec": {"f:tags": {'v:"a"': {}}}}
    assert fields(obj, "new") == {"f:spec": {".": {}, "f:size": {}, "f:more": {".": {}, "f:a": {}}}}
    moved = await widgets.ok("PATCH", url("v2", query="fieldManager=old"), widget("v2"), type=APPLY)
    assert "tags" not in moved["spec"], "an applier is the same in every version"


async def test_a_list_becomes_atomic(widgets: Any) -> None:
    """Who owned elements of a list that a new schema takes as one value owns the list, alone or with others."""
    await widgets.ok("PATCH", url(query="fieldManager=one"), widget(tags=["x"]), type=APPLY)
    await widgets.ok("PATCH", url(query="fieldManager=two"), widget(tags=["y"]), type=APPLY)
    changed = copy.deepcopy(VERSIONS)
    schema = changed[0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["tags"]["x-kubernetes-list-type"] = "atomic"
    merge = "application/merge-patch+json"
    await widgets.ok("PATCH", f"{DEFINITIONS}/widgets.example.com", {"spec": {"versions": changed}}, type=merge)
    config = widget(tags=["x", "z"])
    message = 'Apply failed with 1 conflict: conflict with "two": .spec.tags'
    await widgets.refused("PATCH", url(query="fieldManager=one"), 409, "Conflict", message, config, type=APPLY)
    obj = await widgets.ok("PATCH", url(query="fieldManager=one&force=true"), config, type=APPLY)
    assert obj["spec"]["tags"] == ["x", "z"]
    assert (fields(obj, "one"), fields(obj, "two")) == ({"f:spec": {"f:tags": {}}}, None)
