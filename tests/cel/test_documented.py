"""The rules and policies that Kubernetes' documentation shows, on documents that keep and break them."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.cel import (
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    EvaluationError,
    compile_expression,
    list_of,
    map_of,
    object_of,
    policy_variables,
)

WIDGET = object_of("selfType.widgets", {"key": STRING, "foo": INT})
ENVAR = object_of("selfType.envars", {"name": STRING, "value": STRING})
SELF = object_of(
    "selfType",
    {
        "metadata": object_of("selfType.metadata", {"name": STRING, "generateName": STRING}),
        "minReplicas": INT,
        "replicas": INT,
        "maxReplicas": INT,
        "stateCounts": map_of(STRING, INT),
        "list1": list_of(INT),
        "list2": list_of(INT),
        "envars": list_of(ENVAR),
        "created": TIMESTAMP,
        "ttl": DURATION,
        "expired": TIMESTAMP,
        "health": STRING,
        "widgets": list_of(WIDGET, "map", ("key",)),
        "set1": list_of(STRING, "set"),
        "set2": list_of(STRING, "set"),
        "names": list_of(STRING),
        "details": map_of(STRING, STRING),
        "port": DYN,
    },
)
GOOD: dict[str, Any] = {
    "metadata": {"name": "singleton"},
    "minReplicas": 0,
    "replicas": 1,
    "maxReplicas": 2,
    "stateCounts": {"Available": 1},
    "list1": [1],
    "list2": [],
    "envars": [{"name": "MY_ENV", "value": "abc"}, {"name": "OTHER", "value": "1"}],
    "created": "2020-01-01T00:00:00Z",
    "ttl": "10m",
    "expired": "2020-01-01T01:00:00Z",
    "health": "ok: fine",
    "widgets": [{"key": "x", "foo": 1}],
    "set1": ["a"],
    "set2": ["b"],
    "names": ["n"],
    "details": {"n": "v"},
    "port": "99%",
}
RULES: list[tuple[str, dict[str, Any]]] = [
    ("self.minReplicas <= self.replicas && self.replicas <= self.maxReplicas", {"replicas": 3}),
    ("'Available' in self.stateCounts", {"stateCounts": {}}),
    ("(self.list1.size() == 0) != (self.list2.size() == 0)", {"list2": [1]}),
    (
        "self.envars.filter(e, e.name == 'MY_ENV').all(e, e.value.matches('^[a-zA-Z]*$'))",
        {"envars": [{"name": "MY_ENV", "value": "1"}]},
    ),
    ("has(self.expired) && self.created + self.ttl < self.expired", {"expired": "2020-01-01T00:05:00Z"}),
    ("self.health.startsWith('ok')", {"health": "bad"}),
    ("self.widgets.exists(w, w.key == 'x' && w.foo < 10)", {"widgets": [{"key": "x", "foo": 11}]}),
    ("type(self.port) == string ? self.port == '99%' : self.port == 42", {"port": 43}),
    ("self.metadata.name == 'singleton'", {"metadata": {"name": "other"}}),
    ("self.set1.all(e, !(e in self.set2))", {"set2": ["a"]}),
    ("self.names.size() == self.details.size() && self.names.all(n, n in self.details)", {"details": {"x": "v"}}),
    ("self.details.all(key, key.matches('^[a-zA-Z]*$'))", {"details": {"1": "v"}}),
    ("self.details.all(key, self.details[key].matches('^[a-zA-Z]*$'))", {"details": {"n": "1"}}),
    ("self.details.all(k, v, k != v)", {"details": {"n": "n"}}),
    ("self.?health.orValue('none') != 'none' && self.set1 == ['a']", {"set1": ["b"]}),
]
CONTAINERS = {
    "metadata": {"name": "web", "labels": {"env": "prod"}},
    "spec": {
        "replicas": 3,
        "template": {"spec": {"containers": [{"name": "a", "image": "example.com/a:1", "securityContext": {}}]}},
    },
}
POLICIES: list[tuple[str, bool]] = [
    ("object.spec.replicas <= 5", True),
    ("has(object.metadata.labels) && object.metadata.labels.env in ['prod', 'test']", True),
    ("object.spec.template.spec.containers.all(c, c.image.startsWith('example.com/'))", True),
    (
        "object.spec.template.spec.containers.all(c, has(c.securityContext)"
        " && has(c.securityContext.readOnlyRootFilesystem) && c.securityContext.readOnlyRootFilesystem)",
        False,
    ),
    ("object.spec.template.spec.containers.map(c, c.image.split(':')[1]).all(tag, tag != 'latest')", True),
    ("!object.spec.template.spec.containers.exists(c, c.?securityContext.?privileged.orValue(false))", True),
    ("request.resource.group == 'apps' && request.operation == 'UPDATE'", True),
    ("oldObject.spec.replicas == object.spec.replicas", False),
    ("!('system:nodes' in request.userInfo.groups)", True),
    ("object.metadata.name.lowerAscii() == object.metadata.name && size(object.metadata.name) <= 63", True),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "broken"), RULES, ids=[rule for rule, _ in RULES])
def test_rules_of_custom_resources(rule: str, broken: dict[str, Any]) -> None:
    """The rule compiles to bool, holds for the good document, and not for the broken one."""
    program = compile_expression(rule, variables={"self": SELF}, result="bool")
    assert program.evaluate({"self": GOOD}) is True
    assert program.evaluate({"self": GOOD | broken}) is False


@pytest.mark.parametrize(("expression", "expected"), POLICIES, ids=[expression for expression, _ in POLICIES])
def test_validations_of_policies(expression: str, expected: bool) -> None:
    """A validation of a policy, on an update of a Deployment."""
    program = compile_expression(expression, variables=policy_variables(), result="bool")
    values = {
        "object": CONTAINERS,
        "oldObject": {"spec": {"replicas": 1}},
        "request": {
            "operation": "UPDATE",
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "userInfo": {"username": "eve", "groups": ["system:authenticated"]},
        },
    }
    assert program.evaluate(values) is expected


def test_mutations_of_policies() -> None:
    """The two ways of injecting a sidecar."""
    sidecar = {"name": "mesh-proxy", "image": "mesh-proxy/v1.0.0", "restartPolicy": "Always"}
    made = 'Object.spec.initContainers{name: "mesh-proxy", image: "mesh-proxy/v1.0.0", restartPolicy: "Always"}'
    apply = f"Object{{spec: Object.spec{{initContainers: [{made}]}}}}"
    program = compile_expression(apply, variables=policy_variables(), mutation=True)
    assert program.evaluate({}) == {"spec": {"initContainers": [sidecar]}}
    patch = (
        'has(object.spec.initContainers) ? [JSONPatch{op: "add", path: "/spec/initContainers/-", value: ' + made + "}]"
        ' : [JSONPatch{op: "add", path: "/spec/initContainers", value: [' + made + "]}]"
    )
    program = compile_expression(patch, variables=policy_variables(), mutation=True)
    assert str(program.type) == "list(JSONPatch)"
    value = [sidecar]
    assert program.evaluate({"object": {"spec": {}}}) == [{"op": "add", "path": "/spec/initContainers", "value": value}]
    assert program.evaluate({"object": {"spec": {"initContainers": []}}})[0]["path"] == "/spec/initContainers/-"


def test_a_constructed_object_is_named_by_its_place() -> None:
    """An object whose type does not follow the fields that lead to it is refused."""
    program = compile_expression("Object{spec: Object.status{}}", variables={}, mutation=True)
    with pytest.raises(EvaluationError) as caught:
        program.evaluate({})
    assert str(caught.value).startswith('unexpected type name "Object.status", expected "Object.spec"')
