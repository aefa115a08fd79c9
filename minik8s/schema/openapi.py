"""OpenAPI v3 component schemas, derived from types: what `kubectl explain` shows and client-side apply merges by.

One schema a struct, under upstream's component names; references that carry a description or default are wrapped
in `allOf`, as kube-openapi does, because a `$ref` tolerates no siblings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from minik8s.machinery.meta import Obj
from minik8s.schema import descriptions
from minik8s.schema.table import Field, Type


class GroupVersionKind(NamedTuple):
    """A kind as `x-kubernetes-group-version-kind` names it; the core group is ""."""

    group: str
    version: str
    kind: str


_HOMES: Final = {
    "meta": "io.k8s.apimachinery.pkg.apis.meta",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "metrics.k8s.io": "io.k8s.metrics.pkg.apis.metrics",
    "apidiscovery.k8s.io": "io.k8s.api.apidiscovery",
}
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EXTENSIONS: Final = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."

_SHARED: Final[Mapping[str, tuple[str, Obj]]] = {
    "Time": (_META, {"type": "string", "format": "date-time"}),
    "MicroTime": (_META, {"type": "string", "format": "date-time"}),
    "Duration": (_META, {"type": "string"}),
    "FieldsV1": (_META, {"type": "object"}),
    "Quantity": ("io.k8s.apimachinery.pkg.api.resource.", {"oneOf": [{"type": "string"}, {"type": "number"}]}),
    "IntOrString": (
        "io.k8s.apimachinery.pkg.util.intstr.",
        {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    ),
    "RawExtension": ("io.k8s.apimachinery.pkg.runtime.", {"type": "object"}),
    "JSON": (_EXTENSIONS, {}),
    "JSONSchemaPropsOrArray": (_EXTENSIONS, {}),
    "JSONSchemaPropsOrBool": (_EXTENSIONS, {}),
    "JSONSchemaPropsOrStringArray": (_EXTENSIONS, {}),
    "CustomResourceSubresourceStatus": (_EXTENSIONS, {"type": "object"}),
}
"""Types with an encoding of their own: where their component lives, and its schema."""

_SCALARS: Final[Mapping[str, Obj]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "double": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "any": {},
    "object": {"type": "object"},
}
_ZEROS: Final = {"string": "", "bool": False, "int32": 0, "int64": 0, "double": 0}


def component_name(type: Type) -> str:
    """`io.k8s.api.core.v1.Pod` of `core/v1.Pod`; of a custom kind the reversed group, `com.example.v1.Widget`."""
    group, _, version = type.group_version.partition("/")
    return f"{component_prefix(group)}.{version}.{type.struct_name}"


def component_prefix(group: str) -> str:
    """What stands before the version in a component's name."""
    if group in _HOMES:
        return _HOMES[group]
    first, dot, rest = group.partition(".")
    if not dot or rest == "k8s.io" or rest.endswith(".k8s.io"):
        return f"io.k8s.api.{first or 'core'}"
    return ".".join(reversed(group.split(".")))


def reference(component: str) -> Obj:
    return {"$ref": f"#/components/schemas/{component}"}


def components(roots: Iterable[tuple[Type, Iterable[GroupVersionKind]]]) -> dict[str, Obj]:
    """The schemas of the root types and of everything they refer to, sorted by name.

    A root carries its group-version-kinds; one that has any is a whole object with kind and apiVersion.
    """
    found: dict[str, Obj] = {}
    waiting: list[Type] = []
    for type, kinds in roots:
        found[component_name(type)] = _struct(type, list(kinds), waiting)
    while waiting:
        type = waiting.pop()
        name = _referred_name(type)
        if name not in found:
            found[name] = _struct(type, [], waiting) if type.kind == "struct" else _shared(type)
    return dict(sorted(found.items()))


def _referred_name(type: Type) -> str:
    return component_name(type) if type.kind == "struct" else _SHARED[type.name][0] + type.name


def _shared(type: Type) -> Obj:
    home, schema = _SHARED[type.name]
    text = descriptions.describe(home + type.name).text
    return {"description": text, **schema} if text else dict(schema)


def _struct(type: Type, kinds: list[GroupVersionKind], waiting: list[Type]) -> Obj:
    described = descriptions.describe(component_name(type))
    schema: Obj = {"type": "object", "description": described.text or f"{type.struct_name} of {type.group_version}."}
    properties = dict(TYPE_META) if kinds or type.has_type_meta else {}
    for name, field in type.fields.items():
        properties[name] = _field(field, described.fields.get(name, ""), waiting)
    if properties:
        schema["properties"] = properties
    if required := [field.name for field in type.fields.values() if field.required]:
        schema["required"] = required
    if type.atomic:
        schema["x-kubernetes-map-type"] = "atomic"
    if kinds:
        schema["x-kubernetes-group-version-kind"] = [kind._asdict() for kind in kinds]
    return schema


_CONVENTIONS: Final = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
OBJECT_META: Final = f"{_META}ObjectMeta"
OBJECT_META_TEXT: Final = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"
TYPE_META: Final[Mapping[str, Obj]] = {
    "apiVersion": {
        "type": "string",
        "description": "APIVersion defines the versioned schema of this representation of an object. Servers should "
        "convert recognized schemas to the latest internal value, and may reject unrecognized values. "
        f"More info: {_CONVENTIONS}#resources",
    },
    "kind": {
        "type": "string",
        "description": "Kind is a string value representing the REST resource this object represents. Servers may "
        "infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. "
        f"More info: {_CONVENTIONS}#types-kinds",
    },
}


def _field(field: Field, description: str, waiting: list[Type]) -> Obj:
    schema = _value(field.type, waiting)
    beside = _extensions(field)
    if description:
        beside["description"] = description
    if (default := _default(field)) is not None:
        beside["default"] = default
    return ({"allOf": [schema]} if "$ref" in schema and beside else schema) | beside


def _default(field: Field) -> Any:
    """The declared default, else Go's zero value where the field cannot be absent; None for no default."""
    if field.default is not None or field.pointer:
        return field.default
    if field.type.kind == "struct":
        return {}
    return _ZEROS.get(field.type.kind) if field.required and not field.type.enum else None


def _value(type: Type, waiting: list[Type]) -> Obj:
    """The schema of a value, without what belongs to the field that holds it."""
    if type.kind == "list" and type.item:
        return {"type": "array", "items": _item(type.item, waiting)}
    if type.kind == "map" and type.item:
        return {"type": "object", "additionalProperties": _item(type.item, waiting)}
    if type.wrapped:
        return {"type": "array", "items": {"type": "string", "default": ""}}
    if type.kind == "struct" or type.name in _SHARED:
        waiting.append(type)
        return reference(_referred_name(type))
    schema = dict(_SCALARS[type.kind])
    if type.enum:
        schema["enum"] = list(type.enum)
    return schema


def _item(type: Type, waiting: list[Type]) -> Obj:
    schema = _value(type, waiting)
    if type.kind == "struct":
        return {"allOf": [schema], "default": {}}
    if type.kind == "string" and not type.enum:
        schema["default"] = ""
    return schema


def _extensions(field: Field) -> Obj:
    """What strategic merge and server-side apply need to know."""
    found: Obj = {}
    if field.list_type:
        found["x-kubernetes-list-type"] = field.list_type
        if field.list_keys:
            found["x-kubernetes-list-map-keys"] = list(field.list_keys)
    elif field.atomic_map and not field.type.atomic:
        found["x-kubernetes-map-type"] = "atomic"
    elif field.type.atomic and not field.atomic_map:
        found["x-kubernetes-map-type"] = "granular"
    if field.merge_key:
        found["x-kubernetes-patch-merge-key"] = field.merge_key
    if field.strategies:
        found["x-kubernetes-patch-strategy"] = ",".join(sorted(field.strategies))
    return found
