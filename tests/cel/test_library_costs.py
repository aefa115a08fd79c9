"""What calls of the library are estimated to cost: upstream's figures, which expressions of literals have.

The figures are those of k8s.io/apiserver `pkg/cel/library/cost_test.go`, cel-go `checker/cost_test.go` and the
documented limits of CustomResourceDefinitions.
"""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.rules import compile_rule
from minik8s.cel import AUTHORIZER, compile_expression
from minik8s.cel.callcosts import METHODS, Argument
from minik8s.cel.ranges import Range, exactly
from minik8s.cel.sizes import sized
from minik8s.cel.types import STRING
from minik8s.schema.structural import type_of

LONG = "'01234567890123456789012345678901234567890123456789'"
SIX = "'2001:db8:3333:4444:5555:6666:7777:8888'"
TWO = "{'a': 1, 'b': 2}"
LIMIT = 10_000_000


def cost(text: str) -> int:
    program = compile_expression(text, variables={"authorizer": AUTHORIZER}, bindings=True)
    return program.estimated_cost(None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("url('https:://kubernetes.io/').getScheme()", 4),
        ("url('https:://kubernetes.io/') == url('https:://kubernetes.io/')", 9),
        ("ip('192.168.0.1')", 2),
        (f"ip({SIX})", 4),
        ("ip('192.168.0.1').family()", 3),
        ("ip('192.168.0.1') == ip('192.168.0.1')", 5),
        ("ip.isCanonical('192.168.0.1')", 3),
        (f"ip.isCanonical({SIX})", 8),
        ("cidr('192.168.0.0/16')", 2),
        ("cidr('192.168.0.0/16').ip()", 3),
        ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", 11),
        ("cidr('192.168.0.0/16').containsIP('192.0.0.1')", 7),
        ("[1, 2, 3, 4, 5].sum()", 15),
        (f"{LONG}.indexOf('123')", 5),
        ("'abc 123 def 123'.replace('123', '456')", 3),
        ("'abc 123 def 123'.split(' ')", 3),
        ("'abc 123 def 123'.substring(5)", 2),
        ("'abc 123 def 123'.find('123')", 2),
        ("authorizer.path('/healthz').check('get').allowed()", 350003),
        ("quantity('200M') == quantity('200M')", 3),
        ("quantity('50k').add(quantity('20')) == quantity('50.02k')", 5),
        ("format.named('dns1123label').value().validate('my-name')", 34),
        ("format.named('dns1123label').value() == format.named('dns1123label').value()", 11),
        ("sets.contains([1], [1])", 22),
        ("sets.equivalent([1], [1])", 23),
        ("semver('1234.56789012345.67890123456789')", 4),
    ],
)
def test_the_library(text: str, expected: int) -> None:
    assert cost(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 == 1 && 2 == 2 && 3 == 3", 3),
        ("cel.bind(a, [1, 2, 3], 42)", 20),
        ("cel.bind(v, [1, 2, 3], v.all(x, true))", 31),
        ("[1, 2, 3].all(i, v, i < v)", 29),
        (f"{TWO}.all(k, v, k != '' && v > 0)", 43),
        ("[1, 2, 3].exists(i, v, i == 1 && v == 2)", 35),
        (f"{TWO}.exists(k, v, k == 'a' && v == 1)", 47),
        ("[1, 2, 3].existsOne(i, v, v == 1)", 24),
        ("[1, 2, 3].exists_one(i, v, v == 1)", 24),
        ("[1, 2, 3].transformList(i, v, i + v)", 66),
        ("[1, 2, 3].transformList(i, v, i % 2 == 0, i + v)", 75),
        (f"{TWO}.transformList(k, v, k)", 67),
        (f"{TWO}.transformMap(k, v, v + 1)", 71),
        (f"{TWO}.transformMap(k, v, v > 1, v + 1)", 75),
        (f"{TWO}.transformMapEntry(k, v, {{v: k}})", 129),
        (f"{TWO}.transformMapEntry(k, v, v > 1, {{v: k}})", 133),
        ("[1, 2].all(i, v, [1, 2].all(j, w, i + j < v + w))", 79),
        ("cel.bind(l, [1, 2, 3], l.all(i, v, i < v))", 40),
        (f"cel.bind(m, {TWO}, m.transformList(k, v, k))", 78),
    ],
)
def test_macros(text: str, expected: int) -> None:
    assert cost(text) == expected


@pytest.mark.parametrize(("length", "most"), [(16, 909090), (63, 333333), (253, 94339), (1024, 24154)])
def test_the_documented_bounds(length: int, most: int) -> None:
    """How many strings of a length may be looked through for another."""

    def estimated(items: int) -> int:
        schema: dict[str, Any] = {
            "type": "array",
            "items": {"type": "string", "maxLength": length},
            "maxItems": items,
        }
        found = sized(schema)
        assert found is not None
        rule = {"rule": "self.all(x, x.contains('gpu'))"}
        return compile_rule(rule, type_of(schema, "test")).program.estimated_cost(found)

    assert estimated(most) <= LIMIT < estimated(most + 1)


@pytest.mark.parametrize(
    ("text", "old", "new", "sizes"),
    [("abc", "", "1", (7, 7)), ("abc", "1", "", (0, 3)), ("abcd", "12", "1234", (4, 8))],
)
def test_replaced_strings(text: str, old: str, new: str, sizes: tuple[int, int]) -> None:
    """Replacing makes a string as long as if all of it were replaced, or leaves it."""
    given = [Argument(STRING, exactly(len(each))) for each in (text, old, new)]
    found = METHODS["replace"](given[0], given[1:])
    assert found.size == Range(*sizes)


def test_long_chains_are_estimated_at_once() -> None:
    text = "[1]" + ".map(x, x + 1).filter(x, x > 0)" * 40
    assert cost(text) < LIMIT
