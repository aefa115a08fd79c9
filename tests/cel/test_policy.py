"""What the expressions of policies see: declared variables, lazily computed ones, and their checks."""

from __future__ import annotations

import pytest

from minik8s.cel import (
    Authorizer,
    CompileError,
    Decision,
    EvaluationError,
    Lazy,
    Program,
    compile_expression,
    policy_variables,
)

VALUES = {
    "object": {"metadata": {"name": "web", "namespace": "ns"}, "spec": {"replicas": 3}},
    "oldObject": None,
    "params": {"maxReplicas": 2},
    "request": {"namespace": "ns", "operation": "CREATE", "userInfo": {"username": "eve", "groups": ["dev"]}},
    "namespaceObject": {"metadata": {"name": "ns", "labels": {"env": "prod"}}},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("object.spec.replicas <= params.maxReplicas", False),
        ("oldObject == null || object.spec.replicas >= oldObject.spec.replicas", True),
        ("has(oldObject.spec)", None),
        ("request.namespace == object.metadata.namespace && request.operation in ['CREATE']", True),
        ("'dev' in request.userInfo.groups && !('x' in request.userInfo.groups)", True),
        ("namespaceObject.metadata.labels[?'env'].orValue('') == 'prod'", True),
        ("object.metadata.?labels['a'].orValue('none') == 'none'", True),
        ("!has(object.metadata.labels) || object.metadata.labels.all(k, k.startsWith('x'))", True),
        ("authorizer.requestResource.check('get').allowed()", True),
    ],
)
def test_expressions_of_policies(source: str, expected: bool | None) -> None:
    """Expressions as users write them; a field of null is an error."""
    authorizer = Authorizer(lambda check: Decision(True))
    check = authorizer.resource_check("apps", "deployments", "", "ns", "web")
    program = compile_expression(source, variables=policy_variables(), result="bool")
    values = VALUES | {"authorizer": authorizer, "authorizer.requestResource": check}
    if expected is None:
        with pytest.raises(EvaluationError, match="no such key: spec"):
            program.evaluate(values)
    else:
        assert program.evaluate(values) is expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("request.foo == ''", "1:8: undefined field 'foo'"),
        ("request.userInfo.name", "1:17: undefined field 'name'"),
        ("namespaceObject.metadata.ownerReferences", "1:25: undefined field 'ownerReferences'"),
        ("variables.y", "1:10: undefined field 'y'"),
        ("params.x", "1:1: undeclared reference to 'params'"),
        ("request.name > 1", "1:14: found no matching overload for '_>_' applied to '(string, int)'"),
    ],
)
def test_mistakes_are_seen_when_the_policy_is_made(source: str, message: str) -> None:
    """The request, the namespace and the policy's own variables are typed."""
    with pytest.raises(CompileError) as caught:
        compile_expression(source, variables=policy_variables(params=False, variables={}))
    assert message in str(caught.value)


def test_variables_build_on_each_other() -> None:
    """A variable sees those before it, keeps its type, and is computed only when something reads it."""
    programs: dict[str, Program] = {}
    for name, source in {
        "replicas": "object.spec.replicas",
        "double": "variables.replicas * 2",
        "since": "timestamp('2020-01-01T00:00:00Z')",
        "broken": "object.nope",
    }.items():
        declared = policy_variables(variables={known: program.type for known, program in programs.items()})
        programs[name] = compile_expression(source, variables=declared)
    variables = Lazy({})
    values = VALUES | {"variables": variables}
    for name, program in programs.items():
        variables.define(name, lambda program=program: program.value(values))
    declared = policy_variables(variables={name: program.type for name, program in programs.items()})

    def evaluate(source: str) -> object:
        return compile_expression(source, variables=declared).evaluate(values)

    assert evaluate("variables.double == 6 && variables.since.getFullYear() == 2020") is True
    assert evaluate("true || variables.broken") is True
    for _ in range(2):
        with pytest.raises(EvaluationError, match="no such key: nope"):
            evaluate("variables.broken")
