"""Manifests, and applying them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from minik8s import custom_resource
from minik8s.api.resources import CONFIG_MAPS, NAMESPACES
from minik8s.client.manifests import load, resource_of
from minik8s.cluster import Cluster
from minik8s.machinery.errors import BadRequest, NotFound

CONFIG: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
TEXT = """
apiVersion: v1
kind: ConfigMap
metadata: {name: c}
data: {a: "1"}
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: space}}
"""


def names(objects: Any) -> list[tuple[str, str]]:
    return [(obj["kind"], obj["metadata"]["name"]) for obj in objects]


def test_sources(tmp_path: Path) -> None:
    """Text, a Path, a path's text, one object and several all mean the objects in them, lists expanded."""
    path = tmp_path / "app.yaml"
    path.write_text(TEXT)
    both = [("ConfigMap", "c"), ("Namespace", "space")]
    assert names(load(TEXT)) == names(load(path)) == names(load(str(path))) == both
    assert load(CONFIG) == load([CONFIG]) == [CONFIG]
    assert load(CONFIG)[0] is not CONFIG


def test_what_is_no_manifest(tmp_path: Path) -> None:
    """Broken text is a BadRequest that names the file; a file that is not there is an OSError."""
    path = tmp_path / "broken.yaml"
    path.write_text("a: [")
    with pytest.raises(BadRequest, match=r"broken\.yaml"):
        load(path)
    with pytest.raises(BadRequest, match="manifest"):
        load("a: [\n")
    with pytest.raises(FileNotFoundError):
        load("missing.yaml")


@pytest.mark.anyio
async def test_the_resource_of_an_object(cluster: Cluster) -> None:
    """apiVersion and kind name the resource; without them or with unknown ones the error says so, as kubectl does."""
    client = cluster.client
    assert await resource_of(client, CONFIG) is CONFIG_MAPS
    with pytest.raises(BadRequest, match="apiVersion and kind"):
        await resource_of(client, {"kind": "ConfigMap"})
    for version in ("v1", "example.com/v1"):
        with pytest.raises(NotFound, match=f'no matches for kind "Widget" in version "{version}"'):
            await resource_of(client, {"apiVersion": version, "kind": "Widget"})


@pytest.mark.anyio
async def test_a_manifest_may_define_the_kinds_that_it_uses(cluster: Cluster) -> None:
    """A definition and its first object are applied in one go, and a client reaches it under a name of its own."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [version],
        },
    }
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": 1}}
    await cluster.apply([crd, widget])
    widgets = custom_resource("example.com", "v1", "widgets", "Widget")
    assert (await cluster.client.get(widgets, "w", namespace="default"))["spec"] == {"a": 1}


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    """A control plane alone."""
    options: Any = {"nodes": 0, "serve": False, "proxy": False, "scheduler": False, "controllers": ()}
    async with Cluster(freeze=True, **options) as running:
        yield running


@pytest.mark.anyio
async def test_applying_again_removes_what_the_manifest_no_longer_says(cluster: Cluster) -> None:
    """The manifest's own fields follow it; those of others stay."""
    await cluster.apply(CONFIG)
    await cluster.client.patch(CONFIG_MAPS, "c", {"data": {"theirs": "2"}}, namespace="default")
    (changed,) = await cluster.apply({**CONFIG, "data": {"b": "1"}})
    assert changed["data"] == {"b": "1", "theirs": "2"}


@pytest.mark.anyio
async def test_namespaces_of_objects(cluster: Cluster) -> None:
    """An object's own namespace wins over the given one, cluster-scoped ones get none, generated names are made."""
    await cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    named, given, made = await cluster.apply(
        [
            {**CONFIG, "metadata": {"name": "c", "namespace": "other"}},
            CONFIG,
            {**CONFIG, "metadata": {"generateName": "g-"}},
        ],
        namespace="kube-system",
    )
    assert [o["metadata"]["namespace"] for o in (named, given, made)] == ["other", "kube-system", "kube-system"]
    assert made["metadata"]["name"].startswith("g-")
    assert (await cluster.client.get(NAMESPACES, "other"))["metadata"]["name"] == "other"
