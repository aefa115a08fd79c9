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

from minik8s.machinery.errors import ApiError, BadRequest, Conflict, StatusCause, unexplained
from minik8s.machinery.fieldset import FieldSet, difference, intersection, paths, union
from minik8s.machinery.managedfields import (
    BEFORE_FIRST_APPLY,
    Changes,
    Manager,
    View,
    ignored_fields,
    owned_by,
    read_managers,
    reconciled,
    record,
    tracked,
    without_metadata_itself,
    write_managers,
)
from minik8s.machinery.meta import Doc, Obj, rfc3339
from minik8s.machinery.patch import lastapplied
from minik8s.machinery.patch.merge import merge, remove
from minik8s.machinery.patch.shape import Shape
from minik8s.machinery.patch.stated import Errors, stated_fields
from minik8s.machinery.patch.typed import compare, shape_node

_TAKEN_OVER = ("name", "namespace", "generateName", "uid", "resourceVersion")
"""Untracked metadata that a configuration may state: identity and preconditions, which the server checks."""
_METADATA: FieldSet = {"f:metadata": {"f:name": {}}}
"""Every configuration names its object, so metadata itself is never given up."""


@attrs.frozen
class Applied:
    """The document after an apply (its managedFields as they were), and the managedFields to store with it."""

    document: Obj
    managed_fields: list[Obj]


@attrs.frozen(eq=False)
class Kind:
    """What an apply is about: the kind's version and type, the endpoint's subresource, the fields it does not write.

    `ignore`: as for `managedfields.track_update`; `view` as well.
    """

    api_version: str
    type: Shape
    subresource: str = ""
    ignore: Collection[str] | None = None
    view: View | None = None

    @property
    def ignored(self) -> Collection[str]:
        return ignored_fields(self.type, self.subresource, self.ignore)

    def changes(self, old: Doc, new: Doc) -> Changes:
        return Changes(old, new, self.api_version, self.type, self.ignored, self.view)


def apply_config(
    live: Doc | None,
    config: Doc,
    managers: Sequence[Doc],
    kind: Kind,
    *,
    manager: str,
    now: datetime,
    force: bool = False,
) -> Applied:
    """Applies `config` as `manager`. `live` is None when the object does not exist yet; `managers` are its entries.

    Raises Conflict (409, one cause for each field), BadRequest, or a 500 without reason for a configuration that does
    not fit the kind's type.
    """
    if (config.get("metadata") or {}).get("managedFields"):
        raise BadRequest("metadata.managedFields must be nil")
    stated = tracked(config, kind.ignored)
    applied = fields_of(stated, config, kind.type)
    writer = Manager(manager, "Apply", kind.api_version, kind.subresource, applied, rfc3339(now))
    try:
        return _applied(live, stated, config, _known_managers(live, managers, kind, now), writer, kind, force=force)
    except ValueError as error:  # not from the configuration, which fits the type: fields_of() has seen to that
        raise _live_untypable(live or {}, kind, error) from None


def _applied(
    live: Doc | None,
    stated: Obj,
    config: Doc,
    known: Sequence[Manager],
    writer: Manager,
    kind: Kind,
    *,
    force: bool,
) -> Applied:
    others = [m for m in known if m.identity != writer.identity]
    previous = next((m for m in known if m.identity == writer.identity), None)
    document = _merged(live, stated, config, kind.type)
    if previous is not None:
        document = _pruned(document, previous, writer, others, kind)
    changes = kind.changes(live or {}, document)
    if not force:
        _refuse_conflicts(_conflicts(others, changes), live, writer.name, kind)
    if previous is not None and not changes.touched and previous.fields == writer.fields:
        writer = attrs.evolve(writer, time=previous.time)
    left = changes.leave(others)
    document = lastapplied.kept_up(document, config, writer.name)
    return Applied(document, write_managers(m for m in [*left, writer] if m.fields))


def fields_of(stated: Obj, config: Doc, type: Shape) -> FieldSet:
    """The fields that the tracked part of a configuration states; raises what upstream answers when it does not fit."""
    errors: Errors = []
    fields = stated_fields(stated, shape_node(type), errors)
    if errors:
        raise _untypable("patch", config, errors)
    return without_metadata_itself(fields)


def _live_untypable(live: Doc, kind: Kind, error: ValueError) -> ApiError:
    """For what was stored although it does not fit: the pod template of a StatefulSet may hold containers without
    names, for upstream does not look into it either."""
    errors: Errors = []
    stated_fields(tracked(live, kind.ignored), shape_node(kind.type), errors)
    return _untypable("live", live, errors or [("", str(error))])


def _untypable(what: str, config: Doc, found: Errors) -> ApiError:
    errors = [f"{path}: {text}" if path else text for path, text in found]
    metadata = config.get("metadata") or {}
    api_version = str(config.get("apiVersion", ""))
    group_version = api_version if "/" in api_version else "/" + api_version
    who = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}; {group_version}, Kind={config.get('kind', '')}"
    text = errors[0] if len(errors) == 1 else "\n  ".join(["errors:", *errors])
    return unexplained(f"failed to create typed {what} object ({who}): {text}")


def _known_managers(live: Doc | None, entries: Sequence[Doc], kind: Kind, now: datetime) -> list[Manager]:
    """The managers so far. What stands in an object that nobody tracked belongs to `before-first-apply`."""
    managers = [reconciled(m, kind.api_version, kind.type) for m in read_managers(entries) or ()]
    if managers or live is None:
        return managers
    before = Manager(BEFORE_FIRST_APPLY, "Update", kind.api_version, kind.subresource, time=rfc3339(now))
    return record([], before, kind.changes({}, live))


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


# giving fields up


def _pruned(document: Obj, previous: Manager, writer: Manager, others: Sequence[Manager], kind: Kind) -> Any:
    """The document without what the applier stated before, states no more, and nobody else owns."""
    owners = [writer, *others]
    if kind.view is None or all(m.api_version == kind.api_version for m in (previous, *others)):
        owned = union(owned_by(owners), _METADATA)
        return remove(document, previous.fields, owned, shape_node(kind.type))
    return _pruned_across_versions(document, previous, owners, kind, kind.view)


def _pruned_across_versions(document: Obj, previous: Manager, owners: Sequence[Manager], kind: Kind, view: View) -> Any:
    """The same where managers own fields in several versions: taken out in the version in which they were stated, then
    put back in each version for those who own them there."""
    seen = view(document, previous.api_version)
    if seen is None:
        return document
    first = previous.api_version
    versions = [first, *sorted({m.api_version for m in owners} - {first})]
    given_up = previous.fields
    for version in versions:
        whole = view(document, version)
        if whole is None:
            continue
        node = shape_node(whole[1])
        if version != first:
            current = view(seen[0], version)
            given_up = {} if current is None else compare(whole[0], current[0], node)[1] or {}
        owned = union(owned_by(m for m in owners if m.api_version == version), _METADATA)
        seen = remove(whole[0], given_up, owned, node), whole[1]
    back = view(seen[0], kind.api_version)
    return document if back is None else back[0]


# conflicts

_Conflicts = list[tuple[Manager, FieldSet]]


def _conflicts(others: Sequence[Manager], changes: Changes) -> _Conflicts:
    """The other managers whose fields the apply would change, with these fields."""
    found = []
    for manager in others:
        seen = changes.seen_by(manager)
        if seen is not None and (fields := intersection(manager.fields, seen[0])):
            found.append((manager, fields))
    return found


def _refuse_conflicts(conflicts: _Conflicts, live: Doc | None, manager: str, kind: Kind) -> None:
    if not conflicts:
        return
    if manager == lastapplied.MANAGER:  # what a client-side apply of the same configuration has set is no conflict
        allowed = lastapplied.fields_in_force(live or {}, kind.api_version, kind.type)
        left = ((m, difference(fields, allowed)) for m, fields in conflicts)
        conflicts = [(m, fields) for m, fields in left if fields]
    named = [(describe(m), list(paths(fields))) for m, fields in sorted(conflicts, key=lambda c: c[0].identity)]
    causes = [
        StatusCause("FieldManagerConflict", f"conflict with {who}", field) for who, fields in named for field in fields
    ]
    if len(causes) == 1:
        raise Conflict(f"Apply failed with 1 conflict: {causes[0].message}: {causes[0].field}", causes=causes)
    if causes:
        lines = [line for who, fields in named for line in (f"conflicts with {who}:", *(f"- {f}" for f in fields))]
        raise Conflict(f"Apply failed with {len(causes)} conflicts: " + "\n".join(lines), causes=causes)


def describe(manager: Manager) -> str:
    """A manager as conflict messages name it."""
    text = orjson.dumps(manager.name).decode()
    if manager.subresource:
        text += f' with subresource "{manager.subresource}"'
    return text if manager.is_applier else f"{text} using {manager.api_version}"
