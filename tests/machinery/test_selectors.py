"""Selectors: grammar, error texts, matching and text form."""

from __future__ import annotations

import pytest

from minik8s.machinery.errors import BadRequest
from minik8s.machinery.selectors import FieldSelector, LabelSelector


@pytest.mark.parametrize(
    ("text", "printed", "matching", "other"),
    [
        ("a=b", "a=b", {"a": "b"}, {"a": "c"}),
        ("a==b", "a==b", {"a": "b"}, {}),
        ("a!=b", "a!=b", {}, {"a": "b"}),
        ("a = b , c", "a=b,c", {"a": "b", "c": ""}, {"a": "b"}),
        ("b=1,a=2", "a=2,b=1", {"a": "2", "b": "1"}, {"a": "1", "b": "2"}),
        ("!a", "!a", {"b": ""}, {"a": ""}),
        ("a in (y, x)", "a in (x,y)", {"a": "x"}, {"a": "z"}),
        ("a notin (x,y)", "a notin (x,y)", {}, {"a": "x"}),
        ("a in ()", "a in ()", {"a": ""}, {"a": "x"}),
        ("a in (x,)", "a in (,x)", {"a": ""}, {"a": "y"}),
        ("a in (,)", "a in ()", {"a": ""}, {"a": "y"}),
        ("a=", "a=", {"a": ""}, {"a": "x"}),
        ("a=,b", "a=,b", {"a": "", "b": ""}, {"a": ""}),
        ("a>5", "a>5", {"a": "6"}, {"a": "x"}),
        ("a<5", "a<5", {"a": "4"}, {"a": "5"}),
        ("in in (in,notin)", "in in (in,notin)", {"in": "in"}, {"in": "x"}),
        ("example.com/role=x", "example.com/role=x", {"example.com/role": "x"}, {"role": "x"}),
        ("a!=b,!c", "a!=b,!c", {"a": "x"}, {"c": "1"}),
    ],
)
def test_label_grammar(text: str, printed: str, matching: dict[str, str], other: dict[str, str]) -> None:
    """A selector prints canonically and tells labels that fit from labels that do not."""
    selector = LabelSelector.parse(text)
    assert str(selector) == printed
    assert selector.matches(matching)
    assert not selector.matches(other)
    assert LabelSelector.parse(printed) == selector


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a in x", "unable to parse requirement: found 'x' expected: '('"),
        ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (x y)", "unable to parse requirement: found 'y', expected: ',' or ')'"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value"),
        ("k=a$", 'unable to parse requirement: values[0][k]: Invalid value: "a$": a valid label must be an empty'),
        ("a$=b", 'unable to parse requirement: <nil>: Invalid value: "a$": name part must consist of alphanumeric'),
    ],
)
def test_label_errors(text: str, message: str) -> None:
    """Bad syntax is a BadRequest with upstream's text."""
    with pytest.raises(BadRequest) as raised:
        LabelSelector.parse(text)
    assert raised.value.message.startswith(message)


def test_label_objects() -> None:
    """A LabelSelector object: labels and expressions are all required, {} is everything, None nothing."""
    selector = LabelSelector.from_object(
        {
            "matchLabels": {"tier": "web"},
            "matchExpressions": [
                {"key": "app", "operator": "In", "values": ["b", "a"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }
    )
    assert str(selector) == "app in (a,b),!old,tier=web"
    assert selector.matches({"tier": "web", "app": "a"})
    assert not selector.matches({"tier": "web", "app": "a", "old": ""})
    assert LabelSelector.from_object({}).is_everything
    assert LabelSelector.from_object({}).matches({"a": "b"})
    nothing = LabelSelector.from_object(None)
    assert not nothing.matches({})
    assert not nothing.is_everything
    assert LabelSelector.from_map({"b": "2", "a": "1"}).pairs == (("a", "1"), ("b", "2"))


def test_label_object_errors() -> None:
    """An unknown operator or a value set that does not fit it is refused."""
    with pytest.raises(BadRequest, match='"Foo" is not a valid label selector operator'):
        LabelSelector.from_object({"matchExpressions": [{"key": "a", "operator": "Foo"}]})
    with pytest.raises(BadRequest, match="values set can't be empty"):
        LabelSelector.from_object({"matchExpressions": [{"key": "a", "operator": "In"}]})


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        ("", ()),
        ("metadata.name=web", (("metadata.name", "=", "web"),)),
        ("a==1,b!=2", (("a", "=", "1"), ("b", "!=", "2"))),
        (r"a=x\,y\=z\\", (("a", "=", "x,y=z\\"),)),
        ("a=", (("a", "=", ""),)),
        (",a=1,", (("a", "=", "1"),)),
    ],
)
def test_field_grammar(text: str, requirements: tuple[tuple[str, str, str], ...]) -> None:
    """A field selector is a list of path, operator and unescaped value; its text form parses to itself."""
    selector = FieldSelector.parse(text)
    assert selector.requirements == requirements
    assert FieldSelector.parse(str(selector)) == selector


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("status.phase", "invalid selector: 'status.phase'; can't understand 'status.phase'"),
        (r"a=\x", r"invalid field selector: invalid escape sequence: \x"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_field_errors(text: str, message: str) -> None:
    """Bad field selectors are a BadRequest with upstream's text."""
    with pytest.raises(BadRequest) as raised:
        FieldSelector.parse(text)
    assert raised.value.message == message


def test_field_matching() -> None:
    """Equality and inequality against what the getter says; a pinned path can be asked for."""
    selector = FieldSelector.parse("spec.nodeName=n1,status.phase!=Failed")
    values = {"spec.nodeName": "n1", "status.phase": "Running"}
    assert selector.matches(lambda path: values.get(path, ""))
    assert not selector.matches(lambda path: "")
    assert selector.exact("spec.nodeName") == "n1"
    assert selector.exact("status.phase") is None
