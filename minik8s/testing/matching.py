"""Matchers: what of an object has to be how, and what is not so, field by field.

    assert pod == like({"status": {"phase": "Running"}})
    await eventually(cluster, PODS, every({"status": {"phase": "Running"}}, count=3), label_selector="app=web")

Only what is named counts. A wanted mapping needs its keys, a wanted list of things with a name (or type, or key) needs
each of them, wherever it stands, and any other list needs all its items in order. None wants a field that is not there,
`...` one that is, a class an instance of it, and a function is asked. Under pytest a failed `==` shows the differences.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from minik8s.machinery.meta import name_of, namespace_of

_ABSENT: Any = object()
_IDENTITIES = ("name", "type", "key", "uid")
MOST_LINES, MOST_CHARACTERS = 12, 160


@runtime_checkable
class Explains(Protocol):
    """A condition that can tell why it does not hold."""

    def differences(self, found: Any) -> list[str]: ...


class like:
    """Equal to everything that has at least what is wanted."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, wanted: Any) -> None:
        self.wanted = wanted

    def __eq__(self, found: object) -> bool:
        return not self.differences(found)

    def __repr__(self) -> str:
        return f"like({self.wanted!r})"

    def differences(self, found: Any) -> list[str]:
        """What is not as it is wanted, a line each; nothing when all is."""
        return _cut(list(_differences(self.wanted, found, "")))


class every:
    """A condition for `eventually` and its kin: all objects are like that, and there are `count` (or any) of them."""

    def __init__(self, wanted: Any, *, count: int | None = None) -> None:
        self.wanted, self.count = wanted, count

    def __call__(self, objects: Sequence[Any]) -> bool:
        return not self.differences(objects)

    def __repr__(self) -> str:
        return f"every({self.wanted!r}{'' if self.count is None else f', count={self.count}'})"

    def differences(self, found: Sequence[Any]) -> list[str]:
        """As of `like`, for each object that is not as wanted."""
        wrong = [] if self.count in (None, len(found)) else [f"wanted {self.count} of them, found {len(found)}"]
        if self.count is None and not found:
            wrong = ["wanted some, found none"]
        return _cut(wrong + [line for obj in found for line in _differences(self.wanted, obj, _called(obj))])


class some:
    """A condition: at least one object is like that, or exactly `count` are."""

    def __init__(self, wanted: Any, *, count: int | None = None) -> None:
        self.wanted, self.count = wanted, count

    def __call__(self, objects: Sequence[Any]) -> bool:
        matching = sum(obj == like(self.wanted) for obj in objects)
        return matching > 0 if self.count is None else matching == self.count

    def __repr__(self) -> str:
        return f"some({self.wanted!r}{'' if self.count is None else f', count={self.count}'})"

    def differences(self, found: Sequence[Any]) -> list[str]:
        """How many are like that, and what is wrong with each of the others."""
        if self(found):
            return []
        count = sum(obj == like(self.wanted) for obj in found)
        lines = [f"wanted {self.count or 'at least one'} like that, found {count} of {len(found)}"]
        return _cut(lines + [line for obj in found for line in _differences(self.wanted, obj, _called(obj))])


def explain_comparison(operator: str, left: Any, right: Any) -> list[str] | None:
    """What pytest shows of a failed `==` with `like`; None for what is none."""
    matcher, found = (left, right) if isinstance(left, like) else (right, left)
    if operator != "==" or not isinstance(matcher, like):
        return None
    return [f"{_called(found) or 'the object'} is not like that", *matcher.differences(found)]


def _differences(wanted: Any, found: Any, path: str) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key, value in wanted.items():
            yield from _differences(value, found.get(key, _ABSENT), f"{path}.{key}" if path else str(key))
    elif isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        yield from _list_differences(wanted, found, path)
    elif not _is_so(wanted, found):
        yield f"{path or 'value'}: wanted {_word(wanted)}, found {_word(found)}"


def _list_differences(wanted: Sequence[Any], found: Sequence[Any], path: str) -> Iterator[str]:
    identities = [identity for item in wanted if (identity := _identity(item))]
    if identities and len(identities) == len(wanted):
        for item, (key, value) in zip(wanted, identities, strict=True):
            twin = next((f for f in found if isinstance(f, Mapping) and f.get(key) == value), _ABSENT)
            yield from _differences(item, twin, f"{path}[{key}={value}]")
        return
    if len(wanted) != len(found):
        yield f"{path or 'value'}: wanted {len(wanted)} items, found {len(found)}: {_word(list(found))}"
        return
    for index, (item, twin) in enumerate(zip(wanted, found, strict=True)):
        yield from _differences(item, twin, f"{path}[{index}]")


def _identity(item: Any) -> tuple[str, Any] | None:
    """By what an item of a list is known wherever it stands."""
    if isinstance(item, Mapping):
        for key in _IDENTITIES:
            if isinstance(item.get(key), str):
                return key, item[key]
    return None


def _is_so(wanted: Any, found: Any) -> bool:
    if wanted is None:
        return found is _ABSENT or found is None
    if found is _ABSENT:
        return False
    if wanted is ...:
        return True
    if isinstance(wanted, type):
        return isinstance(found, wanted)
    return bool(wanted(found)) if callable(wanted) else bool(wanted == found)


def _called(obj: Any) -> str:
    """An object's kind and name."""
    if not isinstance(obj, Mapping) or not isinstance(obj.get("metadata"), Mapping):
        return ""
    name = "/".join(part for part in (namespace_of(obj), str(obj["metadata"].get("name") and name_of(obj))) if part)
    return f"{obj.get('kind', 'object')} {name}"


def _word(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    if value is None or value is ...:
        return "nothing" if value is None else "something"
    if callable(value):
        words = str(getattr(value, "__doc__", None) or getattr(value, "__name__", repr(value)))
        return value.__name__ if isinstance(value, type) else words.strip().splitlines()[0]
    text = repr(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _cut(lines: list[str]) -> list[str]:
    return lines if len(lines) <= MOST_LINES else [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more"]
