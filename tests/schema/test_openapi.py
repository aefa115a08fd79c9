"""Component schemas: the shapes that kubectl reads, checked against upstream's own where those are installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from minik8s.schema import descriptions, table
from minik8s.schema.openapi import GroupVersionKind, component_name, component_prefix, components

POD = (table.struct("core/v1", "Pod"), [GroupVersionKind("", "v1", "Pod")])


@pytest.fixture
def no_descriptions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if the optional package were not installed."""
    monkeypatch.setattr(descriptions, "_path", lambda: None)
    descriptions._all.cache_clear()
    yield
    descriptions._all.cache_clear()


@pytest.mark.parametrize(
    ("group", "prefix"),
    [
        ("", "io.k8s.api.core"),
        ("apps", "io.k8s.api.apps"),
        ("rbac.authorization.k8s.io", "io.k8s.api.rbac"),
        ("apiextensions.k8s.io", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"),
        ("example.com", "com.example"),
    ],
)
def test_component_prefixes(group: str, prefix: str) -> None:
    """Built-in groups have upstream's names, custom ones the reversed domain."""
    assert component_prefix(group) == prefix


def test_every_reference_is_satisfied() -> None:
    """The closure of a root contains whatever its schemas refer to, and the root knows its kind."""
    found = components([POD])
    text = orjson.dumps(found).decode()
    wanted = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert wanted <= set(found)
    assert found["io.k8s.api.core.v1.Pod"]["x-kubernetes-group-version-kind"] == [
        {"group": "", "version": "v1", "kind": "Pod"}
    ]
    assert "io.k8s.apimachinery.pkg.api.resource.Quantity" in found


def test_merge_and_list_extensions() -> None:
    """What strategic merge and server-side apply go by."""
    found = components([POD])
    containers = found["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-patch-strategy"] == "merge"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    assert containers["items"] == {
        "allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}],
        "default": {},
    }
    volumes = found["io.k8s.api.core.v1.PodSpec"]["properties"]["volumes"]
    assert volumes["x-kubernetes-patch-strategy"] == "merge,retainKeys"
    ports = found["io.k8s.api.core.v1.ContainerPort"]
    assert ports["required"] == ["containerPort"]
    assert ports["properties"]["protocol"]["default"] == "TCP"
    assert ports["properties"]["protocol"]["enum"] == ["TCP", "UDP", "SCTP"]


@pytest.mark.usefixtures("no_descriptions")
def test_schemas_stand_without_descriptions() -> None:
    """Without the optional package only the prose is missing."""
    found = components([POD])
    assert found["io.k8s.api.core.v1.PodSpec"]["description"] == "PodSpec of core/v1."
    assert "description" not in found["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"]


def test_recursive_types_end() -> None:
    """JSONSchemaProps refers to itself."""
    props = table.struct("apiextensions.k8s.io/v1", "JSONSchemaProps")
    schema = components([(props, [])])[component_name(props)]
    assert schema["properties"]["not"]["$ref"].endswith("JSONSchemaProps")


def upstream() -> dict[str, Any]:
    path = descriptions._path()
    if path is None:
        pytest.skip("kubernetes-validate is not installed")
    content: dict[str, Any] = orjson.loads(path.read_bytes())["$defs"]
    return content


def test_fields_and_extensions_are_upstreams() -> None:
    """Same fields, required ones, merge keys and list types as upstream's published schemas."""
    definitions = upstream()
    every = [(table.struct(home, name), []) for home in table.group_versions() for name in table.struct_names(home)]
    ours = components(every)
    shared = [name for name in ours if name in definitions and "properties" in ours[name]]
    assert len(shared) > 400
    wrong = [line for name in shared for line in differences(name, ours[name], definitions[name])]
    assert wrong == []


EXTENSIONS = ("list-map-keys", "patch-merge-key", "patch-strategy", "list-type", "map-type")
TYPE_META = {"kind", "apiVersion"}


def differences(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> Iterator[str]:
    mine, known = ours["properties"], theirs.get("properties", {})
    if set(mine) | TYPE_META != set(known) | TYPE_META:
        yield f"{name}: fields {set(mine) ^ set(known)}"
    if set(ours.get("required", [])) != set(theirs.get("required", [])):
        yield f"{name}: required {ours.get('required')} {theirs.get('required')}"
    if ours.get("x-kubernetes-map-type") != theirs.get("x-kubernetes-map-type"):
        yield f"{name}: map-type"
    for field in set(mine) & set(known):
        for extension in EXTENSIONS:
            here, there = (side[field].get(f"x-kubernetes-{extension}") for side in (mine, known))
            if (here or "default") != (there or "default") and (here, there) not in _EQUAL:
                yield f"{name}.{field}: {extension} {here} {there}"


_EQUAL = {("atomic", None), (None, "granular")}
"""Spelled out by one side, implied by the other."""
