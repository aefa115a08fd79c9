"""Who owns which field: `metadata.managedFields`.

Every write says which fields it changed; those become the writer's and cease to be anybody else's. Server-side apply
(`patch/apply.py`) builds on these records. Upstream: apimachinery `pkg/util/managedfields` and structured-merge-diff
`merge/update.go`. What another version's manager owns is compared in that version (`Changes`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

import attrs

from minik8s.machinery import fieldset
from minik8s.machinery.fieldset import SELF, FieldSet, Remembered, is_valid
from minik8s.machinery.meta import Doc, Obj, rfc3339
from minik8s.machinery.patch.shape import Shape
from minik8s.machinery.patch.typed import UNTYPED, Node, added, compare, shape_node

union, difference = Remembered(fieldset.union), Remembered(fieldset.difference)

View = Callable[[Doc, str], tuple[Doc, Shape] | None]
"""A document of the kind in another API version, with its type there; None when it cannot be had in that version, which
is how it is with those that are gone."""

Operation = Literal["Apply", "Update"]

BEFORE_FIRST_APPLY = "before-first-apply"
ANCIENT_CHANGES = "ancient-changes"
MAX_UPDATE_MANAGERS = 10
"""More Update entries than this are merged into `ancient-changes`, oldest first."""
LABELS = "metadata.labels"
"""The only field below the top that an endpoint may leave alone."""
UNTRACKED_METADATA = frozenset({
    "name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields",
    "deletionTimestamp", "deletionGracePeriodSeconds",
})  # fmt: skip
"""Metadata that the server writes and nobody owns."""
UNTRACKED = frozenset({"apiVersion", "kind"})
_OWNERS = "managedFields"
_IGNORED_BY_DEFAULT = UNTRACKED | {"status"}


@attrs.frozen
class Manager:
    """One entry of managedFields: a writer, and what it owns. An applier is the same one in every API version."""

    name: str
    operation: Operation
    api_version: str
    subresource: str
    fields: FieldSet = attrs.field(factory=dict, eq=False)
    time: str = attrs.field(default="", eq=False)

    @property
    def identity(self) -> tuple[str, str, str, str]:
        version = "" if self.operation == "Apply" else self.api_version
        return self.name, self.operation, version, self.subresource

    @property
    def is_applier(self) -> bool:
        return self.operation == "Apply"

    def to_entry(self) -> Obj:
        """The ManagedFieldsEntry (meta/v1)."""
        return _entry(self.name, self.operation, self.api_version, self.time, self.fields, self.subresource)


def _entry(name: str, operation: str, api_version: str, time: str, fields: FieldSet, subresource: str) -> Obj:
    entry: Obj = {"manager": name, "operation": operation, "apiVersion": api_version}
    if time:
        entry["time"] = time
    entry["fieldsType"], entry["fieldsV1"] = "FieldsV1", fields
    if subresource:
        entry["subresource"] = subresource
    return entry


def read_managers(entries: Iterable[Doc]) -> list[Manager] | None:
    """The managers of `metadata.managedFields`, None when the entries make no sense."""
    managers = []
    for entry in entries:
        fields = entry.get("fieldsV1") or {}
        if entry.get("operation") not in ("Apply", "Update") or not is_valid(fields):
            return None
        if entry.get("fieldsType") != "FieldsV1":
            return None
        managers.append(_manager(entry))
    return managers


def _manager(entry: Doc) -> Manager:
    """An entry that has been checked before, as all stored ones have."""
    return Manager(
        entry.get("manager", ""),
        entry["operation"],
        entry.get("apiVersion", ""),
        entry.get("subresource", ""),
        entry.get("fieldsV1") or {},
        entry.get("time") or "",
    )


def managed_fields_of(old: Doc | None, new: Doc, *, subresource: str = "") -> Sequence[Doc]:
    """The entries from which a write starts.

    A writer may replace them (kubectl does, to migrate a client-side apply) unless it writes to a subresource;
    `[{}]` resets them (a decoder turns `[]`, which says the same, into that); absent or meaningless ones leave those
    of the stored object.
    """
    stored: Sequence[Doc] = (old or {}).get("metadata", {}).get("managedFields") or ()
    given: Sequence[Doc] = new.get("metadata", {}).get("managedFields") or ()
    if subresource or not given or given == stored:
        return stored
    if len(given) == 1 and not given[0]:
        return ()
    return given if read_managers(given) is not None else stored


def track_update(
    old: Doc | None,
    new: Doc,
    managers: Sequence[Doc],
    manager: str,
    api_version: str,
    subresource: str,
    now: datetime,
    type: Shape,
    *,
    ignore: Collection[str] | None = None,
    view: View | None = None,
) -> list[Obj]:
    """The managedFields after a write other than an apply; `managers` are those from before (`managed_fields_of`).

    `old` is None on create. `ignore` names the top-level fields that this endpoint does not write: by default
    `status` for the object itself, and all but metadata and status for /status. An existing object that nobody has
    tracked so far stays untracked. `view` shows the object in the versions of other managers.
    """
    if old is not None and not managers and old.get("metadata", {}).get("uid"):
        return []
    ignored = ignored_fields(type, subresource, ignore)
    if not old and not managers:  # most writes are of this kind, and need none of what follows
        owned = without_metadata_itself(added(tracked(new, ignored), shape_node(type)))
        return [_entry(manager, "Update", api_version, rfc3339(now), owned, subresource)] if owned else []
    changes = Changes(old or {}, new, api_version, type, ignored, view)
    if not changes.touched:
        return [dict(entry) for entry in managers]
    writer = Manager(manager, "Update", api_version, subresource, changes.changed, rfc3339(now))
    if not managers:
        return [writer.to_entry()] if changes.changed else []
    if len(managers) == 1 and not changes.removed and type.schema is None:
        sole = _manager(managers[0])
        if sole.identity == writer.identity:  # heartbeats, and whatever else has one writer
            return [{**managers[0], "time": writer.time, "fieldsV1": union(sole.fields, changes.changed)}]
    before = [reconciled(_manager(entry), api_version, type) for entry in managers]
    return write_managers(capped(record(before, writer, changes)))


def reconciled(manager: Manager, api_version: str, type: Shape) -> Manager:
    """The manager with fields that the type still knows one by one.

    A schema may have made one value of a list or map whose parts somebody owns; then he owns the whole of it. The other
    way round nothing is done, as upstream (structured-merge-diff `typed/reconcile_schema.go`).
    """
    if type.schema is None or manager.api_version != api_version:  # built-in types do not change
        return manager
    fields = _collapsed(manager.fields, shape_node(type))
    return manager if fields is manager.fields else attrs.evolve(manager, fields=fields)


def _collapsed(fields: FieldSet, node: Node) -> FieldSet:
    result: FieldSet = fields
    for key, below in fields.items():
        if key == SELF or not below:
            continue
        child = (node.child(key[2:]) or UNTYPED) if key.startswith("f:") else node.item_node
        kept = {} if child.is_leaf else _collapsed(below, child)
        if kept is not below:
            result = {**result, key: kept}
    return result


def record(managers: Sequence[Manager], writer: Manager, changes: Changes) -> list[Manager]:
    """The managers after `writer` has made the changes. Its time moves when it has changed any field."""
    identity = writer.identity
    result = changes.leave(m for m in managers if m.identity != identity)
    previous = next((m for m in managers if m.identity == identity), None)
    owned = changes.changed
    if previous:
        owned = union(difference(previous.fields, changes.removed) if changes.removed else previous.fields, owned)
    time = previous.time if previous and not changes.changed else writer.time
    result.append(Manager(writer.name, writer.operation, writer.api_version, writer.subresource, owned, time))
    return [m for m in result if m.fields]


class Changes:
    """What a write does to the tracked fields of an object, seen in the writer's version and in those of others."""

    def __init__(
        self,
        old: Doc,
        new: Doc,
        api_version: str,
        type: Shape,
        ignored: Collection[str],
        view: View | None = None,
    ) -> None:
        self._old, self._new, self._ignored, self._view = old, new, ignored, view
        self.api_version = api_version
        self.changed, self.removed = _compared(old, new, type, ignored)
        """The fields that the write adds or changes, and those that it removes."""
        self.touched = union(self.changed, self.removed) if self.removed else self.changed
        self._elsewhere: dict[str, _Seen | None] = {}

    def seen_by(self, manager: Manager) -> _Seen | None:
        """(changed, touched) in the manager's version; None when that version is gone."""
        version = manager.api_version
        if version == self.api_version or self._view is None:
            return self.changed, self.touched
        if version not in self._elsewhere:
            self._elsewhere[version] = self._compared_in(version, self._view)
        return self._elsewhere[version]

    def _compared_in(self, version: str, view: View) -> _Seen | None:
        before, after = view(self._old, version) if self._old else ({}, None), view(self._new, version)
        if before is None or after is None:
            return None
        changed, removed = _compared(before[0], after[0], after[1], self._ignored)
        return changed, union(changed, removed)

    def leave(self, managers: Iterable[Manager]) -> list[Manager]:
        """What is left to other managers; whose version is gone owns nothing any more."""
        seen = ((m, self.seen_by(m)) for m in managers)
        return [without(m, parts[1]) for m, parts in seen if parts is not None]


_Seen = tuple[FieldSet, FieldSet]


def without(manager: Manager, fields: FieldSet) -> Manager:
    """The manager after somebody else took the fields."""
    left = difference(manager.fields, fields)
    return manager if left is manager.fields else attrs.evolve(manager, fields=left)


def _compared(old: Doc, new: Doc, type: Shape, ignored: Collection[str]) -> tuple[FieldSet, FieldSet]:
    """The tracked fields that `new` adds or changes, and those that only `old` has."""
    changed, removed = compare(tracked(old, ignored), tracked(new, ignored), shape_node(type))
    return without_metadata_itself(changed), without_metadata_itself(removed)


def without_metadata_itself(fields: Obj | None) -> FieldSet:
    """Metadata is there before anybody writes, so nobody owns the whole of it."""
    if fields and "f:metadata" in fields and SELF in (fields["f:metadata"] or {SELF}):
        below = {k: v for k, v in fields["f:metadata"].items() if k != SELF}
        fields = {k: v for k, v in fields.items() if k != "f:metadata"} | ({"f:metadata": below} if below else {})
    return fields or {}


def tracked(doc: Doc, ignored: Collection[str]) -> Obj:
    """The document without the fields that nobody can own; of metadata also the labels can be among `ignored`."""
    result = {k: v for k, v in doc.items() if k not in ignored}
    metadata = doc.get("metadata")
    if isinstance(metadata, dict) and "metadata" not in ignored:
        result["metadata"] = {k: v for k, v in metadata.items() if k not in UNTRACKED_METADATA}
        if LABELS in ignored:
            result["metadata"].pop("labels", None)
    return result


def ignored_fields(type: Shape, subresource: str, ignore: Collection[str] | None) -> Collection[str]:
    """The top-level fields that a write to an endpoint does not own."""
    if ignore is not None:
        return UNTRACKED.union(ignore) if ignore else UNTRACKED
    return _ignored_by_status(type) if subresource == "status" else _IGNORED_BY_DEFAULT


@lru_cache(maxsize=1024)
def _ignored_by_status(type: Shape) -> frozenset[str]:
    return UNTRACKED.union(name for name in type.fields if name not in ("metadata", "status"))


def write_managers(managers: Iterable[Manager]) -> list[Obj]:
    """The managers as managedFields, in upstream's order."""
    ordered = sorted(managers, key=lambda m: (m.operation, m.time, m.name, m.api_version, m.subresource))
    return [m.to_entry() for m in ordered]


def capped(managers: list[Manager]) -> list[Manager]:
    """At most ten Update entries: the oldest of each API version are merged into one bucket."""
    if len(managers) <= MAX_UPDATE_MANAGERS:
        return managers
    updaters = sorted((m for m in managers if not m.is_applier), key=lambda m: (m.time, m.name))
    excess = len(updaters) - MAX_UPDATE_MANAGERS
    by_version: dict[str, list[Manager]] = {}
    merged: set[tuple[str, str, str, str]] = set()
    for updater in updaters:
        if excess <= 0:
            break
        members = by_version.setdefault(updater.api_version, [])
        members.append(updater)
        if len(members) > 1:  # the first of a version only opens its bucket
            excess -= 1
    result = []
    for version, members in by_version.items():
        if len(members) < 2:
            continue
        bucket = Manager(ANCIENT_CHANGES, "Update", version, "", time=members[-1].time)
        members += [m for m in managers if m.identity == bucket.identity and m not in members]
        merged |= {member.identity for member in members}
        result.append(attrs.evolve(bucket, fields=owned_by(members)))
    return result + [m for m in managers if m.identity not in merged]


def only_times_differ(new: Doc, old: Doc) -> bool:
    """Whether a write has changed nothing but when somebody changed something; then there is nothing to store."""
    metadata, before = new["metadata"], old["metadata"]
    if len(metadata) != len(before) or {**metadata, _OWNERS: None} != {**before, _OWNERS: None}:
        return False
    if {**new, "metadata": None} != {**old, "metadata": None}:
        return False
    entries, stored = metadata.get(_OWNERS) or (), before.get(_OWNERS) or ()
    return len(entries) == len(stored) and all(
        entry is other or _same_but_for_time(entry, other) for entry, other in zip(entries, stored, strict=True)
    )


def _same_but_for_time(entry: Doc, other: Doc) -> bool:
    return (
        entry.get("manager") == other.get("manager")
        and entry.get("operation") == other.get("operation")
        and entry.get("apiVersion") == other.get("apiVersion")
        and entry.get("subresource") == other.get("subresource")
        and entry.get("fieldsV1") == other.get("fieldsV1")
    )


def owned_by(managers: Iterable[Manager]) -> FieldSet:
    """Everything that any of the managers owns."""
    fields: Any = {}
    for manager in managers:
        fields = union(fields, manager.fields)
    return fields
