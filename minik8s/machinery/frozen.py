"""Documents that refuse to be changed.

Stored documents are shared by every reader, so whoever mutates one corrupts what others see. In tests the
store hands out frozen documents, and such a mutation is an error where it happens. They are dicts and lists in
every other way: `dict(frozen)`, `{**frozen}` and `copy_document` give plain ones.
"""

from __future__ import annotations

from typing import Any, NoReturn


def _refuse(self: object, *args: object, **kwargs: object) -> NoReturn:
    raise TypeError("a stored document must not be changed; make a changed copy (minik8s.machinery.meta.evolve)")


class FrozenDict(dict[str, Any]):
    """A dict whose mutators raise TypeError."""

    __slots__ = ()
    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        return dict, (dict(self),)


class FrozenList(list[Any]):
    """A list whose mutators raise TypeError."""

    __slots__ = ()
    __setitem__ = __delitem__ = append = clear = extend = insert = pop = remove = reverse = sort = _refuse
    __iadd__ = __imul__ = _refuse

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        return list, (list(self),)


def freeze(value: Any) -> Any:
    """The value with every dict and list inside it frozen; what is frozen already is kept as it is."""
    if isinstance(value, dict):  # strings are most of what there is, and spared a call
        if isinstance(value, FrozenDict):
            return value
        return FrozenDict({k: v if isinstance(v, str) else freeze(v) for k, v in value.items()})
    if isinstance(value, list):
        if isinstance(value, FrozenList):
            return value
        return FrozenList([v if isinstance(v, str) else freeze(v) for v in value])
    return value
