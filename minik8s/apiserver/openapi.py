"""The OpenAPI v3 documents of the server: the index, and one document a group-version. `swagger` makes v2 of them.

kubectl looks for three things here: a PATCH operation of the kind with the parameter `fieldValidation` (then the
server validates), full schemas under a strategic-merge body (then apply merges by them), and descriptions
(`kubectl explain`). A document is built when it is asked for; its hash is known before, from what it is made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from minik8s.api.request import APPLY_PATCH, JSON, JSON_PATCH, MERGE_PATCH, PROTOBUF, STRATEGIC_PATCH, YAML
from minik8s.api.resource import Resource, Subresource
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema import descriptions, table
from minik8s.schema.openapi import (
    OBJECT_META,
    OBJECT_META_TEXT,
    TYPE_META,
    GroupVersionKind,
    component_name,
    component_prefix,
    components,
    reference,
)

Resources = Sequence[Resource[Any]]


def openapi_v3_index(resources: Resources) -> Obj:
    """`/openapi/v3`: where each group-version's document is, with its hash."""
    paths = {}
    for group_version in dict.fromkeys(resource.api_version for resource in resources):
        key = path_key(group_version)
        digest = openapi_v3_hash(group_version, resources)
        paths[key] = {"serverRelativeURL": f"/openapi/v3/{key}?hash={digest}"}
    return {"paths": paths}


def path_key(group_version: str) -> str:
    """`api/v1` or `apis/apps/v1`: a group-version's key in the index and its path below /openapi/v3."""
    return f"api/{group_version}" if "/" not in group_version else f"apis/{group_version}"


def openapi_v3_hash(group_version: str, resources: Resources) -> str:
    """Changes with the document's content, and costs no building of the document."""
    digest = hashlib.sha512(_ingredients())
    for resource in resources:
        if resource.api_version == group_version:
            shown = attrs.astuple(resource, recurse=False, filter=_is_shown)
            digest.update(repr(shown).encode() + orjson.dumps(resource.custom.schema if resource.custom else None))
    return digest.hexdigest()[:64].upper()


def _is_shown(attribute: attrs.Attribute[Any], value: Any) -> bool:
    return attribute.name != "custom"


@cache
def _ingredients() -> bytes:
    """The table, the descriptions and the code that combines them: kubectl keeps the document of a hash for ever."""
    code = Path(__file__).read_bytes() + Path(components.__code__.co_filename).read_bytes()
    return table.digest() + descriptions.source().encode() + hashlib.sha256(code).digest()


def openapi_v3(group_version: str, resources: Resources, version: str = "") -> Obj | None:
    """The document of one group-version; None when nothing is served there. `version` is the server's gitVersion."""
    members = [resource for resource in resources if resource.api_version == group_version]
    if not members:
        return None
    paths: Obj = {}
    for resource in members:
        paths |= _paths(resource, custom=resource.custom is not None)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(members),
            "securitySchemes": {"BearerToken": {"type": "apiKey", "name": "authorization", "in": "header"}},
        },
    }


_METHODS: Final = ("get", "put", "post", "patch", "delete")

# -- schemas -------------------------------------------------------------------------------------------------


def _schemas(members: Resources) -> Obj:
    roots: dict[table.Type, list[GroupVersionKind]] = {
        table.struct("meta/v1", "DeleteOptions"): [GroupVersionKind("", "v1", "DeleteOptions")],
        table.struct("meta/v1", "Status"): [GroupVersionKind("", "v1", "Status")],
        table.struct("meta/v1", "ListMeta"): [],
        table.struct("meta/v1", "ObjectMeta"): [],
    }
    for resource in members:
        own = () if resource.custom is not None else (kind_of(resource), _list_kind(resource))
        for kind in (*own, *(_sub_kind(resource, s) for s in resource.subresources)):
            if type := _type(kind):
                roots[type] = [kind]
    found = components(roots.items())
    found[_PATCH] = {
        "type": "object",
        "description": "Patch is provided to give a concrete name and type to the Kubernetes PATCH request body.",
    }
    for resource in members:
        if resource.custom is not None:
            found |= _published(resource, resource.custom.schema)
    return dict(sorted(found.items()))


_PATCH: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"
_LIST_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_DELETE_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_STATUS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.Status"


def kind_of(resource: Resource[Any]) -> GroupVersionKind:
    return GroupVersionKind(resource.group, resource.version, resource.kind)


def _list_kind(resource: Resource[Any]) -> GroupVersionKind:
    return GroupVersionKind(resource.group, resource.version, resource.list_kind)


def _sub_kind(resource: Resource[Any], sub: Subresource) -> GroupVersionKind:
    if not sub.kind:
        return kind_of(resource)
    return GroupVersionKind(sub.group or resource.group, sub.version or resource.version, sub.kind)


def _type(kind: GroupVersionKind) -> table.Type | None:
    """The table's struct of a kind; options of connect operations and custom kinds have none to show."""
    home = f"{kind.group or 'core'}/{kind.version}"
    known = table.has_struct(home, kind.kind) and not kind.kind.endswith("Options")
    return table.struct(home, kind.kind) if known else None


def component(kind: GroupVersionKind) -> str:
    if type := _type(kind):
        return component_name(type)
    return f"{component_prefix(kind.group)}.{kind.version}.{kind.kind}"


def _published(resource: Resource[Any], schema: Doc) -> Obj:
    """A custom kind's own schema with what every object has, and its list."""
    kind, list_kind = kind_of(resource), _list_kind(resource)
    own = {
        **schema,
        "type": "object",
        "properties": {
            **schema.get("properties", {}),
            **TYPE_META,
            "metadata": {"allOf": [reference(OBJECT_META)], "description": OBJECT_META_TEXT},
        },
        "x-kubernetes-group-version-kind": [kind._asdict()],
    }
    listed = {
        "type": "object",
        "description": f"{list_kind.kind} is a list of {kind.kind}",
        "properties": {
            **TYPE_META,
            "metadata": {"allOf": [reference(_LIST_META)]},
            "items": {"type": "array", "items": reference(component(kind))},
        },
        "required": ["items"],
        "x-kubernetes-group-version-kind": [list_kind._asdict()],
    }
    return {component(kind): own, component(list_kind): listed}


# -- paths ---------------------------------------------------------------------------------------------------


def _query(name: str, type: str, description: str) -> Obj:
    return {"name": name, "in": "query", "description": description, "schema": {"type": type, "uniqueItems": True}}


def _path_parameter(name: str, description: str) -> Obj:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "uniqueItems": True},
    }


_DRY_RUN = _query("dryRun", "string", "When present, indicates that modifications should not be persisted: All.")
_WRITE: Final = (
    _DRY_RUN,
    _query("fieldManager", "string", "The name associated with the actor or entity that is making these changes."),
    _query("fieldValidation", "string", "What to do with unknown or duplicate fields: Ignore, Warn or Strict."),
)
_FORCE = _query("force", "boolean", "Take over fields that other managers own; apply patches only.")
_SELECT: Final = (
    _query("continue", "string", "Where a list in chunks goes on; a token from the server."),
    _query("fieldSelector", "string", "Restrict the objects by their fields."),
    _query("labelSelector", "string", "Restrict the objects by their labels."),
    _query("limit", "integer", "The maximum number of objects in one answer."),
    _query("resourceVersion", "string", "Which versions of the objects may be served."),
    _query("resourceVersionMatch", "string", "How resourceVersion is applied to list calls."),
    _query("sendInitialEvents", "boolean", "Begin a watch with the objects that exist."),
    _query("timeoutSeconds", "integer", "Timeout of the call, however active it is."),
)
_WATCH: Final = (
    _query("allowWatchBookmarks", "boolean", "Ask for BOOKMARK events."),
    _query("watch", "boolean", "Watch for changes instead of listing."),
)
_DELETE: Final = (
    _DRY_RUN,
    _query("gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 deletes immediately."),
    _query("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    _query("propagationPolicy", "string", "How dependents are deleted: Orphan, Background or Foreground."),
)
_PRETTY = _query("pretty", "string", "Indent the answer.")

_VERBS: Final[Mapping[str, tuple[str, str, str, tuple[Obj, ...]]]] = {
    "get": ("get", "get", "read", ()),
    "list": ("get", "list", "list", (*_SELECT, *_WATCH)),
    "create": ("post", "post", "create", _WRITE),
    "update": ("put", "put", "replace", _WRITE),
    "patch": ("patch", "patch", "patch", (*_WRITE, _FORCE)),
    "delete": ("delete", "delete", "delete", _DELETE),
    "deletecollection": ("delete", "deletecollection", "deleteCollection", (*_SELECT, *_DELETE)),
}
"""verb -> HTTP method, x-kubernetes-action, first word of the operation id, query parameters."""


def _paths(resource: Resource[Any], custom: bool) -> Obj:
    """The path items of a resource: collection, objects, subresources, and the list over all namespaces."""
    collection = resource.path("{namespace}")
    item = f"{collection}/{{name}}"
    kind = kind_of(resource)
    scope = [_path_parameter("namespace", "Name of the namespace.")] if resource.namespaced else []
    named = [*scope, _path_parameter("name", f"Name of the {resource.kind}.")]
    found = {
        collection: _item(resource, kind, ("list", "create", "deletecollection"), resource.verbs, scope, "", custom),
        item: _item(resource, kind, ("get", "update", "patch", "delete"), resource.verbs, named, "", custom),
    }
    if resource.namespaced:
        found[resource.path()] = _item(resource, kind, ("list",), resource.verbs, [], "ForAllNamespaces", custom)
    for sub in resource.subresources:
        verbs = ("get", "create", "update", "patch", "delete")
        found[f"{item}/{sub.name}"] = _item(
            resource, _sub_kind(resource, sub), verbs, sub.verbs, named, sub.name.capitalize(), custom
        )
    return {path: operations for path, operations in found.items() if set(operations) & set(_METHODS)}


def _item(
    resource: Resource[Any],
    kind: GroupVersionKind,
    verbs: Sequence[str],
    served: Sequence[str],
    parameters: list[Obj],
    suffix: str,
    custom: bool,
) -> Obj:
    found: Obj = {_VERBS[verb][0]: _operation(resource, kind, verb, suffix, custom) for verb in verbs if verb in served}
    return {**found, "parameters": [*parameters, _PRETTY]}


def _operation(resource: Resource[Any], kind: GroupVersionKind, verb: str, suffix: str, custom: bool) -> Obj:
    _, action, word, parameters = _VERBS[verb]
    connects = kind.kind.endswith("Options")
    tag = f"{(resource.group.partition('.')[0] or 'core')}_{resource.version}"
    scope = "Namespaced" if resource.namespaced and suffix != "ForAllNamespaces" else ""
    camel = "".join(part.capitalize() for part in tag.split("_"))
    operation: Obj = {
        "tags": [tag],
        "description": f"{word} {'of ' if suffix else ''}the specified {kind.kind}",
        "operationId": f"{'connect' + action.capitalize() if connects else word}{camel}{scope}{resource.kind}{suffix}",
        "responses": {"200": {"description": "OK", **_answer(resource, kind, verb, suffix, connects)}},
        "x-kubernetes-action": "connect" if connects else action,
        "x-kubernetes-group-version-kind": kind._asdict(),
    }
    if parameters and not connects:
        operation["parameters"] = list(parameters)
    if not connects and (body := _body(kind, verb, custom)):
        operation["requestBody"] = body
    return operation


def _content(component: str, media_types: Sequence[str] = (JSON, YAML, PROTOBUF)) -> Obj:
    return {media_type: {"schema": reference(component)} for media_type in media_types}


def _body(kind: GroupVersionKind, verb: str, custom: bool) -> Obj | None:
    if verb == "patch":
        strategic = () if custom else (STRATEGIC_PATCH,)
        return {"content": _content(_PATCH, (APPLY_PATCH, JSON_PATCH, MERGE_PATCH, *strategic)), "required": True}
    if verb in ("create", "update"):
        return {"content": _content(component(kind)), "required": True}
    return {"content": _content(_DELETE_OPTIONS)} if verb in ("delete", "deletecollection") else None


def _answer(resource: Resource[Any], kind: GroupVersionKind, verb: str, suffix: str, connects: bool) -> Obj:
    if connects or suffix == "Log":
        return {"content": {"*/*": {"schema": {"type": "string"}}}}
    if verb == "list":
        return {"content": _content(component(_list_kind(resource)))}
    return {"content": _content(_STATUS if verb in ("delete", "deletecollection") else component(kind))}
