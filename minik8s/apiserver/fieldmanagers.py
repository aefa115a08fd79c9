"""Who owns which field: metadata.managedFields, kept by every write and built on by server-side apply."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from minik8s.api.request import ApiRequest
from minik8s.apiserver.body import fit
from minik8s.apiserver.options import WriteOptions
from minik8s.apiserver.registry import Registry, Served
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.managedfields import LABELS, View, managed_fields_of, track_update
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.patch.apply import Applied, Kind, apply_config
from minik8s.machinery.patch.shape import Shape

_ALWAYS_THERE = frozenset({"apiVersion", "kind", "metadata", "status"})


def track(
    registry: Registry,
    options: WriteOptions,
    served: Served,
    obj: Obj,
    old: Doc | None,
    now: datetime,
    subresource: str = "",
) -> None:
    """Credits the writer with what differs between `old` and `obj`.

    An object whose lists break their own rules has no field sets; who owned what stays, as upstream's UpdateNoErrors
    leaves it. What is wrong with such an object is validation's to say.
    """
    resource = served.resource
    kept = managed_fields_of(old, obj, subresource=subresource)
    try:
        entries = track_update(
            old,
            obj,
            kept,
            options.manager,
            resource.api_version,
            subresource,
            now,
            resource.type,
            ignore=unwritten(served, subresource),
            view=views(registry, served) if kept else None,
        )
    except ValueError:
        entries = [dict(entry) for entry in kept]
    set_managed_fields(obj, entries)


def set_managed_fields(obj: Obj, entries: list[Obj]) -> None:
    """Puts the entries into a document that nobody has stored yet; an empty list leaves none."""
    if entries:
        obj["metadata"]["managedFields"] = entries
    else:
        obj["metadata"].pop("managedFields", None)


def unwritten(served: Served, subresource: str) -> Collection[str] | None:
    """The top-level fields that an endpoint resets, so that nobody comes to own them by it (upstream: resetFields).

    None where the usual ones are meant: `status`, or for /status everything but metadata and status.
    """
    if subresource == "status":
        strategy, fields = served.strategy, served.resource.type.fields
        kept = "metadata" if strategy.status_keeps_metadata else LABELS if strategy.status_keeps_labels else ""
        return {kept, *(name for name in fields if name not in _ALWAYS_THERE)} if kept else None
    if (part := served.strategy.parts.get(subresource)) is not None:
        return part.resets
    return None if served.resource.subresource("status") is not None else ()


def views(registry: Registry, served: Served) -> View | None:
    """How to see the kind's objects in its other versions; None when there is one version."""
    versions = registry.siblings(served)
    if len(versions) < 2 or served.is_remote:
        return None
    siblings = {sibling.resource.api_version: sibling for sibling in versions}

    def view(doc: Doc, api_version: str) -> tuple[Doc, Shape] | None:
        sibling = siblings.get(api_version)
        if sibling is None:
            return None
        source = siblings[doc["apiVersion"]]
        if source is sibling:
            return doc, sibling.resource.type
        # conversions rely on what is always there
        whole, _ = fit(dict(doc), (), doc["apiVersion"], doc["kind"], source.resource)
        return sibling.view(source.stored(whole)), sibling.resource.type

    return view


def applied(
    registry: Registry,
    options: WriteOptions,
    served: Served,
    request: ApiRequest,
    live: Doc | None,
    body: Any,
    now: datetime,
) -> Applied:
    """What server-side apply makes of `live`. Raises Conflict, or BadRequest when the body is not the URL's object."""
    resource = served.resource
    check_config(resource.api_version, resource.kind, request, body)
    kind = Kind(
        resource.api_version,
        resource.type,
        request.subresource,
        unwritten(served, request.subresource),
        views(registry, served),
    )
    managers = (live or {}).get("metadata", {}).get("managedFields") or ()
    return apply_config(live, body, managers, kind, manager=options.manager, now=now, force=options.force)


def check_config(expected_version: str, expected_kind: str, request: ApiRequest, body: Any) -> None:
    """Raises BadRequest when the applied configuration is for another object."""
    if not isinstance(body, dict):
        raise BadRequest("error decoding YAML: the configuration must be an object")
    api_version, kind = body.get("apiVersion") or "", body.get("kind") or ""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict | None):
        raise BadRequest("error decoding YAML: metadata must be an object")
    if (api_version, kind) != (expected_version, expected_kind):
        group_version = api_version if "/" in str(api_version) else f"/{api_version}"
        raise BadRequest(f"invalid object type: {group_version}, Kind={kind}")
    name = (metadata or {}).get("name", request.name)
    if name != request.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({request.name})")
