"""What differs between two documents, field by field, for people.

Members of a list are matched by the key that tells them apart where all have one (`containers[web].image`), because a
position says little and moves; any other list is one value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "(none)"})()
"""Stands for a field that is not there."""
BOOKKEEPING = frozenset({"metadata.resourceVersion", "metadata.managedFields", "metadata.generation"})
"""What every write changes, and nobody asked for."""
KEYS = ("name", "type", "uid", "containerPort", "port", "ip", "key", "mountPath")
MOST = 70
"""Characters of a value that are shown."""


@attrs.frozen
class Difference:
    """A field that was `before` and is `after`; ABSENT for one that is not there."""

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """`spec.replicas: 1 -> 3`."""
        return f"{self.path}: {shown(self.before)} -> {shown(self.after)}"


def differences(before: Any, after: Any, ignored: Collection[str] = BOOKKEEPING) -> tuple[Difference, ...]:
    """From one document to another, in the order of the newer one; `ignored` are paths left out."""
    return tuple(found for found in _differences("", before, after) if not _within(found.path, ignored))


def _within(path: str, ignored: Collection[str]) -> bool:
    return any(path == other or path.startswith((f"{other}.", f"{other}[")) for other in ignored)


def _differences(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if before is after or before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*after, *before)):
            yield from _differences(_join(path, str(key)), before.get(key, ABSENT), after.get(key, ABSENT))
        return
    if isinstance(before, Sequence) and isinstance(after, Sequence) and (key := _key_of(before, after)):
        old, new = ({str(item[key]): item for item in items} for items in (before, after))
        for name in dict.fromkeys((*new, *old)):
            yield from _differences(f"{path}[{name}]", old.get(name, ABSENT), new.get(name, ABSENT))
        return
    yield Difference(path, before, after)


def _join(path: str, key: str) -> str:
    if "." in key or "/" in key:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


def _key_of(before: Sequence[Any], after: Sequence[Any]) -> str:
    """The field that tells the members of both lists apart; "" when there is none."""
    if isinstance(before, str) or isinstance(after, str):
        return ""
    for key in KEYS:
        if all(
            all(isinstance(item, Mapping) and key in item for item in items)
            and len({str(item[key]) for item in items}) == len(items)
            for items in (before, after)
        ):
            return key
    return ""


def shown(value: Any, most: int = MOST) -> str:
    """A value as JSON of so many characters at most."""
    if value is ABSENT:
        return "(none)"
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"
