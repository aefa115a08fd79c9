"""What expressions are estimated to cost: upstream's own examples, to the number, with and without bounds.

The figures are those of apiextensions-apiserver `pkg/apiserver/schema/cel/compilation_test.go` (TestCostEstimation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api.rules import compile_rule
from minik8s.cel.sizes import sized
from minik8s.schema.structural import type_of

Schema = dict[str, Any]
Bound = int | None
FORMATS = ("duration", "date", "date-time", "byte")


def leaf(kind: str) -> Schema:
    if kind == "int-or-string":
        return {"x-kubernetes-int-or-string": True}
    return {"type": "string", "format": kind} if kind in FORMATS else {"type": kind}


def limited(schema: Schema, name: str, bound: Bound) -> Schema:
    return schema if bound is None else {**schema, name: bound}


def text(bound: Bound, kind: str = "string") -> Schema:
    return limited(leaf(kind), "maxLength", bound)


def array(items: Schema | str) -> Callable[[Bound], Schema]:
    """A list, of which the bound is maxItems; `items` may be the name of a type."""
    item = leaf(items) if isinstance(items, str) else items
    return lambda bound: limited({"type": "array", "items": item}, "maxItems", bound)


def mapping(values: Schema | str) -> Callable[[Bound], Schema]:
    value = leaf(values) if isinstance(values, str) else values
    return lambda bound: limited({"type": "object", "additionalProperties": value}, "maxProperties", bound)


def texts(bound: Bound) -> Schema:
    """A list of strings, both bounded."""
    return array(text(bound))(bound)


def fields(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


OBJECT = {
    "type": "object",
    "properties": {"required": leaf("string"), "optional": leaf("string")},
    "required": ["required"],
}
NUMBERS = {"type": "array", "items": leaf("number")}
NUMBER_MAP = {"type": "object", "additionalProperties": leaf("number")}


def nested(outer: bool, inner: bool, last: bool) -> Callable[[Bound], Schema]:
    """A list of maps of objects with a required string, of which some are bounded."""

    def made(bound: Bound) -> Schema:
        required = text(bound if last else None)
        value = {
            "type": "object",
            "properties": {"required": required, "optional": leaf("string")},
            "required": ["required"],
        }
        return array(mapping(value)(bound if inner else None))(bound if outer else None)

    return made


def cost(rule: str, schema: Schema) -> int:
    found = sized(schema)
    assert found is not None
    return compile_rule({"rule": rule}, type_of(schema, "test")).program.estimated_cost(found)


UNBOUNDED = -1
"""More than is ever allowed."""


@pytest.mark.parametrize(
    ("schema", "rule", "unbounded", "bound", "bounded"),
    [
        (array("number"), "self.all(x, true)", 4718591, 10, 32),
        (array("string"), "self.all(x, true)", 3145727, 20, 62),
        (array("boolean"), "self.all(x, true)", 1887437, 5, 17),
        (array(NUMBERS), "self.all(x, true)", 3145727, 100, 302),
        (array(OBJECT), "self.all(x, true)", 555128, 50, 152),
        (mapping("number"), "self.all(x, true)", 1348169, 10, 32),
        (mapping("number"), "has(self.x)", 1, 100, 1),
        (mapping("string"), "self.all(x, true)", 1179647, 3, 11),
        (mapping("boolean"), "self.all(x, true)", 943718, 100, 302),
        (text, "self.contains('test')", 314574, 10, 5),
        (text, "self.startsWith('test')", 2, 15, 2),
        (text, "self.endsWith('test')", 2, 30, 2),
        (text, 'size(self + "hello") > size("hello")', 314578, 4, 7),
        (array("number"), "self[1] == 0.0", 2, 5000, 2),
        (array("string"), "self[1] == self[1]", 314577, 8, 314577),
        (array("number"), "self.all(x, self.all(y, true))", UNBOUNDED, 10, 352),
        (array("number"), "self.all(x, self.all(y, self.all(z, true)))", UNBOUNDED, 10, 3552),
        (text, 'self.matches("x")', 314574, 50, 22),
        (text, '"".matches("(((((((((())))))))))[0-9]")', 7, 10, 7),
        (text, 'self.matches("")', 1, 100, 1),
        (mapping("string"), "self.all(x, x.contains(self[x]))", 2752507, 10, 72),
        (mapping("number"), 'self["x"] == 0.0', 2, 0, 2),
        (text, 'self == "x"', 2, 0, 1),
        (lambda bound: text(bound, "byte"), 'self == b"x"', 2, 0, 1),
        (array("number"), "self.all(x, x == 0.0)", 6291454, 3 * 1024 * 2048, 25165826),
        (nested(True, True, True), 'self.all(x, x["y"].required == "z")', 7340027, 10, 72),
        (nested(False, False, True), 'self.all(x, x["y"].required == "z")', 7340027, 10, 7340027),
        (array("int-or-string"), "self.all(x, true)", 4718591, 10, 32),
        (array("int-or-string"), "self[0] == 5", 3, 10, 3),
        (array("boolean"), "self[0] == false", 2, 25, 2),
        (array(OBJECT), "self[0] == null", 2, 422, 2),
        (array(NUMBERS), "self[0][0] == -1.0", 3, 51, 3),
        (array(NUMBER_MAP), "self.all(x, x.y == 25.2)", 6291452, 12, 74),
        (array(NUMBER_MAP), "self[0].x > 2.0", 4, 3000, 4),
        (array("duration"), "self.all(x, true)", 2359295, 5, 17),
        (array("duration"), "self[0].getHours() == 2", 4, 525, 4),
        (array("date"), "self.all(x, true)", 725936, 15, 47),
        (array("date"), "self[2].getDayOfMonth() == 13", 4, 42, 4),
        (array("date-time"), "self.all(x, true)", 428963, 25, 77),
        (array("date-time"), "self[2].getMinutes() == 45", 4, 99, 4),
        (mapping("int-or-string"), "self.all(x, true)", 1348169, 15, 47),
        (mapping(NUMBER_MAP), "self.all(x, true)", 1179647, 10, 32),
        (mapping(NUMBERS), "self.all(x, true)", 1179647, 25, 77),
        (mapping("duration"), "self.all(x, true)", 1048577, 5, 17),
        (mapping("date"), "self.all(x, true)", 524288, 10, 32),
        (mapping("date-time"), "self.all(x, true)", 349526, 25, 77),
        (text, "self.find('[0-9]+') == ''", 629147, 10, 11),
        (texts, "self.join(' ') == 'aa bb'", 329853068905, 10, 43),
        (texts, "self.isSorted() == true", 329854432052, 10, 52),
        (lambda bound: fields(str=text(bound), before=text(2), after=text(4)),
         "self.str.replace(self.before, self.after) == 'does not matter'", 629154, 4, 12),
        (lambda bound: fields(str=text(bound), separator=text(bound)), "self.str.split(self.separator) == []",
         629160, 10, 22),
        (text, "self.lowerAscii() == 'lower!'", 314575, 10, 6),
        (mapping("integer"), "oldSelf.size() == self.size()", 5, 10, 5),
        (mapping("date-time"), 'self["a"] == self["b"]', 8, 7, 8),
        (mapping("duration"), 'self["c"] == self["d"]', 8, 42, 8),
        (lambda bound: limited({"type": "string", "enum": ["A", "B", "C", "LongValue"]}, "maxLength", bound),
         "self.contains('A')", 2, 1000, 401),
    ],
)  # fmt: skip
def test_upstreams_examples(
    schema: Callable[[Bound], Schema], rule: str, unbounded: int, bound: int, bounded: int
) -> None:
    """First as large as a request can be, then with maxLength, maxItems and maxProperties."""
    found = cost(rule, schema(None))
    if unbounded == UNBOUNDED:
        assert found > 10_000_000
    else:
        assert found == unbounded
    assert cost(rule, schema(bound)) == bounded
