"""Our engine against Google's C++ engine, on random expressions of the language that both know.

Both must accept or refuse an expression alike, and yield the same value or both an error.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.cel import BOOL, DYN, INT, STRING, CelType, CompileError, EvaluationError, compile_expression, list_of

oracle = pytest.importorskip("cel_expr_python.cel")

DOCUMENT = {"a": 1, "b": [1, 2, 3], "c": {"d": "x"}, "e": True, "f": 1.5, "g": None}
VALUES: dict[str, Any] = {"i": 7, "s": "word", "t": True, "l": [3, 1, 2], "doc": DOCUMENT}
TYPES: dict[str, CelType] = {"i": INT, "s": STRING, "t": BOOL, "l": list_of(INT), "doc": DYN}
Text = st.SearchStrategy[str]


def one_of(*templates: str, **parts: Text) -> Text:
    """A template whose `{name}` are drawn anew from `parts`, each `{name}`, `{name1}`, `{name2}` apart."""

    def filled(template: str) -> Text:
        names = [name for name in (p + n for p in parts for n in ("", "1", "2")) if f"<{name}>" in template]
        draws = [parts[name.rstrip("12")] for name in names]

        def put(values: tuple[str, ...]) -> str:
            text = template
            for name, value in zip(names, values, strict=True):
                text = text.replace(f"<{name}>", value)
            return text

        return st.tuples(*draws).map(put)

    return st.one_of([filled(template) for template in templates])


def grow(levels: int) -> tuple[Text, Text, Text, Text]:
    """Expressions of type int, bool, string and list(int)."""
    if levels == 0:
        return (
            st.sampled_from(["0", "1", "-3", "7", "9223372036854775807", "i", "doc.a", "x", "l[1]", "doc.b[1]"]),
            st.sampled_from(["true", "false", "t", "doc.e", "has(doc.a)", "has(doc.zz)", "doc.zz", "1 == 1"]),
            st.sampled_from(["''", "'a'", "'word'", "s", "doc.c.d", "doc['c']['d']", "'é'"]),
            st.sampled_from(["[1, 2]", "l", "[i, 2]", "doc.b"]),
        )
    i, b, s, l = grow(levels - 1)  # noqa: E741
    ints = one_of(
        "(<i> + <i1>)", "(<i> - <i1>)", "(<i> * <i1>)", "(<i> / <i1>)", "(<i> % <i1>)", "-(<i>)", "(<b> ? <i> : <i1>)",
        "size(<s>)", "size(<l>)", "<l>[<i>]", "int(<s>)", "{'k': <i>}.k", "{'k': <i>}[<s>]", "<i>", "int(dyn(<i>))",
        i=i, b=b, s=s, l=l,
    )  # fmt: skip
    bools = one_of(
        "(<b> && <b1>)", "(<b> || <b1>)", "!(<b>)", "(<i> < <i1>)", "(<i> >= <i1>)", "(<s> <= <s1>)", "(<i> == <i1>)",
        "(<s> != <s1>)", "(<l> == <l1>)", "(<i> in <l>)", "<s>.contains(<s1>)", "<s>.startsWith(<s1>)",
        "<s>.endsWith(<s1>)", "<l>.all(x, <b>)", "<l>.exists(x, <b>)", "<l>.exists_one(x, <b>)", "<s> in {'a': <i>}",
        "<b>", "<s>.matches('^[a-w]+$')", "(<b> == <b1>)", "type(<i>) == int", "(dyn(<i>) == dyn(<s>))",
        i=i, b=b, s=s, l=l,
    )  # fmt: skip
    strings = one_of("(<s> + <s1>)", "string(<i>)", "string(<b>)", "(<b> ? <s> : <s1>)", "<s>", i=i, b=b, s=s)
    lists = one_of(
        "(<l> + <l1>)", "[<i>, <i1>]", "<l>.map(x, <i>)", "<l>.filter(x, <b>)", "<l>.map(x, <b>, <i>)", "<l>", "[]",
        i=i, b=b, l=l,
    )  # fmt: skip
    return ints, bools, strings, lists


def ours(source: str) -> Any:
    """What our engine makes of it: "refused", "error", or the value."""
    try:
        return compile_expression(source, variables=TYPES).evaluate(VALUES)
    except CompileError:
        return "refused"
    except EvaluationError:
        return "error"


@pytest.fixture(scope="module")
def environment() -> Any:
    """The other engine with the same variables."""
    t = oracle.Type
    variables = {"i": t.INT, "s": t.STRING, "t": t.BOOL, "l": t.List(t.INT), "doc": t.DYN}
    from cel_expr_python.ext import ext_optional, ext_strings  # the former changes the type of an index on dyn

    return oracle.NewEnv(variables=variables, extensions=[ext_optional.ExtOptional(), ext_strings.ExtStrings(2)])


def theirs(environment: Any, source: str) -> Any:
    """What the other engine makes of it."""
    try:
        expression = environment.compile(source)
    except RuntimeError:
        return "refused"
    value = expression.eval(data=VALUES)
    return "error" if value.type() == oracle.Type.ERROR else value.plain_value()


def same(one: Any, other: Any) -> bool:
    """Equality that knows bool from int."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


@settings(max_examples=300, deadline=None)
@given(source=st.one_of(*grow(3)))
def test_the_engines_agree(environment: Any, source: str) -> None:
    """Accepted, refused or failing: both alike, with the same value."""
    expected = theirs(environment, source)
    assert same(ours(source), expected), f"{source}: {ours(source)!r}, not {expected!r}"


WRONG = st.sampled_from(["1", "'a'", "true", "1.5", "null", "[1]", "{'a': 1}", "i", "s", "l", "doc", "nope", "dyn(1)"])
OPERATORS = st.sampled_from(["+", "-", "*", "/", "%", "==", "!=", "&&", "||", "in"])


@settings(max_examples=300, deadline=None)
@given(left=WRONG, operator=OPERATORS, right=WRONG, third=WRONG, shape=st.integers(0, 5))
def test_the_checkers_agree(environment: Any, left: str, operator: str, right: str, third: str, shape: int) -> None:
    """What does not fit by type is refused by both, what fits by both accepted."""
    source = (
        f"{left} {operator} {right}",
        f"{left} ? {right} : {third}",
        f"{left}[{right}]",
        f"{left}.a",
        f"{left}.map(x, x {operator} {right})",
        f"size({left}) {operator} {right}",
    )[shape]
    assert (ours(source) == "refused") == (theirs(environment, source) == "refused"), source


LETTERS = st.text("abAB é-.", max_size=6).map(lambda text: f"'{text}'")
NUMBERS = st.integers(-2, 8).map(str)
CALLS = st.sampled_from(
    [
        "<s>.charAt(<n>)", "<s>.indexOf(<s1>)", "<s>.lastIndexOf(<s1>)",
        "<s>.lowerAscii()", "<s>.upperAscii()", "<s>.replace(<s1>, <s2>)", "<s>.replace(<s1>, <s2>, <n>)",
        "'x<u>'.split(<s1>)", "'x<u>'.split(<s1>, <n>)", "<s>.substring(<n>)", "<s>.trim()",
        "[<s>, <s1>].join(<s2>)", "[<s>, <s1>].join()", "<s>.size()", "'%s-%d'.format([dyn(<s>), <n>])",
        "duration('<d>').getMinutes()", "duration('<d>').getSeconds()",
        "timestamp('<t>').getDayOfYear()", "timestamp('<t>').getDayOfWeek()",
        "timestamp('<t>').getHours('<z>')", "timestamp('<t>').getDate('<z>')", "int(timestamp('<t>'))",
        "(timestamp('<t>') + duration('<d>')).getMilliseconds()",
        "timestamp('<t>') - duration('<d>') < timestamp('<t>')",
        "timestamp('<t>') < timestamp('2001-02-03T04:05:06Z')", "int(<f>)", "double(<s>)", "<f> / <f1>", "<f> * <f1>",
        "<f> < <f1>", "uint(<n>)", "size(bytes(<s>))", "bytes(<s>) + bytes(<s1>)", "bool(<s>)", "<n>u - <m>u",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    template=CALLS,
    texts=st.tuples(LETTERS, LETTERS, LETTERS),
    numbers=st.tuples(NUMBERS, NUMBERS),
    doubles=st.tuples(st.floats(-1e18, 1e18).map(repr), st.sampled_from(["0.0", "-0.0", "1.5", "1e300"])),
    span=st.sampled_from(["1h30m", "-1.5s", "0", "250ms", "1us", "36h", "1m1s1ms"]),
    moment=st.datetimes(timezones=st.none()).map(lambda t: t.isoformat(timespec="milliseconds") + "Z"),
    zone=st.sampled_from(["UTC", "+02:00", "-11:30", "Europe/Berlin", "America/New_York", "Nowhere/Land"]),
)
def test_the_functions_agree(
    environment: Any, template: str, texts: Any, numbers: Any, doubles: Any, span: str, moment: str, zone: str
) -> None:
    """Strings, times and conversions: the same value, or both an error.

    Left out is where cel-go, which Kubernetes runs, differs from the C++ engine: fractions of seconds without trailing
    zeros, `getMilliseconds` of a duration as a whole, `''.split('')` as an empty list.
    """
    parts = {
        "s": texts[0],
        "s1": texts[1],
        "s2": texts[2],
        "u": texts[0][1:-1],
        "n": numbers[0],
        "m": numbers[1],
        "f": doubles[0],
    }
    parts |= {"u": texts[0][1:-1], "f1": doubles[1], "d": span, "t": moment, "z": zone}
    source = template
    for name, value in parts.items():
        source = source.replace(f"<{name}>", value)
    mine, other = ours(source), theirs(environment, source)
    if isinstance(other, (bytes, bytearray)):
        other = base64.b64encode(other).decode()
    assert same(mine, other) or {mine, other} == {"refused", "error"}, f"{source}: {mine!r}, not {other!r}"
