"""Admission policies in CEL: whom they concern, what they refuse, warn about, note and change."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.request import User
from tests.apiserver.admission.policies import CONFIG_MAPS, GROUP, cm
from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio
JSON = "application/json-patch+json"


async def validating(server: Any, name: str = "p", *, binding: dict[str, Any] | None = None, **spec: Any) -> None:
    """A ValidatingAdmissionPolicy about ConfigMaps and a binding that denies."""
    await server.ok(
        "POST",
        f"{GROUP}/validatingadmissionpolicies",
        {"metadata": {"name": name}, "spec": {"matchConstraints": CONFIG_MAPS, **spec}},
    )
    bound = {"policyName": name, "validationActions": ["Deny"], **(binding or {})}
    await server.ok(
        "POST", f"{GROUP}/validatingadmissionpolicybindings", {"metadata": {"name": f"{name}-b"}, "spec": bound}
    )


def denied(text: str, policy: str = "p") -> str:
    bound = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}-b' denied request: {text}"
    return f'configmaps "a" is forbidden: {bound}'


async def test_a_policy_refuses(server: Any) -> None:
    """An expression that is not true refuses the request, with upstream's text, code and cause."""
    await validating(server, validations=[{"expression": "!has(object.data.bad)"}])
    await server.ok("POST", "configmaps", cm("good", x="1"))
    text = denied("failed expression: !has(object.data.bad)")
    details = await server.refused("POST", "configmaps", 422, "Invalid", text, cm(bad="1"))
    assert details["causes"] == [{"message": text.partition(": ")[2]}]
    assert (details["name"], details["kind"]) == ("a", "configmaps")
    await server.ok("DELETE", f"{GROUP}/validatingadmissionpolicybindings/p-b")
    await server.ok("POST", "configmaps", cm(bad="1"))


MESSAGES = [
    ({"message": "plain"}, "plain", 422, "Invalid"),
    ({"messageExpression": "'has ' + object.data.k", "message": "plain"}, "has v", 422, "Invalid"),
    ({"messageExpression": "string(object.nope)", "message": "plain"}, "plain", 422, "Invalid"),
    ({"messageExpression": r"'two\nlines'"}, "failed expression: false", 422, "Invalid"),
    ({"message": "m", "reason": "Forbidden"}, "m", 403, "Forbidden"),
    ({"message": "m", "reason": "Unauthorized"}, "m", 401, "Unauthorized"),
    ({"message": "m", "reason": "RequestEntityTooLarge"}, "m", 413, "RequestEntityTooLarge"),
]


@pytest.mark.parametrize(("validation", "text", "code", "reason"), MESSAGES, ids=lambda value: str(value)[:30])
async def test_messages(server: Any, validation: dict[str, Any], text: str, code: int, reason: str) -> None:
    """The computed message goes first, then the given one, then the expression; the reason is the policy's."""
    await validating(server, validations=[{"expression": "false", **validation}])
    await server.refused("POST", "configmaps", code, reason, denied(text), cm(k="v"))


async def test_actions(server: Any) -> None:
    """Warn warns, Audit leaves a note, and both at once do both; nothing is refused."""
    binding = {"validationActions": ["Warn", "Audit"]}
    await validating(
        server, validations=[{"expression": "true"}, {"expression": "false", "message": "no"}], binding=binding
    )
    answer = await server.call("POST", "configmaps", cm())
    assert answer.status_code == 201
    warned = "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'p-b': no"
    assert answer.headers["warning"] == f'299 - "{warned}"'


async def test_errors_count_as_the_failure_policy_says(server: Any) -> None:
    """An expression without a value refuses, or with Ignore is passed over."""
    validations = [{"expression": "object.data.missing == 'x'"}]
    await validating(server, validations=validations)
    text = "expression 'object.data.missing == 'x'' resulted in error: no such key: missing"
    await server.refused("POST", "configmaps", 422, "Invalid", denied(text), cm(k="v"))
    await server.ok(
        "PATCH", f"{GROUP}/validatingadmissionpolicies/p", {"spec": {"failurePolicy": "Ignore"}}, type=MERGE
    )
    await server.ok("POST", "configmaps", cm(k="v"))


async def test_conditions_and_variables(server: Any) -> None:
    """Conditions choose the requests; variables are computed once, when they are asked for, and see those before."""
    await validating(
        server,
        matchConditions=[{"name": "not-free", "expression": "!object.metadata.name.startsWith('free')"}],
        variables=[
            {"name": "count", "expression": "size(object.data)"},
            {"name": "double", "expression": "variables.count * 2"},
            {"name": "broken", "expression": "object.nothing.there"},
        ],
        validations=[
            {"expression": "variables.double < 4", "messageExpression": "'twice is ' + string(variables.double)"}
        ],
    )
    await server.ok("POST", "configmaps", cm("free", a="1", b="2"))
    await server.ok("POST", "configmaps", cm("one", a="1"))
    await server.refused("POST", "configmaps", 422, "Invalid", denied("twice is 4"), cm(a="1", b="2"))


PARAMS = {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}}


async def test_parameters(server: Any) -> None:
    """A binding names the object that says what the policy means here; several are all asked."""
    await server.ok("POST", "configmaps", {"metadata": {"name": "limits", "labels": {"l": "1"}}, "data": {"max": "2"}})
    reference = {"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"}
    await validating(
        server,
        **PARAMS,
        validations=[{"expression": "size(object.data) <= int(params.data.max)", "message": "too many"}],
        binding={"paramRef": reference},
    )
    await server.refused("POST", "configmaps", 422, "Invalid", denied("too many"), cm(a="1", b="2", c="3"))
    await server.ok("PATCH", "configmaps/limits", {"data": {"max": "5"}}, type=MERGE)
    await server.ok("POST", "configmaps", cm(a="1", b="2", c="3"))
    change = {"paramRef": {"name": None, "selector": {"matchLabels": {"l": "2"}}}}
    await server.ok("PATCH", f"{GROUP}/validatingadmissionpolicybindings/p-b", {"spec": change}, type=MERGE)
    why = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    await server.refused("PATCH", "configmaps/a", 422, "Invalid", denied(why), {"data": {"d": "4"}}, type=MERGE)
    allow = {"paramRef": {"parameterNotFoundAction": "Allow"}}
    await server.ok("PATCH", f"{GROUP}/validatingadmissionpolicybindings/p-b", {"spec": allow}, type=MERGE)
    await server.ok("PATCH", "configmaps/a", {"data": {"d": "4"}}, type=MERGE)


async def test_an_unknown_kind_of_parameters(server: Any) -> None:
    """A policy whose parameters have a kind that is not served refuses what it is about, and says why."""
    await validating(
        server,
        paramKind={"apiVersion": "rules.example.com/v1", "kind": "Rule"},
        validations=[{"expression": "params.x == 1"}],
        binding={"paramRef": {"name": "r", "parameterNotFoundAction": "Deny"}},
    )
    why = "failed to find resource referenced by paramKind: 'rules.example.com/v1, Kind=Rule'"
    text = f"ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: {why}"
    text = 'configmaps "a" is forbidden: ' + text
    await server.refused("POST", "configmaps", 422, "Invalid", text, cm())


async def test_namespace_request_and_authorizer(server: Any) -> None:
    """Expressions see the namespace, who asks for what, and may ask what that user may do."""
    await server.ok("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": {"team": "a"}}}, type=MERGE)
    await validating(
        server,
        validations=[
            {"expression": "namespaceObject.metadata.labels['team'] == 'a'"},
            {"expression": "request.userInfo.username == 'system:admin' && request.operation == 'CREATE'"},
            {"expression": "authorizer.group('').resource('pods').namespace('default').check('create').allowed()"},
            {"expression": "authorizer.requestResource.check('create').allowed()"},
            {"expression": "authorizer.serviceAccount('default', 'x').path('/m').check('get').reason() != 'x'"},
            {"expression": "oldObject == null && request.resource.resource == 'configmaps'"},
        ],
    )
    await server.ok("POST", "configmaps", cm())


async def test_audit_annotations(server: Any) -> None:
    """Values are published under the policy's name; null and blanks are not."""
    from functools import partial

    from minik8s.api.request import ApiRequest
    from minik8s.api.resources import CONFIG_MAPS as RESOURCE
    from minik8s.apiserver.dispatch import dispatch

    await validating(
        server,
        auditAnnotations=[
            {"key": "size", "valueExpression": "'has ' + string(size(object.data))"},
            {"key": "none", "valueExpression": "null"},
        ],
        validations=[{"expression": "false", "message": "hm"}],
        binding={"validationActions": ["Audit"]},
    )
    request = ApiRequest(
        "create", RESOURCE, "default", body=cm(k="v"), user=User("me", groups=("system:authenticated",))
    )
    await partial(dispatch, server.ctx)(request)
    assert request.audit_annotations["p/size"] == "has 1"
    assert "p/none" not in request.audit_annotations
    failure = request.audit_annotations["validation.policy.admission.k8s.io/validation_failure"]
    assert (
        failure == '[{"message":"hm","policy":"p","binding":"p-b","expressionIndex":0,"validationActions":["Audit"]}]'
    )


async def test_a_policy_changes_and_takes_effect_at_once(server: Any) -> None:
    """What is compiled belongs to one generation."""
    await validating(server, validations=[{"expression": "false", "message": "one"}])
    await server.refused("POST", "configmaps", 422, "Invalid", denied("one"), cm())
    change = {"spec": {"validations": [{"expression": "true"}]}}
    await server.ok("PATCH", f"{GROUP}/validatingadmissionpolicies/p", change, type=MERGE)
    await server.ok("POST", "configmaps", cm())


async def test_bindings_narrow(server: Any) -> None:
    """A binding's own selectors and exclusions count as well as the policy's."""
    narrow = {
        "objectSelector": {"matchLabels": {"strict": "yes"}},
        "excludeResourceRules": [
            {
                "apiGroups": ["*"],
                "apiVersions": ["*"],
                "operations": ["*"],
                "resources": ["*"],
                "resourceNames": ["spared"],
            }
        ],
    }
    await validating(server, validations=[{"expression": "false", "message": "no"}], binding={"matchResources": narrow})
    strict = {"labels": {"strict": "yes"}}
    await server.ok("POST", "configmaps", cm("other"))
    await server.ok("POST", "configmaps", {"metadata": {"name": "spared", **strict}})
    await server.refused("POST", "configmaps", 422, "Invalid", denied("no"), {"metadata": {"name": "a", **strict}})


TRUE = [{"expression": "true"}]
INVALID: list[tuple[dict[str, Any], str]] = [
    (
        {"validations": [{"expression": "object.x +"}]},
        'spec.validations[0].expression: Invalid value: "object.x +": compilation failed: ERROR: <input>:1:11: Syntax',
    ),
    (
        {"validations": [{"expression": "1"}]},
        'spec.validations[0].expression: Invalid value: "1": must evaluate to bool',
    ),
    ({"validations": [{"expression": "params.x"}]}, "undeclared reference to 'params' (in container '')"),
    ({"validations": [{"expression": "request.nope == 1"}]}, "undefined field 'nope'"),
    (
        {"validations": [{"expression": "true", "messageExpression": "1"}]},
        'spec.validations[0].messageExpression: Invalid value: "1": must evaluate to string',
    ),
    ({"validations": [{"expression": "true", "reason": "Whim"}]}, 'reason: Unsupported value: "Whim"'),
    (
        {"validations": [{"expression": "true\n&& true"}]},
        "message: Required value: message must be specified if expression contains line breaks",
    ),
    ({}, "spec.validations: Required value: validations or auditAnnotations must contain at least one item"),
    (
        {"validations": TRUE, "variables": [{"name": "a-b", "expression": "1"}]},
        'spec.variables[0].name: Invalid value: "a-b": name is not a valid CEL identifier',
    ),
    (
        {"validations": TRUE, "matchConditions": [{"name": "x", "expression": "variables.y"}]},
        "undeclared reference to 'variables'",
    ),
    ({"validations": TRUE, "matchConstraints": {}}, "spec.matchConstraints.resourceRules: Required value"),
    ({"auditAnnotations": [{"key": "k", "valueExpression": "1"}]}, "must evaluate to one of [string null_type]"),
]


@pytest.mark.parametrize(("spec", "text"), INVALID, ids=lambda value: value[:40] if isinstance(value, str) else "")
async def test_policies_that_cannot_be(server: Any, spec: dict[str, Any], text: str) -> None:
    """What could not be evaluated is refused when it is written, with upstream's text."""
    body = {"metadata": {"name": "p"}, "spec": {"matchConstraints": CONFIG_MAPS, **spec}}
    answer = await server.call("POST", f"{GROUP}/validatingadmissionpolicies", body)
    assert answer.status_code == 422
    assert text in answer.json()["message"]


async def test_bindings_that_cannot_be(server: Any) -> None:
    """All that is wrong with a binding is said at once."""
    spec = {"validationActions": ["Deny", "Warn", "Shout"], "paramRef": {"name": "a", "selector": {}}}
    answer = await server.call(
        "POST", f"{GROUP}/validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": spec}
    )
    fields = [cause["field"] for cause in answer.json()["details"]["causes"]]
    assert fields == [
        "spec.policyName",
        "spec.paramRef.name",
        "spec.paramRef.selector",
        "spec.paramRef.parameterNotFoundAction",
        "spec.validationActions[2]",
        "spec.validationActions",
    ]


async def test_conditions_of_webhooks(server: Any, backend: Any, register: Any) -> None:
    """A webhook is only asked where its conditions hold; one that cannot be evaluated refuses, or is passed over."""
    conditions = [{"name": "only-b", "expression": "object.metadata.name == 'b' && !request.dryRun"}]
    await register("validating", "v", backend.on("/v"), matchConditions=conditions)
    await server.ok("POST", "configmaps", cm("a"))
    await server.ok("POST", "configmaps", cm("b"))
    assert [request["name"] for request in backend.requests("/v")] == ["b"]
    broken = [{"op": "replace", "path": "/webhooks/0/matchConditions/0/expression", "value": "object.nope == 1"}]
    path = f"{GROUP}/validatingwebhookconfigurations/v"
    await server.ok("PATCH", path, broken, type=JSON)
    text = "expression 'object.nope == 1' resulted in error: no such key: nope"
    await server.refused("POST", "configmaps", 403, "Forbidden", f'configmaps "c" is forbidden: {text}', cm("c"))
    await server.ok(
        "PATCH", path, [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}], type=JSON
    )
    await server.ok("POST", "configmaps", cm("c"))
    assert len(backend.reviews) == 1
    wrong = [{"op": "replace", "path": "/webhooks/0/matchConditions/0/expression", "value": "variables.x"}]
    answer = await server.call("PATCH", path, wrong, type=JSON)
    assert answer.status_code == 422
    assert "webhooks[0].matchConditions[0].expression: Invalid value" in answer.json()["message"]


async def test_a_costly_policy_ends(server: Any) -> None:
    """An expression that would take for ever is ended by its budget."""
    expression = "object.data.all(a, object.data.all(b, object.data.all(c, object.data.all(d, a + b + c + d != ''))))"
    await validating(server, validations=[{"expression": expression}])
    answer = await server.call("POST", "configmaps", cm(**{f"k{n}": "v" for n in range(100)}))
    assert answer.status_code == 422
    assert "cost" in answer.json()["message"]
