"""Server-side apply: a writer states the fields it wants, and the server remembers that they are its.

Another writer's field with another value is a conflict (unless forced); a field that the writer no longer states, and
that nobody else owns, is removed. Upstream: structured-merge-diff `merge/update.go` and apimachinery
`pkg/util/managedfields`. Whether the body's kind and name fit the URL is the server's business, not checked here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from minik8s.machinery.errors import BadRequest, Conflict, StatusCause
from minik8s.machinery.fieldset import FieldSet, intersection, paths, union
from minik8s.machinery.managedfields import (
    BEFORE_FIRST_APPLY,
    Manager,
    changes,
    ignored_fields,
    owned_by,
    read_managers,
    record,
    tracked,
    without,
    without_metadata_itself,
    write_managers,
)
from minik8s.machinery.meta import Doc, Obj, rfc3339
from minik8s.machinery.patch.merge import merge, remove
from minik8s.machinery.patch.shape import Shape
from minik8s.machinery.patch.typed import field_set, shape_node

_TAKEN_OVER = ("name", "namespace", "generateName", "uid", "resourceVersion")
"""Untracked metadata that a configuration may state: identity and preconditions, which the server checks."""
_METADATA: FieldSet = {"f:metadata": {"f:name": {}}}
"""Every configuration names its object, so metadata itself is never given up."""


@attrs.frozen
class Applied:
    """The document after an apply (its managedFields as they were), and the managedFields to store with it."""

    document: Obj
    managed_fields: list[Obj]


def apply_config(
    live: Doc | None,
    config: Doc,
    managers: Sequence[Doc],
    *,
    manager: str,
    api_version: str,
    now: datetime,
    type: Shape,
    subresource: str = "",
    force: bool = False,
    ignore: Collection[str] | None = None,
) -> Applied:
    """Applies `config` as `manager`. `live` is None when the object does not exist yet; `managers` are its entries.

    `ignore`: as for `managedfields.track_update`. Raises Conflict (409, one cause for each field), or BadRequest, also
    for a field that the type does not have.
    """
    if (config.get("metadata") or {}).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    ignored = ignored_fields(type, subresource, ignore)
    stated = tracked(config, ignored)
    applied = _fields_of(stated, config, type)
    known = _known_managers(live, managers, api_version, type, ignored, now)
    writer = Manager(manager, "Apply", api_version, subresource, applied, rfc3339(now))
    others = [m for m in known if m.identity != writer.identity]
    previous = next((m for m in known if m.identity == writer.identity), None)

    document = _merged(live, stated, config, type)
    if previous is not None:
        owned = union(owned_by(others), union(applied, _METADATA))
        document = remove(document, previous.fields, owned, shape_node(type))
    changed, removed = changes(live or {}, document, type, ignored)
    if not force:
        _refuse_conflicts(others, changed)
    touched = union(changed, removed)
    if previous is not None and not touched and previous.fields == applied:
        writer = attrs.evolve(writer, time=previous.time)
    left = [without(m, touched) for m in others]
    return Applied(document, write_managers(m for m in [*left, writer] if m.fields))


def _fields_of(stated: Obj, config: Doc, type: Shape) -> FieldSet:
    errors: list[str] = []
    fields = field_set(stated, shape_node(type), "", errors)
    if errors:
        raise _untypable(config, errors)
    return without_metadata_itself(fields)


def _untypable(config: Doc, errors: list[str]) -> BadRequest:
    """Upstream answers 500 with this text; it is the client's fault, so here it is a 400."""
    metadata = config.get("metadata") or {}
    api_version = str(config.get("apiVersion", ""))
    group_version = api_version if "/" in api_version else "/" + api_version
    who = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {group_version}, Kind={config.get('kind', '')}"
    text = errors[0] if len(errors) == 1 else "\n  ".join(["errors:", *errors])
    return BadRequest(f"failed to create typed patch object ({who}): {text}")


def _known_managers(
    live: Doc | None, entries: Sequence[Doc], api_version: str, type: Shape, ignored: Collection[str], now: datetime
) -> list[Manager]:
    """The managers so far. What stands in an object that nobody tracked belongs to `before-first-apply`."""
    managers = read_managers(entries) or []
    if managers or live is None:
        return managers
    before = Manager(BEFORE_FIRST_APPLY, "Update", api_version, "", time=rfc3339(now))
    changed, removed = changes({}, live, type, ignored)
    return record([], before, changed, removed)


def _merged(live: Doc | None, stated: Obj, config: Doc, type: Shape) -> Any:
    document = merge(dict(live or {}), stated, shape_node(type))
    if live is None:
        document = {"apiVersion": config.get("apiVersion"), "kind": config.get("kind"), **document}
    given = config.get("metadata") or {}
    metadata = document.get("metadata") or {}
    identity = {key: given[key] for key in _TAKEN_OVER if given.get(key) and given[key] != metadata.get(key)}
    if identity:
        document["metadata"] = {**metadata, **identity}
    return document


def _refuse_conflicts(others: Sequence[Manager], changed: FieldSet) -> None:
    found = [(m, list(paths(intersection(m.fields, changed)))) for m in sorted(others, key=lambda m: m.identity)]
    conflicts = [(describe(m), fields) for m, fields in found if fields]
    causes = [
        StatusCause("FieldManagerConflict", f"conflict with {who}", field)
        for who, fields in conflicts
        for field in fields
    ]
    if len(causes) == 1:
        raise Conflict(f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}", causes=causes)
    if causes:
        lines = [line for who, fields in conflicts for line in (f"conflicts with {who}:", *(f"- {f}" for f in fields))]
        raise Conflict(f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines), causes=causes)


def describe(manager: Manager) -> str:
    """A manager as conflict messages name it."""
    text = orjson.dumps(manager.name).decode()
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return text if manager.is_applier else f"{text} using {manager.api_version}"
