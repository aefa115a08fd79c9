"""`compile_expression` and `Program`: the package's one door.

Compiling parses, checks and builds (about half a millisecond); the same text with the same types is compiled once.
An evaluation has a budget of upstream's 10,000,000 units (`PerCallLimit` in apiserver `pkg/apis/cel/config.go`), so it
always ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from .budget import Budget, deep_size
from .checker import Checker, Scope
from .errors import BudgetError, CompileError, EvaluationError, Issues, ResultTypeError
from .estimate import estimate
from .evaluator import MISSING, Builder, Eval
from .functions import functions
from .mutation import OBJECT, check_names, struct_type
from .parser import parse
from .sizes import Sized
from .syntax import Node, weight
from .types import SIMPLE, CelType
from .values import to_json

PER_CALL_LIMIT = 10_000_000
MAX_RESULT = 1_000_000
"""How large a result may be, in items and tens of characters."""
Result = str | CelType | tuple[str | CelType, ...]


class Program:
    """A compiled expression: without state, so it may be kept and shared."""

    def __init__(
        self, source: str, run: Eval, type_: CelType, used: frozenset[str], names: list[str], size: int
    ) -> None:
        self.source = source
        self.type = type_
        """The expression's static type."""
        self._run = run
        self._used = used
        self._names = names
        self._size = size
        self._cost = 1
        self._tree: tuple[Node, Mapping[str, CelType]] | None = None

    def uses(self, variable: str) -> bool:
        """Whether the expression mentions a variable (`oldSelf` makes a rule a transition rule)."""
        return variable in self._used

    def estimated_cost(self, self_: Sized | None) -> int:
        """What an evaluation costs at most, if `self` and `oldSelf` are of that size (see `estimate`)."""
        assert self._tree is not None
        return estimate(*self._tree, self_)

    def evaluate(self, values: Mapping[str, Any], *, budget: Budget | None = None) -> Any:
        """The result as JSON; raises EvaluationError, and BudgetError when it costs too much."""
        try:
            value = self.value(values, budget=budget)
            if type(value) in (bool, str):
                return value
            deep_size(MAX_RESULT, value)
            if self.type == OBJECT:
                check_names(value)
            return to_json(value)
        except RecursionError:
            raise EvaluationError("the result is nested too deeply") from None

    def value(self, values: Mapping[str, Any], *, budget: Budget | None = None) -> Any:
        """The result as CEL value (timestamps, optionals, quantities are kept), to be a variable of another program."""
        limit = PER_CALL_LIMIT if budget is None else min(PER_CALL_LIMIT, budget.left)
        frame: list[Any] = [limit - self._cost, *[values.get(name, MISSING) for name in self._names]]
        frame += [None] * (self._size - len(frame))
        try:
            if frame[0] < 0:
                raise BudgetError
            return self._run(frame)
        except RecursionError:
            raise EvaluationError("expression is nested too deeply") from None
        finally:
            if budget is not None:
                budget.left -= limit - max(frame[0], 0)


def compile_expression(
    source: str,
    *,
    variables: Mapping[str, CelType],
    result: Result = "any",
    mutation: bool = False,
    bindings: bool = False,
) -> Program:
    """Compiles; raises CompileError with upstream's text.

    `result` is "any", the name of a type ("bool", "string", "null_type", ...), a CelType, or a tuple of those;
    the static type must be exactly that (`dyn` is not bool). `mutation` declares what a MutatingAdmissionPolicy makes:
    `Object{...}`, `Object.spec{...}`, `JSONPatch{...}` and `jsonpatch.escapeKey`; `bindings` allows `cel.bind`.
    """
    program = _compiled(source, tuple(variables.items()), mutation, bindings)
    if isinstance(program, CompileError):
        raise CompileError(str(program))
    if result != "any":
        _check_result(program.type, result if isinstance(result, tuple) else (result,))
    return program


def _check_result(found: CelType, wanted: tuple[str | CelType, ...]) -> None:
    names = [str(SIMPLE.get(each, each)) if isinstance(each, str) else str(each) for each in wanted]
    if "any" not in wanted and str(found) not in names:
        raise ResultTypeError(tuple(names), str(found))


@lru_cache(maxsize=4096)
def _compiled(
    source: str, variables: tuple[tuple[str, CelType], ...], mutation: bool, bindings: bool
) -> Program | CompileError:
    try:
        return _compile(source, dict(variables), mutation, bindings)
    except CompileError as error:
        return error
    except RecursionError:
        return CompileError("compilation failed: ERROR: <input>:1:1: expression recursion limit exceeded")


def _compile(source: str, variables: dict[str, CelType], mutation: bool, bindings: bool) -> Program:
    issues = Issues(source)
    root = parse(source, issues, bindings=bindings)
    checker = Checker(Scope(variables, functions(mutation), struct_type if mutation else lambda name: None), issues)
    type_ = checker.check(root)
    used = {name: type_ for name, type_ in variables.items() if name in checker.used}
    builder = Builder(used)
    program = Program(source, builder.build(root), type_, frozenset(used), list(used), builder.size)
    program._cost, program._tree = weight(root), (root, checker.bound)
    return program
