"""What the rules of a CustomResourceDefinition's schema may cost: each of them, and all of one version together. Pure.

An estimate is for one evaluation; a rule below lists and maps is evaluated as often as these can have elements.
Upstream: apiextensions-apiserver `pkg/apis/apiextensions/validation/cel_validation.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from minik8s.cel.sizes import Sized, sized
from minik8s.cel.types import escape
from minik8s.machinery.errors import StatusCause
from minik8s.machinery.field import forbidden
from minik8s.schema.table import Type

MAX_RULE = 10_000_000
MAX_SCHEMA = 100_000_000
MOST = 2**64 - 1
_NAMED = 4
"""How many of the most expensive expressions are named when there are too many."""
_NOTEWORTHY = MAX_SCHEMA // 100
_ADVICE = (
    "try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared"
)


@attrs.define
class Costs:
    """The costs of a schema's expressions; `lenient` is one that has been accepted before, whose rules stay."""

    lenient: bool = False
    total: int = 0
    noteworthy: list[tuple[int, str]] = attrs.field(factory=list)

    def charge(self, cost: int, path: str, what: str) -> Iterator[StatusCause]:
        """Counts an expression; tells if it costs too much."""
        self.total = min(self.total + cost, MOST)
        if cost >= _NOTEWORTHY:
            self.noteworthy.append((cost, path))
        if cost > MAX_RULE and not self.lenient:
            yield forbidden(path, _exceeds(f"estimated {what} cost", cost, MAX_RULE))

    def verdict(self, path: str) -> Iterator[StatusCause]:
        """Whether all of them cost too much together."""
        if self.total <= MAX_SCHEMA:
            return
        for _, expensive in sorted(self.noteworthy, key=lambda each: -each[0])[:_NAMED]:
            yield forbidden(
                expensive, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
            )
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        yield forbidden(path, _exceeds(what, self.total, MAX_SCHEMA))


@attrs.frozen
class Place:
    """Where rules are in a schema: how large values are there, and how many of them (None: as many as fit)."""

    sized: Sized | None
    count: int | None = 1

    def times(self, cost: int) -> int:
        """What a rule costs here for all values."""
        if self.sized is None:
            return cost
        return min(cost * (self.count if self.count is not None else self.sized.times), MOST)

    def field(self, name: str, type: Type) -> Place:
        """The place of a field, by its JSON name."""
        found = self.sized.fields.get(escape(name)) if self.sized is not None else None
        return Place(found or sized(type.schema or {}), self.count)

    def items(self, type: Type) -> Place:
        """The place of the elements of a list or map."""
        bound = (type.schema or {}).get("maxItems" if type.kind == "list" else "maxProperties")
        count = min(self.count * int(bound), MOST) if self.count is not None and bound is not None else None
        return Place(self.sized.item if self.sized is not None else None, count)


def _exceeds(what: str, cost: int, limit: int) -> str:
    factor = cost / limit
    if factor > 100:
        text = "more than 100x"
    else:
        text = f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"  # so that none is said to be exceeded by 1.0x
    return f"{what} exceeds budget by factor of {text} ({_ADVICE})"
