"""From a CustomResourceDefinition to the resources that it defines, one for each of its versions. Pure.

What is served goes by the accepted names in the definition's status: those that it asks for may be another's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from minik8s.api.columns.jsonpath import compile_path
from minik8s.api.resource import ALL_VERBS, Custom, Resource, ScalePaths, Subresource, version_priority
from minik8s.api.rules import rules_of
from minik8s.api.strategies.custom import CustomResourceStrategy
from minik8s.machinery.meta import Doc, is_terminating
from minik8s.schema.structural import root_type

PRESERVE_EVERYTHING: Final[Doc] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_CHANGE = ("get", "patch", "update")
_WHILE_TERMINATING = ("delete", "deletecollection", "get", "list", "watch")


@attrs.frozen(eq=False)
class Version:
    """One version of a custom resource; `schema` is the one it was made from, to see whether it changes."""

    resource: Resource[Any]
    strategy: CustomResourceStrategy
    served: bool
    schema: Doc


@attrs.frozen(eq=False)
class Definition:
    """What a CustomResourceDefinition makes: its versions in the order in which clients prefer them."""

    name: str
    versions: Sequence[Version]
    storage: Version
    conversion: Doc
    """`spec.conversion`."""
    is_terminating: bool

    @property
    def group_resource(self) -> str:
        return self.storage.resource.group_resource

    def version(self, name: str) -> Version | None:
        return next((v for v in self.versions if v.resource.version == name), None)


def define(crd: Doc) -> Definition:
    """The resources of a stored definition."""
    spec = crd["spec"]
    ordered = sorted(spec["versions"], key=lambda version: version_priority(version["name"]))
    versions = [_version(crd, version) for version in ordered]
    storage = next(made for made, version in zip(versions, ordered, strict=True) if version.get("storage"))
    conversion = spec.get("conversion") or {"strategy": "None"}
    return Definition(crd["metadata"]["name"], versions, storage, conversion, is_terminating(crd))


def _version(crd: Doc, version: Doc) -> Version:
    spec, names = crd["spec"], (crd.get("status") or {}).get("acceptedNames") or {}
    group, name, kind = spec["group"], version["name"], names["kind"]
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or PRESERVE_EVERYTHING
    subresources = version.get("subresources") or {}
    type_ = root_type(schema, f"{group}/{name}.{kind}")
    custom = Custom(
        type_,
        schema,
        tuple(version.get("additionalPrinterColumns") or ()),
        _scale_paths(subresources.get("scale")),
        _deprecation(group, version, kind),
    )
    resource: Resource[Any] = Resource(
        group,
        name,
        names["plural"],
        kind,
        spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        verbs=_WHILE_TERMINATING if is_terminating(crd) else ALL_VERBS,
        subresources=_subresources(subresources),
        singular=names.get("singular") or kind.lower(),
        list_kind=names.get("listKind") or f"{kind}List",
        custom=custom,
    )
    paths = [field["jsonPath"] for field in version.get("selectableFields") or ()]
    strategy = CustomResourceStrategy(
        custom,
        has_status="status" in subresources,
        selectable={path.removeprefix("."): _selected(path) for path in paths},
        rules=rules_of(type_),
    )
    return Version(resource, strategy, bool(version.get("served")), schema)


def _deprecation(group: str, version: Doc, kind: str) -> str:
    if not version.get("deprecated"):
        return ""
    return version.get("deprecationWarning") or f"{group}/{version['name']} {kind} is deprecated"


def _subresources(declared: Mapping[str, Any]) -> tuple[Subresource, ...]:
    found = []
    if "status" in declared:
        found.append(Subresource("status", _CHANGE))
    if "scale" in declared:
        found.append(Subresource("scale", _CHANGE, "Scale", "autoscaling", "v1"))
    return tuple(found)


def _scale_paths(scale: Doc | None) -> ScalePaths | None:
    if scale is None:
        return None
    return ScalePaths(
        _split(scale["specReplicasPath"]),
        _split(scale["statusReplicasPath"]),
        _split(scale.get("labelSelectorPath") or ""),
    )


def _split(path: str) -> tuple[str, ...]:
    return tuple(path.removeprefix(".").split(".")) if path else ()


def _selected(path: str) -> Callable[[Doc], str]:
    find = compile_path(path)

    def read(obj: Doc) -> str:
        found = find(obj)
        value = found[0] if found else None
        if value is None:
            return ""
        return ("true" if value else "false") if isinstance(value, bool) else str(value)

    return read
