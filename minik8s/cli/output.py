"""Showing objects: YAML, JSON, or only their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from minik8s.api.resource import Resource
from minik8s.cli.kinds import qualified
from minik8s.machinery.meta import Doc, Obj, evolve, name_of
from minik8s.schema.codec import dumps, dumps_yaml

Format = Literal["yaml", "json", "name"]


def render(objects: Sequence[tuple[Resource[Any], Doc]], form: Format, *, single: bool) -> str:
    """Objects as text without a final newline; `single` shows the only one as itself, others become a List."""
    if form == "name":
        return "\n".join(f"{qualified(resource)}/{name_of(obj)}" for resource, obj in objects)
    shown = [_without_managers(obj) for _, obj in objects]
    document = shown[0] if single else {"apiVersion": "v1", "items": shown, "kind": "List", "metadata": _LIST_METADATA}
    return (dumps_yaml(document) if form == "yaml" else dumps(document, indent=True)).decode().rstrip("\n")


_LIST_METADATA = {"resourceVersion": ""}


def _without_managers(obj: Doc) -> Obj:
    """managedFields are for machines; kubectl hides them too."""
    return evolve(obj, "metadata", "managedFields", value=None)
