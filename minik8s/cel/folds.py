"""Macros at run time: all, exists, exists_one, map, filter, the two-variable ones, optMap, optFlatMap and cel.bind.

Every turn pays the weight of what it computes, so nested loops over long lists end with BudgetError.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .errors import BudgetError, EvaluationError
from .syntax import Fold, weight
from .values import NONE, Optional, no_such_overload

if TYPE_CHECKING:
    from .evaluator import Builder, Eval, Frame

TURN = 8
"""What a turn costs beside its steps: upstream's fold reads, tests and writes its accumulator (5), we start over."""
Turns = Callable[["Frame"], Iterator[Any]]


def fold(builder: Builder, node: Fold) -> Eval:
    """The function of a macro."""
    over = builder.build(node.over)
    places = builder.bind(node.variables)
    steps = [builder.build(step) for step in node.steps]
    builder.unbind()
    if node.macro.startswith("opt"):
        return _optional_map(over, places[0], steps[0], flat=node.macro == "optFlatMap")
    if node.macro == "bind":
        return _bound(over, places[0], steps[0])
    turns = _turns(over, places, TURN + sum(map(weight, node.steps)))
    if node.macro in ("all", "exists"):
        return _quantifier(turns, steps[0], decisive=node.macro == "exists")
    if node.macro == "exists_one":
        return _exists_one(turns, steps[0])
    condition = steps[0] if len(steps) == 2 or node.macro == "filter" else None
    if node.macro == "filter":
        return _collect(turns, condition, lambda frame: frame[places[0]])
    if node.macro in ("map", "transformList"):
        return _collect(turns, condition, steps[-1])
    return _collect_map(turns, condition, steps[-1], places[0], entries=node.macro == "transformMapEntry")


def _turns(over: Eval, places: list[int], cost: int) -> Turns:
    """Binds the variables of one turn after the other, and pays for each."""
    first, second = places[0], places[1] if len(places) == 2 else None

    def run(frame: Frame) -> Iterator[Any]:
        value = over(frame)
        if isinstance(value, list):
            pairs: Any = enumerate(value) if second is not None else value
        elif isinstance(value, dict):
            pairs = ((key, value[key]) for key in value) if second is not None else iter(value)
        else:
            raise no_such_overload()
        for item in pairs:
            frame[0] -= cost
            if frame[0] < 0:
                raise BudgetError
            if second is None:
                frame[first] = item
            else:
                frame[first], frame[second] = item
            yield item

    return run


def _quantifier(turns: Turns, condition: Eval, decisive: bool) -> Eval:
    """`all` is decided by one false, `exists` by one true."""
    return lambda frame: decide((condition for _ in turns(frame)), frame, decisive)


def decide(conditions: Iterable[Eval], frame: Frame, decisive: bool) -> bool:
    """The first condition that is `decisive` decides; errors matter only if none is."""
    failed: EvaluationError | None = None
    for condition in conditions:
        try:
            value = condition(frame)
        except BudgetError:
            raise
        except EvaluationError as error:
            failed = failed or error
            continue
        if value is decisive:
            return decisive
        if value is not (not decisive):
            failed = failed or no_such_overload()
    if failed is not None:
        raise failed
    return not decisive


def _true(value: Any) -> bool:
    if value is True or value is False:
        return value
    raise no_such_overload()


def _exists_one(turns: Turns, condition: Eval) -> Eval:
    return lambda frame: sum(_true(condition(frame)) for _ in turns(frame)) == 1


def _collect(turns: Turns, condition: Eval | None, value: Eval) -> Eval:
    if condition is None:
        return lambda frame: [value(frame) for _ in turns(frame)]
    return lambda frame: [value(frame) for _ in turns(frame) if _true(condition(frame))]


def _collect_map(turns: Turns, condition: Eval | None, value: Eval, key: int, entries: bool) -> Eval:
    def run(frame: Frame) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        for _ in turns(frame):
            if condition is not None and not _true(condition(frame)):
                continue
            new = value(frame) if entries else {frame[key]: value(frame)}
            if not isinstance(new, dict):
                raise no_such_overload()
            for name in new:
                if name in made:
                    raise EvaluationError(f"insert failed: key {name} already exists")
            made.update(new)
        return made

    return run


def _bound(value: Eval, place: int, step: Eval) -> Eval:
    def run(frame: Frame) -> Any:
        frame[place] = value(frame)
        return step(frame)

    return run


def _optional_map(over: Eval, place: int, step: Eval, flat: bool) -> Eval:
    def run(frame: Frame) -> Optional:
        optional = over(frame)
        if not isinstance(optional, Optional):
            raise no_such_overload()
        if not optional.present:
            return NONE
        frame[place] = optional.value
        result = step(frame)
        if not flat:
            return Optional(True, result)
        if isinstance(result, Optional):
            return result
        raise no_such_overload()

    return run
