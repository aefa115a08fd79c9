"""`x-kubernetes-validations`: where rules are asked, about what, and how their failure is told."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.rules import CompileError, rules_of
from minik8s.schema.structural import root_type

INT = {"type": "integer"}
STRING = {"type": "string"}


def schema_of(*rules: Any, **properties: Any) -> dict[str, Any]:
    """A root whose spec has these properties and rules."""
    spec = {"type": "object", "properties": properties, "x-kubernetes-validations": list(rules)}
    return {"type": "object", "properties": {"spec": spec}}


def told(schema: dict[str, Any], spec: Any, old: Any = None, name: str = "x") -> list[str]:
    """The errors about a spec that replaces another one."""
    rules = rules_of(root_type(schema, "example.com/v1.Foo"))
    assert rules is not None

    def whole(value: Any) -> dict[str, Any]:
        head = {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": name, "labels": {"a": "b"}}}
        return {**head, "spec": value}

    found = rules.check(whole(spec), None if old is None else whole(old))
    return [f"{cause.reason} {cause.field}: {cause.message}" for cause in found]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"message": "no"}, "FieldValueInvalid spec: Invalid value: no"),
        ({}, "FieldValueInvalid spec: Invalid value: failed rule: self.a > 1"),
        ({"messageExpression": "'a is ' + string(self.a)"}, "FieldValueInvalid spec: Invalid value: a is 1"),
        (
            {"messageExpression": "string(self.b)", "message": "fallback"},
            "FieldValueInvalid spec: Invalid value: fallback",
        ),
        ({"message": "no", "reason": "FieldValueForbidden"}, "FieldValueForbidden spec: Forbidden: no"),
        ({"message": "no", "reason": "FieldValueRequired"}, "FieldValueRequired spec: Required value: no"),
        ({"message": "no", "fieldPath": ".a"}, "FieldValueInvalid spec.a: Invalid value: no"),
    ],
)
def test_failures_are_told_as_the_rule_says(rule: Any, expected: str) -> None:
    """Message, expression, reason and path; an expression that fails gives way to the message."""
    assert told(schema_of({"rule": "self.a > 1", **rule}, a=INT, b=INT), {"a": 1}) == [expected]


def test_errors_of_evaluation_are_failures() -> None:
    """They name the rule."""
    schema = schema_of({"rule": "self.b > 1"}, a=INT, b=INT)
    assert told(schema, {"a": 1}) == [
        'FieldValueInvalid spec: Invalid value: "object": no such key: b evaluating rule: self.b > 1'
    ]


def test_rules_of_scalars_in_lists_and_maps() -> None:
    """Each value is asked about, with its own path and value."""
    small = {**INT, "x-kubernetes-validations": [{"rule": "self < 2", "message": "large"}]}
    listed = {"type": "array", "items": small}
    mapped = {"type": "object", "additionalProperties": small}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"l": listed, "m": mapped}}}}
    assert told(schema, {"l": [1, 2], "m": {"x": 3}}) == [
        "FieldValueInvalid spec.l[1]: Invalid value: 2: large",
        "FieldValueInvalid spec.m[x]: Invalid value: 3: large",
    ]


def test_transition_rules_need_a_predecessor() -> None:
    """Fields and map values have one by name, elements of keyed lists by their keys; new values are not asked about."""
    grows = {**INT, "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "shrinks"}]}
    item = {"type": "object", "properties": {"k": STRING, "v": grows}}
    keyed = {"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"]}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"v": grows, "l": keyed}}}}
    old = {"v": 2, "l": [{"k": "a", "v": 5}, {"k": "b", "v": 5}]}
    assert told(schema, old) == []
    assert told(schema, {"v": 1, "l": [{"k": "new", "v": 1}, {"k": "b", "v": 4}, {"k": "a", "v": 6}]}, old) == [
        "FieldValueInvalid spec.v: Invalid value: 1: shrinks",
        "FieldValueInvalid spec.l[1].v: Invalid value: 4: shrinks",
    ]


def test_an_optional_predecessor_is_asked_for_on_creation_as_well() -> None:
    """With optionalOldSelf, oldSelf is an optional."""
    rule = {"rule": "oldSelf.hasValue() || self.a == 0", "optionalOldSelf": True, "message": "starts at 0"}
    schema = schema_of(rule, a=INT)
    assert told(schema, {"a": 1}) == ["FieldValueInvalid spec: Invalid value: starts at 0"]
    assert told(schema, {"a": 1}, {"a": 0}) == []


def test_what_was_wrong_before_may_stay() -> None:
    """An unchanged value is asked about by transition rules only."""
    schema = schema_of(
        {"rule": "self.a > 1", "message": "small"}, {"rule": "self.a != oldSelf.a", "message": "same"}, a=INT
    )
    assert told(schema, {"a": 1}, {"a": 1}) == ["FieldValueInvalid spec: Invalid value: same"]


def test_of_metadata_the_name_is_seen() -> None:
    """At the root, and nothing else of it."""
    schema: dict[str, Any] = {"type": "object", "properties": {"spec": {"type": "object"}}}
    schema["x-kubernetes-validations"] = [{"rule": "self.metadata.name.startsWith('a') && self.kind == 'Foo'"}]
    assert len(told(schema, {}, name="b")) == 1
    assert told(schema, {}, name="a") == []
    schema["x-kubernetes-validations"] = [{"rule": "self.metadata.labels.a == 'b'"}]
    with pytest.raises(CompileError, match="undefined field 'labels'"):
        told(schema, {})


def test_formats_have_types() -> None:
    """Times and durations are compared as such, bytes are decoded, int-or-string is whatever it is."""
    rules = [
        {"rule": "self.t > timestamp('2020-01-01T00:00:00Z')", "message": "old"},
        {"rule": "self.d < duration('1h')", "message": "long"},
        {"rule": "size(self.b) == 3", "message": "bytes"},
        {"rule": "type(self.p) == int ? self.p > 0 : self.p.endsWith('%')", "message": "port"},
    ]
    schema = schema_of(
        *rules,
        t={**STRING, "format": "date-time"},
        d={**STRING, "format": "duration"},
        b={**STRING, "format": "byte"},
        p={"x-kubernetes-int-or-string": True},
    )
    good = {"t": "2021-01-01T00:00:00Z", "d": "30m", "b": "YWJj", "p": "5%"}
    assert told(schema, good) == []
    assert len(told(schema, {"t": "2019-01-01T00:00:00Z", "d": "2h", "b": "YQ==", "p": 0})) == 4


def test_escaped_names() -> None:
    """Keywords and characters that CEL has no names for."""
    schema = schema_of(
        {"rule": "self.__namespace__ == self.a__dash__b", "message": "differ"}, namespace=STRING, **{"a-b": STRING}
    )
    assert told(schema, {"namespace": "x", "a-b": "x"}) == []
    assert told(schema, {"namespace": "x", "a-b": "y"}) == ["FieldValueInvalid spec: Invalid value: differ"]
