"""Manifests: what people write in YAML files, and applying them.

    await apply_manifests(client, Path("app.yaml"))

Applying is server-side apply under this library's own field manager, so that doing it again with a changed manifest
changes and removes exactly what the manifest owned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from minik8s.api.resource import Resource, custom_resource
from minik8s.api.resources import BUILTIN, CUSTOM_RESOURCE_DEFINITIONS
from minik8s.client.client import Client
from minik8s.machinery.errors import BadRequest, NotFound
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema.codec import load_manifests
from minik8s.schema.decode import DecodeError

Source: TypeAlias = str | Path | Mapping[str, Any] | Iterable[Mapping[str, Any]]
"""YAML or JSON text, a path (a Path, or a one-line string ending in .yaml, .yml or .json), one object, or several."""

_SUFFIXES = (".yaml", ".yml", ".json")
_BY_KIND = {(r.api_version, r.kind): r for r in BUILTIN}


def load(source: Source) -> list[Obj]:
    """The objects of a manifest in order, `List`s expanded. Raises BadRequest for text that is no manifest."""
    if isinstance(source, Mapping):
        return [dict(source)]
    if isinstance(source, str) and "\n" not in source and source.endswith(_SUFFIXES):
        source = Path(source)
    if isinstance(source, Path):
        return _parse(source.read_text("utf-8"), str(source))
    if isinstance(source, str):
        return _parse(source, "manifest")
    return [dict(obj) for obj in source]


def _parse(text: str, origin: str) -> list[Obj]:
    try:
        return load_manifests(text)
    except DecodeError as error:
        raise BadRequest(f"{origin}: {error}") from None


async def resource_of(client: Client, obj: Doc) -> Resource[Any]:
    """The resource of an object by its apiVersion and kind; raises BadRequest or NotFound.

    What is not built in is looked up in the server's CustomResourceDefinitions.
    """
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if not api_version or not kind:
        raise BadRequest("an object needs apiVersion and kind")
    resource = _BY_KIND.get((api_version, kind)) or await _defined(client, api_version, kind)
    if resource is None:
        raise NotFound(f'no matches for kind "{kind}" in version "{api_version}"')
    return resource


async def _defined(client: Client, api_version: str, kind: str) -> Resource[Any] | None:
    group, _, version = api_version.rpartition("/")
    for crd in (await client.list(CUSTOM_RESOURCE_DEFINITIONS)).items if group else ():
        spec, names = crd["spec"], crd.get("status", {}).get("acceptedNames", {})
        serves = any(each["name"] == version and each["served"] for each in spec["versions"])
        if (spec["group"], names.get("kind")) == (group, kind) and serves:
            return custom_resource(group, version, names["plural"], kind, namespaced=spec["scope"] == "Namespaced")
    return None


async def apply_manifests(client: Client, source: Source, *, namespace: str = "default") -> list[Obj]:
    """Applies every object in order; `namespace` is for those that name none. Answers the resulting objects."""
    return [await _apply(client, obj, namespace) for obj in load(source)]


async def _apply(client: Client, obj: Obj, namespace: str) -> Obj:
    resource = await resource_of(client, obj)
    metadata = dict(obj.get("metadata") or {})
    if resource.namespaced:
        metadata.setdefault("namespace", namespace)
    if not metadata.get("name"):
        return dict(await client.create(resource, {**obj, "metadata": metadata}))
    return dict(await client.apply(resource, {**obj, "metadata": metadata}))
