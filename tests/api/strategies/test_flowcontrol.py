"""FlowSchemas, priority levels, APIServices, RuntimeClasses: every mistake by its path and upstream's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from minik8s.api import resources as r
from minik8s.api.resource import Resource

USER = {"kind": "User", "user": {"name": "u"}}
RESOURCES = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}


def schema(*rules: dict[str, Any], name: str = "x", **spec: Any) -> dict[str, Any]:
    level = {"priorityLevelConfiguration": {"name": "exempt"}}
    return {"metadata": {"name": name}, "spec": {**level, "rules": list(rules), **spec}}


def level(name: str = "x", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def limited(**part: Any) -> dict[str, Any]:
    return level(type="Limited", limited={"limitResponse": {"type": "Reject"}, **part})


def api_service(**spec: Any) -> dict[str, Any]:
    given = {"group": "e.io", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 1}
    return {"metadata": {"name": "v1.e.io"}, "spec": {**given, **spec}}


CASES: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (r.FLOW_SCHEMAS, schema({"subjects": [USER], "resourceRules": [RESOURCES]}), []),
    (r.FLOW_SCHEMAS, schema(matchingPrecedence=1), [
        "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"
    ]),
    (r.FLOW_SCHEMAS, schema(name="exempt", matchingPrecedence=1), [
        'spec: Invalid value: {"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":1}: '
        "spec of 'exempt' must equal the fixed value"
    ]),
    (r.FLOW_SCHEMAS, schema(matchingPrecedence=10001),
     ["spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000"]),
    (r.FLOW_SCHEMAS, schema(matchingPrecedence=-1),
     ["spec.matchingPrecedence: Invalid value: -1: must be a positive value"]),
    (r.FLOW_SCHEMAS, schema({}), [
        "spec.rules[0].subjects: Required value: subjects must contain at least one value",
        "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
    ]),
    (r.FLOW_SCHEMAS, schema({
        "subjects": [{"kind": "User", "group": {"name": "g"}}, {"kind": "Foo"}],
        "resourceRules": [{"verbs": ["*", "get"], "apiGroups": [], "resources": ["pods"]}],
        "nonResourceRules": [{"verbs": ["foo"], "nonResourceURLs": ["a", "/a*b"]}],
    }), [
        "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
        "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
        'spec.rules[0].subjects[1].kind: Unsupported value: "Foo": supported values: "Group", "ServiceAccount", "User"',
        "spec.rules[0].resourceRules[0].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify "
        "other verbs",
        "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group",
        "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must "
        "supply at least one namespace",
        'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["foo"]: supported values: "*", "connect", '
        '"delete", "get", "head", "options", "patch", "post", "put", "trace"',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a": must start with slash',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: "/a*b": wildcard can only be in the last '
        "position",
    ]),
    (r.PRIORITY_LEVEL_CONFIGURATIONS, limited(), []),
    (r.PRIORITY_LEVEL_CONFIGURATIONS, level("exempt", type="Exempt", exempt={}), []),
    (r.PRIORITY_LEVEL_CONFIGURATIONS, level(type="Exempt", exempt={}),
     ["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"]),
    (r.PRIORITY_LEVEL_CONFIGURATIONS, level(type="Limited"),
     ["spec.limited: Required value: must not be empty when type is Limited"]),
    (r.PRIORITY_LEVEL_CONFIGURATIONS, limited(
        nominalConcurrencyShares=-1, lendablePercent=101, borrowingLimitPercent=-1,
        limitResponse={"type": "Queue", "queuing": {"queues": 2, "handSize": 3, "queueLengthLimit": -1}},
    ), [
        "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
        "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
        "spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer",
        "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive",
        "spec.limited.limitResponse.queuing.handSize: Invalid value: 3: should not be greater than queues (2)",
    ]),
    (r.PRIORITY_LEVEL_CONFIGURATIONS, limited(limitResponse={"type": "Foo"}), [
        'spec.limited.limitResponse.type: Unsupported value: "Foo": supported values: "Queue", "Reject"'
    ]),
    (r.API_SERVICES, api_service(), []),
    (r.API_SERVICES, api_service(service={"name": "", "namespace": "n", "port": 0}, insecureSkipTLSVerify=True,
                                 caBundle="YQ=="), [
        "spec.service.name: Required value",
        "spec.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
        "spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present",
    ]),
    (r.API_SERVICES, api_service(insecureSkipTLSVerify=True, caBundle="YQ=="), [
        'spec.caBundle: Invalid value: "1 bytes": local APIServices may not have a caBundle',
        "spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify",
    ]),
    (r.RUNTIME_CLASSES, {
        "handler": "h", "overhead": {"podFixed": {"cpu": "-1"}},
        "scheduling": {"tolerations": [{"operator": "Exists"}, {"operator": "Exists"}]},
    }, [
        'overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
        'scheduling.tolerations[1]: Duplicate value: {"operator":"Exists"}',
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("resource", "doc", "expected"), CASES, ids=range(len(CASES)))
def test_texts(
    errors_of: Callable[..., list[str]], resource: Resource[Any], doc: dict[str, Any], expected: list[str]
) -> None:
    """Each mistake is reported at its path in upstream's words, and nothing else is."""
    assert errors_of(resource, doc) == expected
