"""What templates of stages may call.

Go's own:  and or not eq ne lt le gt ge index len print printf println
KWOK's:    Quote YAML Now StartTime Version NodeConditions; NodeName NodeIP NodePort for nodes; PodIP, NodeIPWith,
           PodIPWith, and their plural forms, for pods
Sprig's:   dict list get hasKey default empty ternary quote add add1 sub mul div mod max min int toString lower upper
           trim trimPrefix trimSuffix replace contains hasPrefix hasSuffix join

Numbers are numbers, whether Go would have them as json.Number or int.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from minik8s.config import VERSION
from minik8s.kubelet.node import HEALTHY
from minik8s.kubelet.stages.values import go_print, printf, quoted
from minik8s.machinery.meta import Obj, copy_document

_ROUTED = ("NetworkUnavailable", "False", "RouteCreated", "RouteController created a route")
_CONDITIONS: Final[list[Obj]] = [
    {"type": type_, "status": status, "reason": reason, "message": message}
    for type_, status, reason, message in (HEALTHY[-1], *HEALTHY[:-1], _ROUTED)
]


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, list):
            value = value[_whole(key)]
        else:
            raise TypeError("index of nothing" if value is None else f"can't index {go_print(value)}")
    return value


def _whole(value: Any) -> int:
    number = int(value or 0)
    if number < 0:
        raise IndexError(f"index out of range: {number}")
    return number


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TypeError("missing argument for comparison")
    return any(first == other and isinstance(first, bool) == isinstance(other, bool) for other in others)


def _dict(*pairs: Any) -> Obj:
    return {go_print(pairs[i]): pairs[i + 1] if i + 1 < len(pairs) else "" for i in range(0, len(pairs), 2)}


def _yaml(value: Any, indent: int = 0) -> str:
    """A block of YAML on lines of its own, `indent` levels of two spaces deep."""
    import yaml

    text: str = yaml.dump(copy_document(value), Dumper=yaml.CSafeDumper, default_flow_style=False, allow_unicode=True)
    return ("\n" + text).replace("\n", "\n" + "  " * indent) if indent > 0 else text


def _join(separator: str, values: Any) -> str:
    return separator.join(map(go_print, values or ()))


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except ValueError:
        return 0


GENERAL: Final[Mapping[str, Callable[..., Any]]] = {
    "not": lambda value: not value,
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": lambda first, second: first < second,
    "le": lambda first, second: first <= second,
    "gt": lambda first, second: first > second,
    "ge": lambda first, second: first >= second,
    "index": _index,
    "len": len,
    "print": lambda *values: "".join(map(go_print, values)),
    "println": lambda *values: " ".join(map(go_print, values)) + "\n",
    "printf": printf,
    "Quote": quoted,
    "YAML": _yaml,
    "Version": lambda: VERSION,
    "NodeConditions": lambda: _CONDITIONS,
    "dict": _dict,
    "list": lambda *values: list(values),
    "get": lambda value, key: (value or {}).get(key, ""),
    "hasKey": lambda value, key: key in (value or {}),
    "default": lambda default, value=None: value or default,
    "empty": lambda value: not value,
    "ternary": lambda yes, no, condition: yes if condition else no,
    "quote": lambda *values: " ".join(quoted(go_print(value)) for value in values if value is not None),
    "add": lambda *values: sum(map(_number, values)),
    "add1": lambda value: _number(value) + 1,
    "sub": lambda first, second: _number(first) - _number(second),
    "mul": lambda first, second: _number(first) * _number(second),
    "div": lambda first, second: _number(first) // _number(second),
    "mod": lambda first, second: _number(first) % _number(second),
    "max": lambda *values: max(map(_number, values)),
    "min": lambda *values: min(map(_number, values)),
    "int": _number,
    "toString": go_print,
    "lower": lambda text: text.lower(),
    "upper": lambda text: text.upper(),
    "trim": lambda text: text.strip(),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix),
    "replace": lambda old, new, text: text.replace(old, new),
    "contains": lambda part, text: part in text,
    "hasPrefix": lambda prefix, text: text.startswith(prefix),
    "hasSuffix": lambda suffix, text: text.endswith(suffix),
    "join": _join,
}
"""Those that need to know nothing of the cluster."""

_EVERYWHERE = ("Now", "StartTime")
NAMES: Final[Mapping[str, Collection[str]]] = {
    "Node": frozenset({*GENERAL, *_EVERYWHERE, "NodeName", "NodeIP", "NodePort"}),
    "Pod": frozenset(
        {*GENERAL, *_EVERYWHERE, "NodeIP", "PodIP", "NodeIPWith", "NodeIPsWith", "PodIPWith", "PodIPsWith"}
    ),
}
"""What templates may call, by the kind that their stage is for."""
