"""The syntax tree: few kinds of nodes, macros as nodes of their own.

Upstream expands `all`, `map` and the others into one general fold; keeping them apart makes evaluation several times
cheaper and the meaning visible. `pos` is the offset that messages point to; `type` is filled in by the checker.
"""

from __future__ import annotations

from typing import Any

import attrs

from .types import DYN, CelType


@attrs.define(eq=False)
class Node:
    """Any expression."""

    pos: int
    type: CelType = attrs.field(default=DYN, kw_only=True)


@attrs.define(eq=False)
class Const(Node):
    """A literal."""

    value: Any


@attrs.define(eq=False)
class Ident(Node):
    """A name: a declared variable, a macro's variable or a type."""

    name: str


@attrs.define(eq=False)
class Select(Node):
    """`operand.field`, `operand.?field`, and `has(operand.field)` with `test`; `key` is its name in the document."""

    operand: Node
    field: str
    optional: bool = False
    test: bool = False
    key: str = ""
    variable: str = ""
    """The variable of a dotted name that this is, such as `authorizer.requestResource`."""


@attrs.define(eq=False)
class Call(Node):
    """A function or operator; `overloads` are those that the static types leave possible."""

    name: str
    target: Node | None
    args: list[Node]
    overloads: list[Any] = attrs.field(factory=list)

    @property
    def operands(self) -> list[Node]:
        """Target, if any, and arguments."""
        return self.args if self.target is None else [self.target, *self.args]


@attrs.define(eq=False)
class ListNode(Node):
    """`[a, ?b]`; `optional` holds the indices of the elements with a question mark."""

    items: list[Node]
    optional: frozenset[int] = frozenset()


@attrs.define(eq=False)
class MapNode(Node):
    """`{k: v, ?k: v}` as (key, value, optional)."""

    entries: list[tuple[Node, Node, bool]]


@attrs.define(eq=False)
class Struct(Node):
    """`Object.spec{field: value}` as (position, name, value, optional)."""

    name: str
    fields: list[tuple[int, str, Node, bool]]


@attrs.define(eq=False)
class Fold(Node):
    """A macro over a list, map or optional: `variables` are bound in `steps` (condition and/or transformation)."""

    macro: str
    over: Node
    variables: tuple[str, ...]
    steps: list[Node]


def dotted_name(node: Node) -> str:
    """`a.b.C` of a chain of plain selections; "" for any other expression."""
    if isinstance(node, Ident):
        return node.name
    if isinstance(node, Select) and not node.optional and not node.test and (head := dotted_name(node.operand)):
        return f"{head}.{node.field}"
    return ""


def children(node: Node) -> list[Node]:
    """The direct parts of a node."""
    match node:
        case Select():
            return [node.operand]
        case Call():
            return node.operands
        case ListNode():
            return node.items
        case MapNode():
            return [part for key, value, _ in node.entries for part in (key, value)]
        case Struct():
            return [value for _, _, value, _ in node.fields]
        case Fold():
            return [node.over, *node.steps]
    return []


def weight(node: Node) -> int:
    """How many steps one evaluation takes, loops not counted: upstream's cost of an expression without its loops."""
    return 1 + sum(map(weight, children(node)))
