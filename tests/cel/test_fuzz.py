"""Hostile input: whatever the text and the document, there is a result or a CelError, and soon."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from minik8s.cel import (
    DOUBLE,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Budget,
    CelError,
    CelType,
    compile_expression,
    list_of,
    map_of,
    object_of,
)
from minik8s.cel.functions import functions

TYPED = object_of(
    "T",
    {"a": INT, "l": list_of(INT, "set"), "s": STRING, "m": map_of(STRING, STRING), "f": DOUBLE, "t": TIMESTAMP},
)
ATOMS_TEXT = """
    1 0 -1 1u 1.5 'a' '' b'x' true null [] {} [1,2] {'a':1} self self.a self.l self.s self.m self.t x i timestamp(0) int
    duration('1s') optional.none() optional.of(1) 9223372036854775807 quantity('1') ip('1.2.3.4') cidr('10.0.0.0/8')
    semver('1.0.0') url('/a') image('x') format.date() dyn(1) dyn('x') dyn([1]) dyn({}) dyn(self) object
"""
SHAPES_TEXT = """
    (<>+<>) (<>-<>) (<>*<>) (<>/<>) (<>%<>) (<>>=<>) (<>==<>) ([<>]==<>) (<>&&<>) (<>||<>) !<> -<> (<>?<>:<>) <>[<>]
    <>[?<>] <>.a <>.?a has(<>.a) [<>,<>] [?<>] {<>:<>} {?'a':<>} dyn(<>) <>.all(x,<>) <>.exists(x,<>)
    <>.exists_one(x,<>) <>.map(x,<>) <>.map(x,<>,<>) <>.filter(x,<>) <>.all(i,x,<>) <>.transformList(i,x,<>)
    <>.transformMap(i,x,<>) <>.transformMapEntry(i,x,<>) <>.optMap(x,<>) <>.optFlatMap(x,<>) Object{a:<>}
    JSONPatch{op:<>,path:<>}
"""
ATOMS, SHAPES = ATOMS_TEXT.split(), SHAPES_TEXT.split()
NAMES = sorted(name for name in functions(True) if name[0].isalpha())
CALLS = [f"{name}({args})" for name in NAMES for args in ("", "<>", "<>, <>")]
CALLS += [f"<>.{name}({args})" for name in NAMES if "." not in name for args in ("", "<>", "<>, <>", "dyn(<>)")]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> str:
    """A syntactically sound expression, rarely of sound type; dyn hides half of that from the checker."""
    shape = draw(st.sampled_from(ATOMS if depth == 0 else [*SHAPES, *draw(st.sampled_from([ATOMS, CALLS]))]))
    while "<>" in shape:
        part = draw(expressions(depth - 1))
        shape = shape.replace("<>", f"dyn({part})" if draw(st.booleans()) else part, 1)
    return shape


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("almnstf"), inner, max_size=4),
    max_leaves=8,
)


def check(source: str, document: Any, type_: CelType = DYN) -> None:
    """Compiles and evaluates; any error but a CelError fails the test."""
    try:
        program = compile_expression(source, variables={"self": type_, "object": DYN}, mutation=True)
        program.evaluate({"self": document, "object": document}, budget=Budget(100_000))
    except CelError:
        pass


@settings(max_examples=200, deadline=None)
@given(source=expressions(), document=JSON, type_=st.sampled_from([DYN, TYPED]))
def test_any_expression_on_any_document(source: str, document: Any, type_: CelType) -> None:
    """An expression of any types, on a document that need not fit the schema."""
    check(source, document, type_)


@settings(max_examples=200, deadline=None)
@given(
    source=st.text(
        st.sampled_from("()[]{}.?:,'\"\\!-+*/%=<>&|@#\n abrxu01e é\U0001f451") | st.characters(), max_size=30
    )
)
def test_any_text(source: str) -> None:
    """A text that is hardly CEL."""
    check(source, {})


@settings(max_examples=50, deadline=None)
@given(source=expressions(), cut=st.integers(0, 60), insert=st.text(max_size=2))
def test_broken_expressions(source: str, cut: int, insert: str) -> None:
    """A sound expression with something cut out and put in."""
    check(source[:cut] + insert + source[cut + 1 :], {})
