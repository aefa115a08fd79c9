"""What calls of functions are estimated to cost, and how large their results can be. Pure.

Strings cost a tenth of their length to walk over, regular expressions a quarter of theirs for each step; what is not
named here costs one. Upstream: cel-go `checker/cost.go` (functionCost), `ext/sets.go`, and k8s.io/apiserver
`pkg/cel/library/cost.go` (EstimateCallCost).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from .declare import Overload
from .ranges import MOST, NOTHING, ONE, UNKNOWN, Range, exactly
from .types import CelType

STRING, REGEX = 0.1, 0.25
"""What a character costs to walk over, and to be searched with."""
CHECK: Final = 350_000
_NAME_FORMAT = 128
"""Characters of the longest regular expression of a named format."""
_FORMAT = 64
_IP: Final = Range(4, 16)
"""Bytes of an address."""
_REQUIREMENT: Final = 50.0
"""What a requirement of a selector costs to make; there is one for every two characters."""


@attrs.frozen
class Argument:
    """A function's target or argument: its type, its size if that is known, its value if it is a literal."""

    type: CelType
    size: Range | None
    value: Any = None
    item: Range = UNKNOWN
    """The size of its items, if it is a list."""

    @property
    def sized(self) -> Range:
        return self.size if self.size is not None else UNKNOWN

    @property
    def walk(self) -> Range:
        return self.sized.scaled(STRING)


@attrs.frozen
class Costed:
    """What a call costs beside its arguments, and the size of what it yields."""

    cost: Range
    size: Range | None = None


Method = Callable[[Argument, Sequence[Argument]], Costed]
_CHEAP: Final = Costed(ONE)


def call_cost(name: str, overload: Overload, target: Argument | None, args: Sequence[Argument]) -> Costed:
    """The estimate for one form of a function."""
    if name in ("_==_", "_!=_"):
        return _equality(name, args)
    if name in _COMPARISONS:
        texts = overload.params[0].kind in ("string", "bytes")
        return _compared(args) if texts else _CHEAP
    if name == "_+_":
        return _added(overload, args)
    if target is not None:
        method = METHODS.get(name)
        return method(target, args) if method is not None else _CHEAP
    function = _FUNCTIONS.get(name)
    return function(overload, args) if function is not None else _CHEAP


_COMPARISONS = ("_<_", "_<=_", "_>_", "_>=_")


def _compared(args: Sequence[Argument]) -> Costed:
    """The shorter one decides."""
    most = min(args[0].sized.most, args[1].sized.most)
    return Costed(Range(1 if most > 0 else 0, most).scaled(STRING))


def _equality(name: str, args: Sequence[Argument]) -> Costed:
    type_ = args[0].type
    if name == "_==_" and type_.kind == "opaque" and type_ == args[1].type:
        short = type_.name.rpartition(".")[2]
        if short == "NamedFormat":
            return Costed(Range(1, _FORMAT).scaled(STRING))
        if short == "URL":
            most = args[1].size.most if args[1].size is not None else 1
            return Costed(Range(1, most).scaled(STRING))
        return _CHEAP
    return _compared(args)


def _added(overload: Overload, args: Sequence[Argument]) -> Costed:
    kind = overload.params[0].kind
    if kind not in ("string", "bytes", "list"):
        return _CHEAP
    size = args[0].sized + args[1].sized
    return Costed(ONE if kind == "list" else size.scaled(STRING), size)


# methods


def _walked(target: Argument, args: Sequence[Argument]) -> Costed:
    """Lower case, a part, without spaces: no longer than before."""
    return Costed(target.walk, target.sized)


def _contains(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed(target.walk.times(args[0].walk))


def _affix(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed(args[0].walk)


def _searched(target: Argument, args: Sequence[Argument]) -> Costed:
    """An empty string has to be looked at, too."""
    pattern = args[0].sized.scaled(REGEX)
    return Costed((target.sized + ONE).scaled(STRING).times(pattern))


def _found(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed(_searched(target, args).cost, Range(0, target.sized.most))


def _over_items(target: Argument, args: Sequence[Argument]) -> Costed:
    """Comparing each item of a list; `indexOf` and `lastIndexOf` are strings' methods, too."""
    if target.type.kind != "list":
        return Costed(target.walk)
    each = ONE
    if target.type.params[0].kind in ("string", "bytes"):
        each += target.item.scaled(STRING)
    return Costed(target.sized.times(each))


def _joined(target: Argument, args: Sequence[Argument]) -> Costed:
    size = target.sized.times(target.item)
    if args:
        between = Range(max(target.sized.least - 1, 0), max(target.sized.most - 1, 0))
        size += args[0].sized.times(between)
    return Costed(size.scaled(STRING), size)


def _split(target: Argument, args: Sequence[Argument]) -> Costed:
    """As many parts as there are characters, or as are asked for."""
    most = target.sized.most
    if len(args) > 1 and isinstance(args[1].value, int):
        most = args[1].value % (MOST + 1)
    return Costed(target.sized.scaled(2 * STRING), Range(0, most))


def _replaced(target: Argument, args: Sequence[Argument]) -> Costed:
    size, old, new = target.sized, args[0].sized, args[1].sized
    longest = _after_replacing(size.most, old.least, new.most, grows=new.most > old.least)
    shortest = _after_replacing(size.least, old.most, new.least, grows=old.most > new.least)
    return Costed(size.scaled(2 * STRING), Range(shortest, longest))


def _after_replacing(size: int, old: int, new: int, *, grows: bool) -> int:
    """A string's length when all of it has been replaced that could be; nothing stands between all characters."""
    if old == 0:
        return min(min(size + 1, MOST) * new + size, MOST)
    if not grows:
        return size
    return min(math.ceil(float(size) / float(old)) * new, MOST)


def _contains_ip(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed((_IP + _IP).scaled(STRING) + _parsed(args[0]))


def _contains_cidr(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed((_IP + _IP).scaled(STRING) + _IP.scaled(STRING) + ONE + _parsed(args[0]))


def _parsed(argument: Argument) -> Range:
    """What a string costs that stands for an address."""
    return argument.walk if argument.type.kind == "string" else NOTHING


def _validated(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed(args[0].walk.scaled(_NAME_FORMAT * REGEX))


def _selector(target: Argument, args: Sequence[Argument]) -> Costed:
    count = args[0].sized.scaled(0.5)
    return Costed(exactly(10) + args[0].walk + count.scaled(_REQUIREMENT))


def _formatted(target: Argument, args: Sequence[Argument]) -> Costed:
    """Nobody knows how long the result is."""
    return Costed(target.walk)


def _checked(target: Argument, args: Sequence[Argument]) -> Costed:
    return Costed(exactly(CHECK))


METHODS: dict[str, Method] = {
    **dict.fromkeys(("lowerAscii", "upperAscii", "substring", "trim"), _walked),
    **dict.fromkeys(("startsWith", "endsWith"), _affix),
    **dict.fromkeys(("find", "findAll"), _found),
    **dict.fromkeys(("isSorted", "sum", "max", "min", "indexOf", "lastIndexOf"), _over_items),
    **dict.fromkeys(("fieldSelector", "labelSelector"), _selector),
    "contains": _contains,
    "matches": _searched,
    "replace": _replaced,
    "split": _split,
    "join": _joined,
    "format": _formatted,
    "containsIP": _contains_ip,
    "containsCIDR": _contains_cidr,
    "validate": _validated,
    "check": _checked,
}


# functions


def _in(overload: Overload, args: Sequence[Argument]) -> Costed:
    return Costed(args[1].sized) if overload.params[1].kind == "list" else _CHEAP


def _parse(overload: Overload, args: Sequence[Argument]) -> Costed:
    return Costed(args[0].walk, args[0].sized)


def _read(overload: Overload, args: Sequence[Argument]) -> Costed:
    """Parsed to something that has no size."""
    return Costed(args[0].walk) if overload.params[0].kind == "string" else _CHEAP


def _canonical(overload: Overload, args: Sequence[Argument]) -> Costed:
    """Parsed, and then compared with what it would be written as."""
    return Costed(args[0].sized.scaled(2 * STRING))


def _to_bytes(overload: Overload, args: Sequence[Argument]) -> Costed:
    if overload.params[0].kind != "string":
        return _CHEAP
    size = args[0].sized
    return Costed(args[0].walk, Range(size.least, (size.most * 4) % (MOST + 1)))  # Go's overflow, not ours


def _to_string(overload: Overload, args: Sequence[Argument]) -> Costed:
    if overload.params[0].kind != "bytes":
        return _CHEAP
    return Costed(args[0].walk, Range(args[0].sized.least // 4, args[0].sized.most))


def _quoted(overload: Overload, args: Sequence[Argument]) -> Costed:
    size = args[0].sized
    most = (size.most * 2 + 2) % (MOST + 1)
    return Costed(args[0].walk, Range(size.least + 2, most))


def _sets(factor: int) -> Callable[[Overload, Sequence[Argument]], Costed]:
    def cost(overload: Overload, args: Sequence[Argument]) -> Costed:
        return Costed(args[0].sized.times(args[1].sized).scaled(factor) + ONE)

    return cost


_FUNCTIONS: dict[str, Callable[[Overload, Sequence[Argument]], Costed]] = {
    "@in": _in,
    **dict.fromkeys(("quantity", "isQuantity", "semver", "isSemver", "ip", "isIP", "cidr", "isCIDR"), _read),
    "url": _parse,
    "ip.isCanonical": _canonical,
    "jsonpatch.escapeKey": _parse,
    "bytes": _to_bytes,
    "string": _to_string,
    "strings.quote": _quoted,
    "sets.contains": _sets(1),
    "sets.intersects": _sets(1),
    "sets.equivalent": _sets(2),
}
