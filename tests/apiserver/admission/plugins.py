"""One write through the whole chain of built-in plugins, in a world of given objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.api.strategies import strategy_for
from minik8s.apiserver.admission import Attributes, builtin_plugins
from minik8s.machinery.errors import Forbidden
from minik8s.machinery.meta import Doc, Obj, copy_document
from minik8s.schema.decode import decode

CONTAINER: dict[str, Any] = {"name": "c", "image": "busybox"}


class Store:
    """A world of given objects; `default` with its account is always there. It remembers no history."""

    revision = 0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(self, *objects: tuple[Resource[Any], dict[str, Any]]) -> None:
        self.objects: dict[tuple[str, str, str], Doc] = {}
        self.add(r.NAMESPACES, {"metadata": {"name": "default"}})
        self.add(r.SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        for resource, obj in objects:
            self.add(resource, obj)

    def add(self, resource: Resource[Any], obj: dict[str, Any]) -> None:
        stored = decode(copy_document(obj), resource.type, resource.kind).obj
        strategy_for(resource).default(stored)
        metadata = stored["metadata"]
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        self.objects[resource.group_resource, metadata.get("namespace", ""), metadata["name"]] = stored

    def get(self, resource: Resource[Any], name: str, namespace: str = "") -> Doc | None:
        return self.objects.get((resource.group_resource, namespace, name))

    def list(self, resource: Resource[Any], namespace: str = "") -> Sequence[Doc]:
        return [
            obj
            for (kind, home, _), obj in self.objects.items()
            if kind == resource.group_resource and namespace in ("", home)
        ]

    def changes(self, resource: Resource[Any], after: int) -> None:
        return None


def attributes(
    resource: Resource[Any], obj: dict[str, Any] | None, *, old: Doc | None = None, operation: Any = "CREATE"
) -> Attributes:
    private: Obj | None = None
    if obj is not None:
        private = decode(copy_document(obj), resource.type, resource.kind).obj
        private["metadata"].setdefault("name", "x")
        strategy_for(resource).default(private)
        strategy_for(resource).prepare_create(private)
    name = (obj or old or {}).get("metadata", {}).get("name", "x")
    namespace = "default" if resource.namespaced else ""
    request = ApiRequest("create", resource, namespace, name)
    return Attributes(request, operation, private, old, [], dry_run=False)


def run(found: Attributes, *objects: tuple[Resource[Any], dict[str, Any]]) -> Attributes:
    """One write through the whole chain."""
    world, plugins = Store(*objects), builtin_plugins(Random(1))
    for plugin in plugins:
        plugin.admit(found, world)
    for plugin in plugins:
        plugin.validate(found, world)
    return found


def admitted(resource: Resource[Any], obj: dict[str, Any], *objects: tuple[Resource[Any], dict[str, Any]]) -> Obj:
    result = run(attributes(resource, obj), *objects).object
    assert result is not None
    return result


def refused(resource: Resource[Any], obj: dict[str, Any], *objects: tuple[Resource[Any], dict[str, Any]]) -> str:
    with pytest.raises(Forbidden) as caught:
        run(attributes(resource, obj), *objects)
    return caught.value.message


def pod(**spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [CONTAINER], **spec}}
