"""Schemas as CEL types: fields, conversions, list types, escaping."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.cel import (
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    CelType,
    CompileError,
    EvaluationError,
    compile_expression,
    escape,
    list_of,
    map_of,
    object_of,
    type_of,
)
from minik8s.schema import table

ITEM = object_of("selfType.items", {"name": STRING, "port": INT})
SELF = object_of(
    "selfType",
    {
        "name": STRING,
        "ratio": DOUBLE,
        "when": TIMESTAMP,
        "every": DURATION,
        "times": list_of(TIMESTAMP),
        "any": DYN,
        "labels": map_of(STRING, STRING),
        "set": list_of(STRING, "set"),
        "items": list_of(ITEM, "map", ("name",)),
        "inner": object_of("selfType.inner", {"set": list_of(INT, "set"), "x": INT}),
        "namespace": STRING,
        "foo-bar": INT,
        "a.b/c": INT,
        "d__e": INT,
    },
)
DOCUMENT = {
    "name": "web",
    "ratio": 3,
    "when": "2020-01-01T00:00:00Z",
    "every": "1h",
    "times": ["2020-01-01T00:00:00Z", "2021-01-01"],
    "any": {"x": [1]},
    "labels": {"a-b": "c"},
    "set": ["a", "b"],
    "items": [{"name": "x", "port": 1}, {"name": "y", "port": 2}],
    "inner": {"set": [1, 2], "x": 1},
    "namespace": "ns",
    "foo-bar": 1,
    "a.b/c": 2,
    "d__e": 3,
}
OLD = {
    **DOCUMENT,
    "set": ["b", "a"],
    "items": [{"name": "y", "port": 2}, {"name": "x", "port": 1}],
    "inner": {"set": [2, 1], "x": 1},
}


def evaluate(source: str, type_: CelType = SELF, self: Any = DOCUMENT, old: Any = OLD) -> Any:
    """The result of a rule on `self` and `oldSelf` of one type."""
    return compile_expression(source, variables={"self": type_, "oldSelf": type_}).evaluate(
        {"self": self, "oldSelf": old}
    )


@pytest.mark.parametrize(
    "source",
    [
        "self.ratio > 2.5 && self.ratio == 3.0 && type(self.ratio) == double",
        "self.when < timestamp('2020-01-02T00:00:00Z') && self.when.getFullYear() == 2020",
        "self.every == duration('60m')",
        "self.times.all(t, t.getDate() == 1) && self.times[1] > self.times[0]",
        "self.any.x[0] == 1 && !has(self.any.y)",
        "self.?when.orValue(timestamp(0)).getFullYear() == 2020 && self.?ratio.value() == 3.0",
        "optional.of(self).when.value() == self.when && optional.of(self).times[?0].value() == self.when",
        "self.labels['a-b'] == 'c' && 'a-b' in self.labels",
        "self.__namespace__ == 'ns' && self.foo__dash__bar == 1",
        "self.a__dot__b__slash__c == 2 && self.d__underscores__e == 3",
        "self.set == oldSelf.set && !(self.set != oldSelf.set)",
        "self.items == oldSelf.items && self.inner == oldSelf.inner && self == oldSelf",
        "self.set + ['b', 'z'] == ['a', 'b', 'z']",
        "self.items.exists(i, i.name == 'y' && i.port == 2)",
        "self.items.map(i, i.port) != oldSelf.items.map(i, i.port)",
    ],
)
def test_rules_hold(source: str) -> None:
    """What the schema says decides how a document's values are seen."""
    assert evaluate(source) is True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("self.x", "1:5: undefined field 'x'\n | self.x\n | ....^"),
        ("self.inner.y == 1", "1:11: undefined field 'y'"),
        ("has(self.y)", "1:4: undefined field 'y'"),
        ("self.namespace == 'x'", "1:5: undefined field 'namespace'"),
        ("self.items[0].nope", "1:14: undefined field 'nope'"),
        ("self.name == 1", "1:11: found no matching overload for '_==_' applied to '(string, int)'"),
        ("self.set.all(x, x > 1)", "1:19: found no matching overload for '_>_' applied to '(string, int)'"),
        ("self['x']", "1:5: found no matching overload for '_[_]' applied to '(selfType, string)'"),
    ],
)
def test_rules_are_refused(source: str, message: str) -> None:
    """A field that the schema does not have, or has with another type, is seen when the rule is made."""
    with pytest.raises(CompileError) as caught:
        evaluate(source)
    assert str(caught.value).startswith("compilation failed: ERROR: <input>:" + message)


def test_lists_differ_by_more_than_order() -> None:
    """A set with other elements, or a map's entry with another value, is another value."""
    assert evaluate("self.set == oldSelf.set", old={"set": ["a", "c"]}) is False
    assert evaluate("self.items == oldSelf.items", old={"items": [{"name": "y", "port": 2}]}) is False
    other = {"items": [{"name": "y", "port": 3}, {"name": "x", "port": 1}]}
    assert evaluate("self.items == oldSelf.items", old=other) is False
    assert evaluate("self.set + oldSelf.set", old={"set": ["c", "a"]}) == ["a", "b", "c"]
    merged = evaluate("self.items + oldSelf.items", old=other)
    assert merged == [{"name": "x", "port": 1}, {"name": "y", "port": 3}]


def test_values_that_do_not_fit_the_schema_are_errors() -> None:
    """A text that is no time fails the rule, and null is left alone."""
    with pytest.raises(EvaluationError, match="parsing time"):
        evaluate("self.when > timestamp(0)", self={"when": "soon"})
    assert evaluate("self.when == null", self={"when": None}) is True


def test_built_in_kinds_have_types() -> None:
    """The type table's structs are CEL objects whose fields are found when they are asked for."""
    pod = type_of(table.struct("core/v1", "Pod"))
    source = (
        "self.spec.containers.all(c, c.image != '' && c.?resources.limits[?'cpu'].hasValue())"
        " && self.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')"
    )
    document = {
        "metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"},
        "spec": {"containers": [{"image": "x", "resources": {"limits": {"cpu": "1"}}}]},
    }
    assert compile_expression(source, variables={"self": pod}, result="bool").evaluate({"self": document}) is True
    with pytest.raises(CompileError, match="undefined field 'contaners'"):
        compile_expression("self.spec.contaners", variables={"self": pod})
    assert type_of(table.struct("core/v1", "Pod")) is pod


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a.a", "a__dot__a"),
        ("a-a", "a__dash__a"),
        ("a.-/__a", "a__dot____dash____slash____underscores__a"),
        ("a._a", "a__dot___a"),
        ("a___a", "a__underscores___a"),
        ("a____a", "a__underscores____underscores__a"),
        ("a__dot__a", "a__underscores__dot__underscores__a"),
        ("true", "__true__"),
        ("namespace", "__namespace__"),
        ("has", "has"),
        ("_if", "_if"),
        ("@", ""),
        ("1up", ""),
        ("ä", ""),
    ],
)
def test_names_are_escaped(name: str, escaped: str) -> None:
    """Upstream's table of property names and how a rule writes them."""
    assert escape(name) == escaped
