"""The base of all built-in strategies: what follows from the type table, so that a kind only says the rest.

The initial status is what the table says an empty status looks like, and a kind without rules of its own is
checked against the table's required fields and closed strings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, ClassVar, TypeAlias

from minik8s.api.resource import Resource
from minik8s.api.strategy import Strategy
from minik8s.api.validation.structure import validate_structure
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import FieldErrors
from minik8s.machinery.meta import Doc, Obj, copy_document
from minik8s.schema.decode import decode
from minik8s.schema.scalars import DecodeError, microtime, time

Causes: TypeAlias = Iterable[StatusCause]
Selectable: TypeAlias = Mapping[str, Callable[[Doc], str]]


class KindStrategy(Strategy):
    """A strategy of one built-in resource. Subclasses override `default`, `check`, `check_change` and the rest."""

    changes_last: ClassVar[bool] = False
    """Whether what may not change is told after what is wrong with the object; upstream's order differs by kind."""

    def __init__(self, resource: Resource[Any]) -> None:
        self.resource = resource

    def default_status(self, obj: Obj) -> None:
        """Hardly a kind has defaults in its status. The rest of the document may be the stored one."""

    @cached_property
    def _empty_status(self) -> Obj | None:
        field = self.resource.type.fields.get("status")
        if field is None or field.type.kind != "struct" or field.pointer or field.omit_zero:
            return None
        return decode({}, field.type, "").obj

    def initial_status(self, obj: Obj) -> Obj | None:
        """The status of a new object, a fresh document; None for kinds without."""
        return copy_document(self._empty_status) if self._empty_status is not None else None

    def prepare_create(self, obj: Obj) -> None:
        status = self.initial_status(obj)
        if status is not None:
            obj["status"] = status
        elif "status" in self.resource.type.fields:
            obj.pop("status", None)

    def check(self, obj: Doc) -> Causes:
        """What is wrong with the object itself."""
        return validate_structure(obj, self.resource.type)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        """What may not change this way."""
        return ()

    def validate_create(self, obj: Doc) -> FieldErrors:
        return list(self.check(obj))

    def validate_update(self, obj: Doc, old: Doc) -> FieldErrors:
        if self.changes_last:
            return [*self.check(obj), *self.check_change(obj, old)]
        return [*self.check_change(obj, old), *self.check(obj)]


def reads(*path: str, missing: str = "") -> Callable[[Doc], str]:
    """A reader for a field selector: the value at `path` as text, `missing` when there is none."""

    def read(obj: Doc) -> str:
        value: Any = obj
        for key in path:
            value = value.get(key)
            if value is None:
                return missing
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    return read


def short_text(value: str) -> bool:
    """The rule of a hole (`Strategy.holes`) with an upper bound, of 128 bytes at least."""
    return len(value) <= 32


@lru_cache(4096)
def time_text(value: str) -> bool:
    """That of a metav1.Time, if it is written as it will be stored."""
    try:
        return time(value) == value
    except DecodeError:
        return False


def microtime_text(value: str) -> bool:
    """That of a metav1.MicroTime, if it is written as it will be stored."""
    try:
        return microtime(value) == value
    except DecodeError:
        return False


def set_default(obj: Obj, key: str, value: Any) -> None:
    """Sets a field that is absent or empty; for fields where a client's zero value means "not given"."""
    if not obj.get(key):
        obj[key] = value
