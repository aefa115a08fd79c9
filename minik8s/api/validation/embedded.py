"""Objects within custom resources (`x-kubernetes-embedded-resource`): they have a kind and proper metadata.

Upstream: apiextensions-apiserver `pkg/apiserver/schema/objectmeta/validation.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from minik8s.api.validation.metadata import validate_metadata
from minik8s.machinery import names
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import FieldErrors, invalid, required
from minik8s.schema.structural import EMBEDDED
from minik8s.schema.table import Type

_KEY = "embedded below"


def embedded_errors(value: Any, type: Type, path: str = "") -> FieldErrors:
    """What is wrong with the objects below a node."""
    if not _has_embedded(type):
        return []
    errors: FieldErrors = []
    if isinstance(value, dict):
        for name, inner in value.items():
            field = type.fields.get(name) if type.kind == "struct" else None
            member = field.type if field is not None else type.item if type.kind == "map" else None
            if member is not None:
                errors += _at(inner, member, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and type.item is not None:
        for index, item in enumerate(value):
            errors += _at(item, type.item, f"{path}[{index}]")
    return errors


def _at(value: Any, type: Type, path: str) -> FieldErrors:
    own = _object_errors(value, path) if isinstance(value, dict) and (type.schema or {}).get(EMBEDDED) else ()
    return [*own, *embedded_errors(value, type, path)]


def _has_embedded(type: Type) -> bool:
    known: bool | None = type.compiled.get(_KEY)
    if known is None:
        members = [field.type for field in type.fields.values()] if type.kind == "struct" else [type.item]
        known = type.schema is not None and any(
            m is not None and m.schema is not None and (m.schema.get(EMBEDDED) or _has_embedded(m)) for m in members
        )
        type.compiled[_KEY] = known
    return known


def _object_errors(obj: dict[str, Any], path: str) -> Iterator[StatusCause]:
    for name in ("apiVersion", "kind"):
        if name not in obj:
            yield required(f"{path}.{name}", "must not be empty")
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if api_version is not None:
        if not api_version:
            yield invalid(f"{path}.apiVersion", api_version, "must not be empty")
        elif api_version.count("/") > 1:
            yield invalid(f"{path}.apiVersion", api_version, f"unexpected GroupVersion string: {api_version}")
    if kind is not None:
        if not kind:
            yield invalid(f"{path}.kind", kind, "must not be empty")
        elif wrong := names.dns1035_label(kind.lower()):
            detail = "may have mixed case, but should otherwise match: " + ",".join(wrong)
            yield invalid(f"{path}.kind", kind, detail)
    if "metadata" in obj:
        yield from _metadata_errors(obj["metadata"], path)


def _metadata_errors(metadata: dict[str, Any], path: str) -> Iterator[StatusCause]:
    obj = {"metadata": {**metadata, "name": metadata.get("name") or "fakename"}}
    namespaced = bool(metadata.get("namespace"))
    found = validate_metadata(obj, None, namespaced=namespaced, name_rule=names.path_segment, builtin=False)
    for cause in found:
        yield attrs.evolve(cause, field=f"{path}.{cause.field}")
