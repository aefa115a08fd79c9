"""Documents seen through their type: which parts merge, what identifies a list's elements, which fields a document has.

The common ground of ownership tracking (`compare`) and server-side apply (`merge`); upstream: structured-merge-diff
`typed`, and for what merges how the list and map types that OpenAPI declares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Any, Final

import orjson

from minik8s.machinery.fieldset import SELF
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.patch.shape import Shape, ShapeField


class Relation(Enum):
    """How the parts of a value relate to it, which decides how finely it is owned and merged."""

    LEAF = "leaf"  # one value: scalars, and whatever is atomic
    STRUCT = "struct"  # declared fields
    MAP = "map"  # free keys
    SET = "set"  # a list of distinct scalars
    KEYED = "keyed"  # a list of objects that are told apart by keys
    UNTYPED = "untyped"  # arbitrary JSON: objects are maps, everything else is one value


class Absent(Enum):
    """Marks the side of a comparison on which a value does not exist; null is a value."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT

_LIST_TYPE, _LIST_KEYS = "x-kubernetes-list-type", "x-kubernetes-list-map-keys"
_BY_LIST_TYPE = {"set": Relation.SET, "map": Relation.KEYED}


_LEAF: Final[Obj] = {}
"""The node of every leaf; sets are never changed in place."""
REMEMBERED = 512
"""How many layouts or sets are kept at one place of a type; where there are more they are hardly alike."""


class SharedSets(dict[tuple[Any, ...], Obj]):
    """Sets of fields that have been met, so that ten thousand objects made from one template share one.

    A set is known by its path elements and by which sets lie below them. Those are alive while it is, so that their
    ids cannot come to mean others.
    """

    __slots__ = ()

    def share(self, fields: Obj) -> Obj:
        """The set itself, or the one that is known to be the same."""
        key = (*fields, *map(id, fields.values()))
        found = self.get(key)
        if found is None:
            if len(self) >= REMEMBERED:
                self.clear()
            found = self[key] = fields
        return found


class Node:
    """A place in a type: the relation there, and what is needed to go on below. Made once for each field."""

    __slots__ = ("child", "is_leaf", "is_list", "is_map", "keys", "layouts", "relation", "shape", "shared", "zero")

    def __init__(self, shape: Shape, field: ShapeField | None) -> None:
        self.shape = shape
        self.relation = _relation(shape, field)
        self.is_leaf = self.relation is Relation.LEAF  # asked for every field of every write, hence not a property
        self.is_map = self.relation in (Relation.STRUCT, Relation.MAP)
        self.is_list = self.relation in (Relation.SET, Relation.KEYED)
        self.zero = _zero(field)
        """What the field holds in an object that exists but does not show it, ABSENT when nothing."""
        self.keys: tuple[tuple[str, Any], ...] = ()
        """The keys of a KEYED list, each with its default."""
        if self.relation is Relation.KEYED and shape.item is not None:
            fields = shape.item.fields
            names = field.list_keys if field is not None else (shape.schema or {}).get(_LIST_KEYS, ())
            self.keys = tuple((key, fields[key].default if key in fields else None) for key in names)
        self.child: Callable[[str], Node | None] = _Members(self).__getitem__
        """The node of a member; None when a struct has no such field and keeps no unknown ones."""
        self.layouts: dict[tuple[str, ...], _Layout] = {}
        self.shared = SharedSets()

    def layout(self, names: tuple[str, ...]) -> _Layout:
        """What is the same for all values that have these members."""
        found = self.layouts.get(names)
        if found is None:
            if len(self.layouts) >= REMEMBERED:  # free keys: nobody says how many there are
                self.layouts.clear()
            found = self.layouts[names] = _Layout(self, names)
        return found

    @property
    def item_node(self) -> Node:
        """The node of a list's element or a map's value."""
        return UNTYPED if self.shape.item is None else shape_node(self.shape.item)

    def element(self, item: Any) -> str:
        """The path element of a list's element; raises ValueError when it has no identity."""
        if self.relation is Relation.SET:
            if isinstance(item, Mapping):
                raise ValueError("associative list without keys has an element that's a map type")
            if isinstance(item, list):
                raise ValueError("not supported: associative list with lists as elements")
            if item is None:
                raise ValueError("associative list without keys has an element that's an explicit null")
            return "v:" + orjson.dumps(item).decode()
        if not isinstance(item, Mapping):
            noun = "a null element" if item is None else "non-map elements"
            raise ValueError(f"associative list with keys may not have {noun}")
        keys = {}
        for key, default in self.keys:
            value = item.get(key, default)
            if value is not None:
                keys[key] = value
        if not keys:
            names = " ".join(f'"{key}"' for key, _ in self.keys)
            raise ValueError(
                f"associative list with keys has an element that omits all key fields [{names}] "
                "(and doesn't have default values for any key fields)"
            )
        return "k:" + orjson.dumps(keys, option=orjson.OPT_SORT_KEYS).decode()

    def elements(self, items: Iterable[Any]) -> dict[str, list[Any]]:
        """A list's elements by path element; more than one only where a list breaks its own rule."""
        result: dict[str, list[Any]] = {}
        for item in items:
            result.setdefault(self.element(item), []).append(item)
        return result


class _Layout:
    """What values with the same members have in common: their fields, and which members have to be looked at."""

    __slots__ = ("careful", "fields", "inner", "plain")

    def __init__(self, node: Node, names: tuple[str, ...]) -> None:
        children = [("f:" + name, name, node.child(name) or UNTYPED) for name in names]
        self.inner = [member for member in children if not member[2].is_leaf]
        """Those that have fields of their own."""
        self.fields: Obj = {SELF: _LEAF} | {key: _LEAF for key, _, _ in children}
        self.careful = [member for member in children if not member[2].is_leaf or member[2].zero is not ABSENT]
        """Those that may be nothing new in a new object."""
        self.plain: Obj = {member[0]: _LEAF for member in children if member not in self.careful}


class _Members(dict[str, Node | None]):
    """A node's members by name. Fields are kept from their first use; keys of maps are not, for they are free."""

    __slots__ = ("_parent",)

    def __init__(self, parent: Node) -> None:
        self._parent = parent

    def __missing__(self, name: str) -> Node | None:
        parent = self._parent
        if parent.relation is not Relation.STRUCT:
            return parent.item_node
        field = parent.shape.fields.get(name)
        if field is None:
            return UNTYPED if is_open(parent.shape) else None
        found = self[name] = field_node(field)
        return found


def is_open(shape: Shape) -> bool:
    """Whether a struct may have fields that its type does not declare: an object of which a schema says nothing, or
    whose unknown fields it preserves."""
    return shape.preserves or not shape.fields


@lru_cache(maxsize=16384)
def field_node(field: ShapeField) -> Node:
    """The node of a struct's field."""
    return Node(field.type, field)


@lru_cache(maxsize=4096)
def shape_node(shape: Shape) -> Node:
    """The node of a type that no field refers to: a whole object, a list's element, a map's value."""
    return Node(shape, None)


def _relation(shape: Shape, field: ShapeField | None) -> Relation:
    match shape.kind:
        case "struct":
            return Relation.LEAF if shape.atomic or (field is not None and field.atomic_map) else Relation.STRUCT
        case "map":
            return Relation.LEAF if shape.atomic or (field is not None and field.atomic_map) else Relation.MAP
        case "list":  # a list that is no field (an element, a map's value) is only described by a schema
            list_type = field.list_type if field is not None else (shape.schema or {}).get(_LIST_TYPE, "")
            return _BY_LIST_TYPE.get(list_type, Relation.LEAF)
        case "any" | "object":
            return Relation.UNTYPED
    return Relation.LEAF


_ZEROS: dict[str, Any] = {"string": "", "bool": False, "int32": 0, "int64": 0, "double": 0}


def _zero(field: ShapeField | None) -> Any:
    """Go writes a struct without pointer, and a field without omitempty, even when it is empty."""
    if field is None or field.omit_zero:
        return ABSENT
    if field.type.kind == "struct" and not field.pointer:
        return {}
    if not field.always:
        return ABSENT
    return None if field.pointer else _ZEROS.get(field.type.kind)


class _Untyped:
    """The type of arbitrary JSON: it has no fields, and its members are of the same type."""

    kind, name, item, atomic, preserves, schema = "any", "any", None, False, True, None
    fields: Mapping[str, ShapeField] = {}


UNTYPED: Final = Node(_Untyped(), None)


# comparing two documents

Parts = tuple[Obj | None, Obj | None]
"""The nodes of the changed (or added) and of the removed fields, None where there are none."""


def compare(old: Any, new: Any, node: Node) -> Parts:
    """The fields that differ between two values: those that `new` adds or changes, and those that only `old` has."""
    if old is ABSENT:
        return None if new is ABSENT else whole(new, node), None
    if new is ABSENT:
        return None, whole(old, node)
    if node.is_map or (node.relation is Relation.UNTYPED and isinstance(old, dict) and isinstance(new, dict)):
        return _compare_maps(old, new, node)
    if node.is_list:
        return _compare_lists(old, new, node)
    if node.relation is Relation.UNTYPED and (isinstance(old, dict) or isinstance(new, dict)):
        gone = {key: below for key, below in whole(old, node).items() if key != SELF}  # it was a map or becomes one
        return whole(new, node), gone or None
    return (None if old == new else _LEAF), None


def whole(value: Any, node: Node) -> Obj:
    """All fields of a value, itself and everything in it that has fields of its own included."""
    if node.is_leaf or not value:
        return _LEAF
    if isinstance(value, dict) and not node.is_list:
        layout = node.layout(tuple(value))
        if not layout.inner:
            return layout.fields
        return node.shared.share(layout.fields | {key: whole(value[name], child) for key, name, child in layout.inner})
    if isinstance(value, list) and node.is_list:
        item = node.item_node
        elements = node.elements(value)
        below = {k: whole(v[0], item) if len(v) == 1 else _LEAF for k, v in elements.items()}
        return node.shared.share({SELF: _LEAF} | below)
    return _LEAF


def _compare_maps(old: Any, new: Any, node: Node) -> Parts:
    before: Doc = old if isinstance(old, dict) else {}
    after: Doc = new if isinstance(new, dict) else {}
    if not before and not after:
        return (None if old == new else _LEAF), None
    if not before:
        return added(after, node), None
    changed: Obj = {}
    removed: Obj = {}
    for key, now in after.items():
        was = before.get(key, ABSENT)
        if was is now:
            continue
        child = node.child(key) or UNTYPED
        if was is ABSENT:
            was = child.zero
        if was == now:
            continue
        if child.is_leaf:
            changed["f:" + key] = _LEAF
        else:
            _place(changed, removed, "f:" + key, compare(was, now, child))
    for key, was in before.items():
        if key not in after:
            child = node.child(key) or UNTYPED
            if was != child.zero:
                _place(changed, removed, "f:" + key, compare(was, child.zero, child))
    share = node.shared.share
    return share(changed) if changed else None, share(removed) if removed else None


def added(new: Doc, node: Node) -> Obj | None:
    """The fields of a map that was empty before, None if there are none.

    Zeros and structs are nothing new: they were there without showing.
    """
    layout = node.layout(tuple(new))
    if not layout.careful:
        return layout.plain
    fields = dict(layout.plain)
    for key, name, child in layout.careful:
        now = new[name]
        if now != child.zero:
            part = _LEAF if child.is_leaf else compare(child.zero, now, child)[0]
            if part is not None:
                fields[key] = part
    return node.shared.share(fields) if fields else None


def _place(changed: Obj, removed: Obj, key: str, parts: Parts) -> None:
    if parts[0] is not None:
        changed[key] = parts[0]
    if parts[1] is not None:
        removed[key] = parts[1]


def _compare_lists(old: Any, new: Any, node: Node) -> Parts:
    before = node.elements(old) if isinstance(old, list) else {}
    after = node.elements(new) if isinstance(new, list) else {}
    if not before and not after:
        return (None if old == new else _LEAF), None
    changed: Obj = {}
    removed: Obj = {}
    item = node.item_node
    for key in [*after, *(key for key in before if key not in after)]:
        was, now = before.get(key, [ABSENT]), after.get(key, [ABSENT])
        if was == now:
            continue
        if len(was) == len(now) == 1:
            _place(changed, removed, key, compare(was[0], now[0], item))
        else:
            changed[key] = _LEAF
    share = node.shared.share
    return share(changed) if changed else None, share(removed) if removed else None
