"""The door: result types, mentioned variables, the budget, caching, and documents left as they are."""

from __future__ import annotations

import pytest

from minik8s.cel import (
    BOOL,
    DYN,
    STRING,
    Budget,
    BudgetError,
    CompileError,
    EvaluationError,
    Lazy,
    ResultTypeError,
    compile_expression,
    object_of,
)

HOSTILE = [
    "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))",
    "self.map(a, self.map(b, self.map(c, [a])))",
    "['a']" + ".map(a, a + a)" * 60,
    "[[1]]" + ".map(a, a + a)" * 60,
    "self.exists(a, self.exists(b, self.exists(c, false))) || true",
    "[self, self].map(a, self.map(b, self.map(c, [a, a] == [a, a])))",
    "[self].map(a, self.map(b, self.map(c, [a, a, [a]] in [[a], [a, a, [b]], [a, a, [c]]])))",
    "[[1]]" + ".map(a, [a, a])" * 60 + " == [[1]]" + ".map(a, [a, a])" * 60,
    "'%s'.format([[[1]]" + ".map(a, [a, a])" * 45 + "])",
    "[[1]]" + ".map(a, [a, a])" * 60,
    "sets.contains([[1]]" + ".map(a, [a, a])" * 60 + ", [[1]]" + ".map(a, [a, a])" * 60 + ")",
    "self.all(a, self.all(b, sets.equivalent(self, self)))",
    "[[1]]" + ".map(a, [a, a])" * 60 + ".indexOf(dyn([1]))",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_expression_ends(source: str) -> None:
    """Nested loops and doubling strings end with an error, which `||` and `exists` do not swallow."""
    program = compile_expression(source, variables={"self": DYN})
    with pytest.raises(BudgetError, match="operation cancelled: actual cost limit exceeded"):
        program.evaluate({"self": list(range(200))}, budget=Budget(300_000))


def test_a_budget_is_shared() -> None:
    """Evaluations that share a budget pay from it, and only for what they cost."""
    program = compile_expression("self.all(x, x >= 0)", variables={"self": DYN}, result="bool")
    budget = Budget(10_000)
    assert program.evaluate({"self": [1, 2]}, budget=budget) is True
    left = budget.left
    assert 0 < left < 10_000
    with pytest.raises(BudgetError):
        program.evaluate({"self": list(range(5000))}, budget=budget)
    assert budget.left == 0


@pytest.mark.parametrize(
    ("source", "result", "message"),
    [
        ("'a'", "bool", "must evaluate to bool but got string"),
        ("self.x", "bool", "must evaluate to bool but got dyn"),
        ("1", "string", "must evaluate to string but got int"),
        ("1", ("string", "null_type"), "must evaluate to one of [string null_type] but got int"),
    ],
)
def test_the_static_type_must_be_the_one_asked_for(source: str, result: str | tuple[str, ...], message: str) -> None:
    """dyn is not bool: upstream refuses it when the policy is made, not when it runs."""
    with pytest.raises(ResultTypeError) as caught:
        compile_expression(source, variables={"self": DYN}, result=result)
    assert str(caught.value) == message
    assert isinstance(caught.value, CompileError)


def test_mentioned_variables_are_known() -> None:
    """A rule that mentions oldSelf is a transition rule; a macro's variable of that name does not make it one."""
    variables = {"self": DYN, "oldSelf": DYN}
    assert compile_expression("self == oldSelf", variables=variables).uses("oldSelf")
    program = compile_expression("self.all(oldSelf, oldSelf > 0)", variables=variables)
    assert program.uses("self")
    assert not program.uses("oldSelf")


def test_a_program_is_compiled_once() -> None:
    """The same text with the same types is the same program; other types make another."""
    first = compile_expression("self == 'a'", variables={"self": STRING}, result="bool")
    assert compile_expression("self == 'a'", variables={"self": STRING}) is first
    assert compile_expression("self == 'a'", variables={"self": DYN}) is not first


def test_objects_of_one_name_but_other_fields_are_other_types() -> None:
    """Two schemas that give their objects the same name do not see each other's programs."""
    one = object_of("selfType", {"x": BOOL})
    other = object_of("selfType", {"y": BOOL})
    assert compile_expression("self.x", variables={"self": one}).evaluate({"self": {"x": True}}) is True
    with pytest.raises(CompileError, match="undefined field 'x'"):
        compile_expression("self.x", variables={"self": other})
    again = object_of("selfType", {"x": BOOL})
    assert compile_expression("self.x", variables={"self": again}) is compile_expression(
        "self.x", variables={"self": one}
    )


def test_documents_are_handed_on() -> None:
    """A part of a document that is the result is that part, not a copy."""
    document = {"spec": {"list": [{"a": 1}]}}
    result = compile_expression("self.spec", variables={"self": DYN}).evaluate({"self": document})
    assert result is document["spec"]


def test_a_missing_variable_is_an_error() -> None:
    """A declared variable without a value fails where it is read, and only there."""
    program = compile_expression("true || params.x", variables={"params": DYN})
    assert program.evaluate({}) is True
    with pytest.raises(EvaluationError, match=r"no such attribute\(s\): params"):
        compile_expression("params.x", variables={"params": DYN}).evaluate({})


def test_lazy_values_are_computed_when_read() -> None:
    """A policy's variables are computed at most once, and only if they are read."""
    calls: list[str] = []

    def compute() -> int:
        calls.append("x")
        return 3

    variables = Lazy({"x": compute, "y": compute})
    program = compile_expression("variables.x + variables.x", variables={"variables": DYN})
    assert program.evaluate({"variables": variables}) == 6
    assert calls == ["x"]


def test_deep_nesting_is_refused() -> None:
    """A text that nests without end is refused, not a crash."""
    for source in ("(" * 5000 + "1" + ")" * 5000, "[" * 5000, "!" * 5000 + "true" + "+1" * 5000, "a" + ".a" * 9000):
        with pytest.raises(CompileError):
            compile_expression(source, variables={})


def test_long_chains_are_no_nesting() -> None:
    """Hundreds of terms of `||` and `&&` are fine."""
    source = " || ".join(["self == 1 && true"] * 500)
    assert compile_expression(source, variables={"self": DYN}).evaluate({"self": 1}) is True


def test_mutations_are_constructed() -> None:
    """A mutating policy makes objects and JSON patches; their fields are known to the checker."""
    source = "Object{spec: Object.spec{replicas: 3, ?x: optional.none()}}"
    program = compile_expression(source, variables={}, mutation=True)
    assert program.evaluate({}) == {"spec": {"replicas": 3}}
    assert str(program.type) == "Object"
    source = "[JSONPatch{op: 'add', path: '/a/' + jsonpatch.escapeKey('b/c~'), value: {'x': 1}}]"
    program = compile_expression(source, variables={}, mutation=True)
    assert program.evaluate({}) == [{"op": "add", "path": "/a/b~1c~0", "value": {"x": 1}}]
    assert str(program.type) == "list(JSONPatch)"
    with pytest.raises(CompileError, match="undefined field 'opp'"):
        compile_expression("JSONPatch{opp: 'add'}", variables={}, mutation=True)
