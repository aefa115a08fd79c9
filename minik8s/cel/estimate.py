"""What an expression can cost at most, before it is ever evaluated: by the sizes that its schema allows. Pure.

Upstream expands macros first and then walks one kind of loop; here each macro's loop is put together from the same
parts. Everything else is upstream's, to the number: definitions that a real server accepts must be accepted here, and
others refused. That includes what it takes for granted: where a value comes from is told by a path that begins with its
variable, and what has none may be of any size, or of its type's. Upstream: cel-go `checker/cost.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import attrs

from .callcosts import Argument, Costed, call_cost
from .ranges import EMPTY, NOTHING, ONE, UNKNOWN, Range, exactly
from .sizes import Sized
from .syntax import Call, Const, Fold, Ident, ListNode, MapNode, Node, Select, Struct
from .types import DYN, CelType, substitute

LIST, MAP, STRUCT = exactly(10), exactly(30), exactly(40)
"""What making one costs."""
_SCALARS = frozenset({"bool", "double", "duration", "int", "timestamp", "uint"})
_FOLDS_TO_LIST = ("map", "filter", "transformList")


@attrs.frozen
class Entries:
    """The sizes of what is in a list or map."""

    kind: str
    key: Range
    value: Range

    def union(self, other: Entries | None) -> Entries | None:
        if other is None:
            return None
        return Entries(self.kind, self.key.union(other.key), self.value.union(other.value))


@attrs.frozen
class Found:
    """What is known of one expression: its cost, where its value comes from, how large that is and what is in it."""

    cost: Range
    path: tuple[str, ...] = ()
    size: Range | None = None
    entries: Entries | None = None

    @property
    def sized(self) -> Range:
        return self.size if self.size is not None else UNKNOWN


@attrs.frozen
class Local:
    """A macro's variable."""

    path: tuple[str, ...]
    size: Range | None = None
    entries: Entries | None = None


def estimate(root: Node, bound: Mapping[str, CelType], self: Sized | None) -> int:
    """The cost of a checked expression; `bound` are its type variables, `self` is what `self` and `oldSelf` are.

    Without `self` nothing is known of any variable's size.
    """
    return _Estimator(bound, self).visit(root).cost.most


class _Estimator:
    def __init__(self, bound: Mapping[str, CelType], root: Sized | None) -> None:
        self._bound, self._root = bound, root
        self._locals: dict[str, list[Local]] = {}
        self._visitors: dict[type, Callable[..., Found]] = {
            Const: self._const, Ident: self._ident, Select: self._select, Call: self._call, ListNode: self._list,
            MapNode: self._map, Struct: self._struct, Fold: self._fold,
        }  # fmt: skip

    def visit(self, node: Node) -> Found:
        return self._visitors[type(node)](node)

    def _type(self, node: Node) -> CelType:
        return substitute(node.type, self._bound, free=DYN)

    def _size_at(self, path: tuple[str, ...]) -> Range | None:
        """The size of what a path leads to; its first step is a variable, whichever."""
        if not path or self._root is None or (node := self._root.at(path[1:])) is None:
            return None
        return Range(0, node.elements)

    def _size(self, node: Node, path: tuple[str, ...]) -> Range | None:
        found = self._size_at(path)
        return found if found is not None else ONE if _is_scalar(self._type(node)) else None

    def _const(self, node: Const) -> Found:
        return Found(NOTHING, (), exactly(len(node.value) if isinstance(node.value, str | bytes) else 1))

    def _ident(self, node: Ident) -> Found:
        if stack := self._locals.get(node.name):
            local = stack[-1]
            size = self._size(node, local.path)
            return Found(ONE, local.path, size if size is not None else local.size, local.entries)
        path = (node.name,)
        return Found(ONE, path, self._size(node, path))

    def _select(self, node: Select) -> Found:
        if node.variable:
            return Found(ONE, (node.variable,), self._size(node, (node.variable,)))
        operand = self.visit(node.operand)
        if node.test:
            return Found(operand.cost, (), ONE)
        if node.optional:
            return Found(operand.cost + ONE, (), self._size(node, ()))
        path = (*operand.path, node.field)
        costs = self._type(node.operand).kind in ("map", "object")
        return Found(operand.cost + (ONE if costs else NOTHING), path, self._size(node, path))

    def _list(self, node: ListNode) -> Found:
        items = [self.visit(item) for item in node.items]
        value = _union(item.sized for item in items) if items else NOTHING
        return Found(_sum(items) + LIST, (), exactly(len(items)), Entries("list", ONE, value))

    def _map(self, node: MapNode) -> Found:
        keys = [self.visit(key) for key, _, _ in node.entries]
        values = [self.visit(value) for _, value, _ in node.entries]
        sizes = [_union(part.sized for part in parts) if parts else NOTHING for parts in (keys, values)]
        return Found(_sum(keys) + _sum(values) + MAP, (), exactly(len(keys)), Entries("map", *sizes))

    def _struct(self, node: Struct) -> Found:
        return Found(_sum([self.visit(value) for _, _, value, _ in node.fields]) + STRUCT)

    # calls

    def _call(self, node: Call) -> Found:
        if node.name == "dyn":
            inner = self.visit(node.args[0])
            return attrs.evolve(inner, cost=inner.cost + ONE, path=())
        args = [self.visit(arg) for arg in node.args]
        target = self.visit(node.target) if node.target is not None else None
        if node.name in ("_&&_", "_||_"):
            return Found(_either(*args), (), ONE)
        if node.name == "_?_:_":
            return _conditional(*args)
        return self._function(node, target, args)

    def _function(self, node: Call, target: Found | None, args: list[Found]) -> Found:
        given = [self._argument(child, found) for child, found in zip(node.args, args, strict=True)]
        own = self._argument(node.target, target) if node.target is not None and target is not None else None
        costs, size, entries = EMPTY, None, None
        path: tuple[str, ...] = ()
        for overload in node.overloads:
            costed: Costed = call_cost(node.name, overload, own, given)
            costs = costs.union(costed.cost + _sum(args))
            if costed.size is not None:
                size = costed.size if size is None else size.union(costed.size)
            if node.name == "_[_]" and overload.params[0].kind in ("list", "map"):
                size = args[0].entries.value if args[0].entries is not None else None
                path = (*args[0].path, "@items" if overload.params[0].kind == "list" else "@values")
            if node.name == "_+_" and overload.params[0].kind == "list" and args[0].entries is not None:
                entries = args[0].entries.union(args[1].entries)
            if size is None:
                size = self._size(node, path)
        return Found(costs + (target.cost if target is not None else NOTHING), path, size, entries)

    def _argument(self, node: Node, found: Found) -> Argument:
        value = node.value if isinstance(node, Const) else None
        return Argument(self._type(node), found.size, value, self._item_size(node, found))

    def _item_size(self, node: Node, found: Found) -> Range:
        """The size of the items of a list, by its path alone, as library functions see it."""
        size = self._size_at((*found.path, "@items")) if found.path else None
        return size if size is not None else UNKNOWN

    # macros

    def _fold(self, node: Fold) -> Found:
        if node.macro.startswith("opt"):
            return self._optional_map(node)
        if node.macro == "bind":
            return self._bind(node)
        over = self.visit(node.over)
        variables = self._variables(node, over)
        for name, local in zip(node.variables, variables, strict=True):
            self._locals.setdefault(name, []).append(local)
        steps = [self.visit(step) for step in node.steps]
        for name in node.variables:
            self._locals[name].pop()
        count = over.sized
        if node.macro in ("all", "exists", "exists_one"):
            turn, end = _quantified(node.macro, steps[0])
            return Found(over.cost + end + count.times(turn), (), ONE)
        turn, entries = self._collected(node, steps, variables[0])
        start = LIST if node.macro in _FOLDS_TO_LIST else MAP
        return Found(over.cost + start + ONE + count.times(turn), (), count, entries)

    def _variables(self, node: Fold, over: Found) -> list[Local]:
        kind = over.entries.kind if over.entries is not None else self._type(node.over).kind
        key, value = ("@indices", "@items") if kind == "list" else ("@keys", "@values")
        sizes = (over.entries.key, over.entries.value) if over.entries is not None else (None, None)
        both = [Local((*over.path, key), sizes[0]), Local((*over.path, value), sizes[1])]
        if len(node.variables) == 2:
            return both
        return both[1:] if kind == "list" else both[:1]

    def _collected(self, node: Fold, steps: list[Found], variable: Local) -> tuple[Range, Entries | None]:
        """What a turn costs of a macro that makes a list or map, and what is in that."""
        made, entries = steps[-1], None
        if node.macro == "filter":
            made = Found(ONE, variable.path, self._size_at(variable.path) or variable.size)
        if node.macro in _FOLDS_TO_LIST:
            step = ONE + ONE + LIST + made.cost  # the accumulator, and what is added to it: a list of one
            entries = Entries("list", ONE, NOTHING.union(made.sized))
        elif node.macro == "transformMap":
            step = ONE + ONE + ONE + made.cost  # insertion into the accumulator under the key
        else:
            step = ONE + ONE + made.cost
        if len(steps) == 2 or node.macro == "filter":
            step = steps[0].cost + ONE.union(step)
        return step, entries

    def _bind(self, node: Fold) -> Found:
        value = self.visit(node.over)
        result = self._within(node.variables[0], Local(value.path, value.size, value.entries), node.steps[0])
        return attrs.evolve(result, cost=LIST + value.cost + result.cost, path=())

    def _optional_map(self, node: Fold) -> Found:
        """`target.hasValue() ? optional.of(bind(target.value(), step)) : optional.none()`, the target twice."""
        target = self.visit(node.over)
        inner = self._within(node.variables[0], Local((), self._scalar(node.over)), node.steps[0])
        asked, taken = target.cost + ONE, target.cost + ONE
        bound = LIST + taken + inner.cost
        mapped = bound + ONE if node.macro == "optMap" else bound
        return Found(asked + mapped.union(ONE))

    def _scalar(self, node: Node) -> Range | None:
        type_ = self._type(node)
        return ONE if type_.kind == "optional" and _is_scalar(type_.params[0]) else None

    def _within(self, name: str, local: Local, step: Node) -> Found:
        self._locals.setdefault(name, []).append(local)
        found = self.visit(step)
        self._locals[name].pop()
        return found


def _is_scalar(type_: CelType) -> bool:
    if type_.kind == "optional":
        return _is_scalar(type_.params[0])
    return type_.kind in _SCALARS


def _sum(parts: Iterable[Found]) -> Range:
    total = NOTHING
    for part in parts:
        total += part.cost
    return total


def _union(sizes: Iterable[Range]) -> Range:
    total = EMPTY
    for size in sizes:
        total = total.union(size)
    return total


def _either(*operands: Found) -> Range:
    """`&&` and `||` may be decided by their first operand."""
    return Range(operands[0].cost.least, _sum(operands).most)


def _conditional(condition: Found, yes: Found, no: Found) -> Found:
    entries = yes.entries.union(no.entries) if yes.entries is not None else None
    return Found(condition.cost + yes.cost.union(no.cost), (), yes.sized.union(no.sized), entries)


def _quantified(macro: str, step: Found) -> tuple[Range, Range]:
    """What a turn and the end cost of a loop that yields true or false."""
    if macro == "all":  # not_strictly_false(accumulated); accumulated && step
        return ONE + ONE + _either(Found(ONE), step), ONE
    if macro == "exists":  # not_strictly_false(!accumulated); accumulated || step
        return ONE + ONE + ONE + _either(Found(ONE), step), ONE
    counted = ONE + ONE  # step ? accumulated + 1 : accumulated; at the end accumulated == 1
    return step.cost + counted.union(ONE), ONE + ONE
