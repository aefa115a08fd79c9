"""Expressions and what they yield: the language itself."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.cel import DYN, INT, STRING, CompileError, EvaluationError, compile_expression, map_of

DOCUMENT = {"a": 1, "l": [1, 2, 3], "s": "x", "spec": {"replicas": 3, "min": 1}, "n": None, "f": 1.5}
VARIABLES = {"self": DYN, "n": INT, "m": map_of(STRING, INT)}
VALUES = {"self": DOCUMENT, "n": 1, "m": {"x": 1}}

RESULTS: list[tuple[str, Any]] = [
    ("self.spec.replicas >= self.spec.min", True),
    ("1 + 2 * 3 - 4 / 2 % 3", 5),
    ("-5 % 3", -2),
    ("-7 / 2", -3),
    ("7u / 2u", 3),
    ("2 - -1", 3),
    ("--1", 1),
    ("!!true", True),
    ("1 < 2.0 && 1u < 2 && 2.5 > 1u", True),
    ("dyn(1) == dyn(1.0)", True),
    ("dyn(true) == dyn(1)", False),
    ("[true] == [dyn(1)]", False),
    ("n == 1 ? 'yes' : 'no'", "yes"),
    ("self == {'a': 1}", False),
    ("{1: 2}", {"1": 2}),
    ("{'a': 1}.a", 1),
    ("[1, 2][1]", 2),
    ("[1, 2][dyn(1.0)]", 2),
    ("[] + [1]", [1]),
    ("[[], [1]]", [[], [1]]),
    ("'a' in self && !('z' in self)", True),
    ("1 in self.l", True),
    ("size('é') + size([1]) + size({}) + 'ab'.size()", 4),
    (r'''"a\x41\u00e9\n" + r'\d' + """q"q""" ''', 'aAé\n\\dq"q'),
    (r"b'\xff' == b'\377'", True),
    ("b'abc'", "YWJj"),
    ("0x1F + 1", 32),
    ("1e3", 1000.0),
    ("has(self.a) && !has(self.zz) && has(self.n)", True),
    ("self.l.all(x, x > 0)", True),
    ("self.l.exists(x, x == 2)", True),
    ("self.l.exists_one(x, x > 2)", True),
    ("self.l.map(x, x * 2)", [2, 4, 6]),
    ("self.l.map(x, x > 1, x * 2)", [4, 6]),
    ("self.l.filter(x, x != 2)", [1, 3]),
    ("{'a': 1, 'b': 2}.map(k, k)", ["a", "b"]),
    ("self.l.all(i, v, v == i + 1)", True),
    ("{'a': 1}.exists(k, v, k == 'a' && v == 1)", True),
    ("self.l.existsOne(i, v, i == 0 || v == 9)", True),
    ("self.l.transformList(i, v, i > 0, v * i)", [2, 6]),
    ("{'a': 1}.transformMap(k, v, v + 1)", {"a": 2}),
    ("{'a': 'b'}.transformMapEntry(k, v, {v: k})", {"b": "a"}),
    ("self.zz || true", True),
    ("false && self.zz", False),
    ("self.zz && false", False),
    ("self.l.exists(x, x / 0 == 1 || x == 2)", True),
    ("[1, 0].exists(x, 1 / x == 1)", True),
    ("self.?zz.orValue('d')", "d"),
    ("self.?spec.?replicas.orValue(0)", 3),
    ("self.?spec.replicas.hasValue()", True),
    ("self.l[?9].hasValue()", False),
    ("optional.of(1).optMap(x, x + 1).value()", 2),
    ("optional.none().optMap(x, x + 1).hasValue()", False),
    ("optional.of(1).optFlatMap(x, optional.none()).hasValue()", False),
    ("optional.none().or(optional.of(3)).value()", 3),
    ("optional.of(1).orValue(1 / 0)", 1),
    ("optional.ofNonZeroValue('').hasValue()", False),
    ("[?self.?zz, ?self.?a]", [1]),
    ("{?'z': self.?zz, ?'a': self.?a}", {"a": 1}),
    ("[1, 2].first().value() + [1, 2].last().value()", 3),
    ("type(1) == int && type('') == string && type(1u) != int && type(null) == null_type", True),
    ("type(timestamp(0)) == google.protobuf.Timestamp", True),
    ("int('42') + int(1.9) + int(2u)", 45),
    ("string(1.5) + string(1e6) + string(true) + string(2u) + string(b'x')", "1.51e+06true2x"),
    ("double('1.5') + double(1)", 2.5),
    ("uint(3)", 3),
    ("bool('true')", True),
    ("'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", True),
    ("'abc'.matches('^a.c$') && matches('xabcx', 'b')", True),
    ("timestamp('2020-01-01T00:00:00Z') + duration('1h30m')", "2020-01-01T01:30:00Z"),
    ("timestamp('2020-01-02T00:00:00Z') - timestamp('2020-01-01T00:00:00+01:00')", "90000s"),
    ("timestamp('2020-02-29T23:59:58.5Z').getDayOfYear()", 59),
    ("timestamp('2020-02-29T23:00:00Z').getDayOfMonth('+02:00')", 0),
    ("timestamp('2020-02-29T23:00:00Z').getHours('Europe/Berlin')", 0),
    ("timestamp('2020-03-01T00:00:00Z').getDayOfWeek()", 0),
    ("duration('90m').getHours() + duration('1.5s').getMilliseconds()", 1501),
    ("duration('1h') > duration('59m')", True),
    ("string(duration('1h')) + string(timestamp(0))", "3600s1970-01-01T00:00:00Z"),
    ("// a comment\n1 + // another\n1", 2),
]

ERRORS = [
    ("self.zz", "no such key: zz"),
    ("self.spec.zz.y", "no such key: zz"),
    ("self['zz']", "no such key: zz"),
    ("[1, 2, 3][3]", "index out of bounds: 3"),
    ("[1][-1]", "index out of bounds: -1"),
    ("1 / 0", "division by zero"),
    ("1 % 0", "modulus by zero"),
    ("9223372036854775807 + 1", "integer overflow"),
    ("-9223372036854775808 / -1", "integer overflow"),
    ("0u - 1u", "unsigned integer overflow"),
    ("self.a + self.s", "no such overload"),
    ("self.a && true", "no such overload"),
    ("self.l.all(x, x / 0 == 1)", "division by zero"),
    ("optional.none().value()", "optional.none() dereference"),
    ("int('x')", 'strconv.ParseInt: parsing "x": invalid syntax'),
    ("self.s.matches('a' + '(')", "error parsing regexp: missing closing ): `a(`"),
    ("{'a': 1, 'a': 2}", "repeated key: a"),
    ("timestamp(self.s)", 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
    ("duration(self.s)", 'time: invalid duration "x"'),
]

REFUSED = [
    ("foo", "1:1: undeclared reference to 'foo' (in container '')\n | foo\n | ^"),
    ("self.a +\n  foo(1)", "2:6: undeclared reference to 'foo' (in container '')\n |   foo(1)\n | .....^"),
    ("a.b.c", "1:1: undeclared reference to 'a' (in container '')\n | a.b.c\n | ^"),
    ("n + 'a'", "1:3: found no matching overload for '_+_' applied to '(int, string)'\n | n + 'a'\n | ..^"),
    ("n.x", "1:2: type 'int' does not support field selection\n | n.x\n | .^"),
    ("'a'.contains(1)", "1:13: found no matching overload for 'contains' applied to 'string.(int)'"),
    ("1 == 1.0", "1:3: found no matching overload for '_==_' applied to '(int, double)'"),
    ("[1, 'a']", "1:5: expected type 'int' but found 'string'"),
    ("n.all(x, true)", "1:1: expression of type 'int' cannot be range of a comprehension"),
    ("[1].all(x, x)", "1:8: found no matching overload for '_&&_' applied to '(bool, int)'"),
    ("[1].exists(x, x)", "1:11: found no matching overload for '_||_' applied to '(bool, int)'"),
    ("[1].filter(x, x)", "1:11: found no matching overload for '_?_:_' applied to '(int, list(int), list(int))'"),
    ("n.optMap(x, x)", "1:9: found no matching overload for 'hasValue' applied to 'int.()'"),
    ("[1].all(1, true)", "1:9: argument must be a simple name"),
    ("has(n)", "1:5: invalid argument to has() macro"),
    ("if", "1:1: reserved identifier: if"),
    ("1 +", "1:4: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false',"),
    ("1 2", "1:3: Syntax error: mismatched input '2' expecting <EOF>"),
    ("a @ b", "1:3: Syntax error: token recognition error at: '@'"),
    ("n == 'abc", "1:6: Syntax error: token recognition error at: ''abc'"),
    ("duration('x')", "1:10: invalid duration argument"),
    ("timestamp('x')", "1:11: invalid timestamp argument"),
    ("'a'.matches('(')", "1:13: invalid matches argument"),
    ("JSONPatch{op: 'add'}", "1:10: undeclared reference to 'JSONPatch' (in container '')"),
    ("9223372036854775808", "1:1: Syntax error: invalid int literal"),
]


@pytest.mark.parametrize(("source", "expected"), RESULTS, ids=[source for source, _ in RESULTS])
def test_results(source: str, expected: Any) -> None:
    """An expression yields CEL's result, as JSON of the same types."""
    result = compile_expression(source, variables=VARIABLES).evaluate(VALUES)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(("source", "message"), ERRORS, ids=[source for source, _ in ERRORS])
def test_errors(source: str, message: str) -> None:
    """What has no value fails with cel-go's words."""
    program = compile_expression(source, variables=VARIABLES)
    with pytest.raises(EvaluationError) as caught:
        program.evaluate(VALUES)
    assert str(caught.value) == message


@pytest.mark.parametrize(("source", "message"), REFUSED, ids=[source for source, _ in REFUSED])
def test_refused(source: str, message: str) -> None:
    """What the checker can see to be wrong is refused with position and cel-go's words."""
    with pytest.raises(CompileError) as caught:
        compile_expression(source, variables=VARIABLES)
    assert str(caught.value).startswith("compilation failed: ERROR: <input>:" + message)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Several mistakes are listed in the order of the source."""
    with pytest.raises(CompileError) as caught:
        compile_expression("foo + bar", variables={})
    assert str(caught.value).count("ERROR: <input>:1:") == 2
