"""Reading and changing the metadata that every object has, and the conditions that most have.

Documents are JSON objects (`Obj`) and a stored one is never mutated: `evolve` makes a changed copy that
shares everything it did not touch. Timestamps are RFC 3339 strings in UTC, as on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

Obj: TypeAlias = dict[str, Any]
"""A JSON object that its holder may build up: a document before it is stored."""
Doc: TypeAlias = Mapping[str, Any]
"""A document that is only read; every TypedDict of `minik8s.api.types` is one."""

CONTAINERS: Final = (dict, list)
"""The JSON values that hold others. A tuple made once: `dict | list` would be made anew for each value looked at."""


def name_of(obj: Doc) -> str:
    return str(obj["metadata"].get("name", ""))


def namespace_of(obj: Doc) -> str:
    """The namespace, "" for a cluster-scoped object."""
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Doc) -> str:
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Doc) -> Mapping[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Doc) -> Mapping[str, str]:
    return obj["metadata"].get("annotations") or {}


def is_terminating(obj: Doc) -> bool:
    """Whether deletion has begun (`metadata.deletionTimestamp` is set)."""
    return "deletionTimestamp" in obj["metadata"]


def revision_of(obj: Doc) -> int:
    """`metadata.resourceVersion` as a number; 0 when unset."""
    return int(obj["metadata"].get("resourceVersion") or 0)


def owner_references(obj: Doc) -> Sequence[Mapping[str, Any]]:
    return obj["metadata"].get("ownerReferences") or ()


def controller_of(obj: Doc) -> Mapping[str, Any] | None:
    """The owner reference with `controller: true`, of which there is at most one."""
    for reference in owner_references(obj):
        if reference.get("controller"):
            return reference
    return None


def controller_reference(owner: Doc) -> Obj:
    """The ownerReference that makes `owner` the controller of another object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def value_at(obj: Any, path: Sequence[str]) -> Any:
    """The value at a path of field names, None when there is none."""
    for name in path:
        if not isinstance(obj, dict):
            return None
        obj = obj.get(name)
    return obj if path else None


def evolve(obj: Doc, *path: str, value: Any) -> Obj:
    """A copy of `obj` in which the field at `path` is `value`; missing parents are made.

    Only the dictionaries along the path are copied. `value=None` removes the field.
    """
    copy: Obj = dict(obj)
    if len(path) == 1:
        if value is None:
            copy.pop(path[0], None)
        else:
            copy[path[0]] = value
        return copy
    child = copy.get(path[0])
    if child is None and value is None:
        return copy
    copy[path[0]] = evolve(child or {}, *path[1:], value=value)
    return copy


def copy_document(value: Any) -> Any:
    """A deep copy of a JSON value as plain, mutable dicts and lists."""
    if isinstance(value, dict):
        return {k: copy_document(v) if isinstance(v, CONTAINERS) else v for k, v in value.items()}
    if isinstance(value, list):
        return [copy_document(v) if isinstance(v, CONTAINERS) else v for v in value]
    return value


_LATEST: list[Any] = [None, ""]
"""What `rfc3339` has written last: a clock that stands still shows the same object, whatever happens meanwhile."""


def rfc3339(when: datetime) -> str:
    """`2006-01-02T15:04:05Z`: metav1.Time."""
    if when is _LATEST[0]:
        return str(_LATEST[1])
    utc = when if when.tzinfo is UTC else when.astimezone(UTC)
    parts = (utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)
    text = "%04d-%02d-%02dT%02d:%02d:%02dZ" % parts  # noqa: UP031  `isoformat` takes three times as long
    _LATEST[:] = when, text
    return text


def rfc3339_micro(when: datetime) -> str:
    """`2006-01-02T15:04:05.000000Z`: metav1.MicroTime."""
    return (when if when.tzinfo is UTC else when.astimezone(UTC)).isoformat(timespec="microseconds")[:26] + "Z"


def parse_time(text: str) -> datetime:
    """An aware UTC datetime from RFC 3339; raises ValueError."""
    return datetime.fromisoformat(text.replace("Z", "+00:00") if text.endswith("Z") else text).astimezone(UTC)


def find_condition(conditions: Iterable[Doc] | None, type_: str) -> Doc | None:
    """The condition of that type, or None."""
    for condition in conditions or ():
        if condition.get("type") == type_:
            return condition
    return None


def is_condition_true(obj: Doc, type_: str) -> bool:
    """Whether `status.conditions` holds the type with status "True"."""
    condition = find_condition((obj.get("status") or {}).get("conditions"), type_)
    return condition is not None and condition.get("status") == "True"


def transition_time(old: Doc | None, status: str, now: str) -> str:
    """The lastTransitionTime of a condition that now has `status`: it moves to `now` only when the status changes."""
    same = old is not None and old.get("status") == status
    return (old.get("lastTransitionTime") if old is not None and same else None) or now


def set_condition(conditions: Iterable[Doc] | None, new: Doc, now: str) -> list[Obj]:
    """The conditions with `new` in place of the one of its type, or appended.

    `lastTransitionTime` moves to `now` only when the status changes.
    """
    result: list[Obj] = []
    placed = False
    for condition in conditions or ():
        if condition.get("type") != new["type"]:
            result.append(dict(condition))
            continue
        since = transition_time(condition, new["status"], now)
        result.append({**condition, **new, "lastTransitionTime": since})
        placed = True
    if not placed:
        result.append({**new, "lastTransitionTime": new.get("lastTransitionTime", now)})
    return result
