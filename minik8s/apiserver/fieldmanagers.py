"""Who owns which field: metadata.managedFields, kept by every write and built on by server-side apply."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from minik8s.api.request import ApiRequest
from minik8s.apiserver.options import WriteOptions
from minik8s.apiserver.registry import Served
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.managedfields import managed_fields_of, track_update
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.patch.apply import Applied, apply_config


def track(
    options: WriteOptions, served: Served, obj: Obj, old: Doc | None, now: datetime, subresource: str = ""
) -> None:
    """Credits the writer with what differs between `old` and `obj`.

    An object whose lists break their own rules has no field sets; who owned what stays, as upstream's UpdateNoErrors
    leaves it. What is wrong with such an object is validation's to say.
    """
    resource = served.resource
    kept = managed_fields_of(old, obj, subresource=subresource)
    try:
        entries = track_update(
            old, obj, kept, options.manager, "Update", resource.api_version, subresource, now, resource.type
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


def applied(
    options: WriteOptions, served: Served, request: ApiRequest, live: Doc | None, body: Any, now: datetime
) -> Applied:
    """What server-side apply makes of `live`. Raises Conflict, or BadRequest when the body is not the URL's object."""
    check_config(served, request, body)
    return apply_config(
        live,
        body,
        (live or {}).get("metadata", {}).get("managedFields") or (),
        manager=options.manager,
        api_version=served.resource.api_version,
        now=now,
        type=served.resource.type,
        subresource=request.subresource,
        force=options.force,
    )


def check_config(served: Served, request: ApiRequest, body: Any) -> None:
    """Raises BadRequest when the applied configuration is for another object."""
    if not isinstance(body, dict):
        raise BadRequest("error decoding YAML: the configuration must be an object")
    resource = served.resource
    api_version, kind = body.get("apiVersion") or "", body.get("kind") or ""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict | None):
        raise BadRequest("error decoding YAML: metadata must be an object")
    if (api_version, kind) != (resource.api_version, resource.kind):
        group_version = api_version if "/" in str(api_version) else f"/{api_version}"
        raise BadRequest(f"invalid object type: {group_version}, Kind={kind}")
    name = (metadata or {}).get("name", request.name)
    if name != request.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({request.name})")
