"""Selectors in access reviews: what is refused, what is left out, and what authorizers make of them."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.apiserver.authorization.selectors import field_selector, label_selector

pytestmark = pytest.mark.anyio

REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
PATH = "spec.resourceAttributes.fieldSelector"
NODE = {"user": "system:node:n1", "groups": ["system:nodes", "system:authenticated"]}


def requirement(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


def requirements(*given: dict[str, Any]) -> dict[str, Any]:
    return {"requirements": list(given)}


IGNORED = "spec.resourceAttributes.{} ignored due to parse error"
PARTLY = "spec.resourceAttributes.{} partially ignored due to parse error"


@pytest.mark.parametrize(
    ("selector", "text", "ignored"),
    [
        (None, "", ""),
        ({"rawSelector": "spec.nodeName==n1,a!=b"}, "spec.nodeName=n1,a!=b", ""),
        ({"rawSelector": "nonsense"}, "", IGNORED),
        (requirements(requirement("a", "In", "x,y"), requirement("b", "NotIn", "z")), "a=x\\,y,b!=z", ""),
        (requirements(requirement("a", "In", "x", "y")), "", IGNORED),
        (requirements(requirement("a", "Exists"), requirement("b", "In", "z")), "b=z", PARTLY),
        (requirements(requirement("a", "Newer", "x")), "", IGNORED),
    ],
)
def test_field_selectors(selector: Any, text: str, ignored: str) -> None:
    """Raw or as requirements; what field selectors cannot say is left out."""
    assert field_selector({"fieldSelector": selector}) == (text, ignored.format("fieldSelector"))


@pytest.mark.parametrize(
    ("selector", "text", "ignored"),
    [
        (None, "", ""),
        ({"rawSelector": "a in (y,x), !b"}, "a in (x,y),!b", ""),
        ({"rawSelector": "a in"}, "", IGNORED),
        (requirements(requirement("a", "In", "x"), requirement("b", "Exists"), requirement("c", "DoesNotExist")),
         "a in (x),b,!c", ""),
        (requirements(requirement("a", "Newer", "x"), requirement("b", "NotIn", "z")), "b notin (z)", PARTLY),
    ],
)  # fmt: skip
def test_label_selectors(selector: Any, text: str, ignored: str) -> None:
    """The same for labels."""
    assert label_selector({"labelSelector": selector}) == (text, ignored.format("labelSelector"))


@pytest.mark.parametrize(
    ("name", "selector", "errors"),
    [
        ("fieldSelector", {"rawSelector": "foo", **requirements(requirement("a", "In", "x"))}, {
            "rawSelector": 'Invalid value: "foo": may not specified at the same time as requirements'}),
        ("fieldSelector", {}, {"requirements": "Required value: when {} is specified, requirements or rawSelector is "
                                               "required"}),
        ("fieldSelector", requirements(requirement("", "In")), {
            "requirements[0].values": "Required value: must be specified when `operator` is 'In' or 'NotIn'",
            "requirements[0].key": "Required value: must be specified"}),
        ("labelSelector", requirements(requirement("a", "Exists", "x")), {
            "requirements[0].values":
            "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'"}),
        ("labelSelector", {}, {"requirements": "Required value: when {} is specified, requirements or rawSelector is "
                                               "required"}),
    ],
)  # fmt: skip
async def test_what_is_refused(server: Any, name: str, selector: Any, errors: dict[str, str]) -> None:
    """With upstream's texts."""
    spec = {"user": "me", "resourceAttributes": {"verb": "list", "resource": "pods", name: selector}}
    response = await server.call("POST", REVIEWS, {"spec": spec})
    assert response.status_code == 422
    causes = {cause["field"]: cause["message"] for cause in response.json()["details"]["causes"]}
    path = f"spec.resourceAttributes.{name}"
    assert causes == {f"{path}.{field}": text.format(path) for field, text in errors.items()}


@pytest.mark.parametrize(
    ("selector", "allowed", "error"),
    [
        ({"rawSelector": "spec.nodeName=n1"}, True, None),
        (requirements(requirement("spec.nodeName", "In", "n1")), True, None),
        (requirements(requirement("spec.nodeName", "NotIn", "n1")), False, None),
        (requirements(requirement("spec.nodeName", "In", "n1"), requirement("a", "Newer")), True, PARTLY),
        ({"rawSelector": "spec.nodeName"}, False, IGNORED),
        ({"rawSelector": "spec.nodeName=n2"}, False, None),
    ],
)
async def test_nodes_may_list_their_pods(
    ruled: Any, admin: dict[str, str], selector: Any, allowed: bool, error: str | None
) -> None:
    """A review gets the answer that the request would get; what was left out of the question is said."""
    attributes = {"verb": "list", "resource": "pods", "fieldSelector": selector}
    review = await ruled.ok("POST", REVIEWS, {"spec": {**NODE, "resourceAttributes": attributes}}, headers=admin)
    assert review["status"]["allowed"] is allowed
    assert review["status"].get("evaluationError") == (error and error.format("fieldSelector"))
    assert review["spec"]["resourceAttributes"]["fieldSelector"] == selector


async def test_local_reviews_are_of_their_namespace(server: Any) -> None:
    """Which they need not name; another one is refused, in the attributes and in the metadata."""
    local = "/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews"
    spec = {"user": "me", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}
    assert (await server.ok("POST", local, {"spec": spec}))["metadata"]["namespace"] == "default"
    other = {**spec, "resourceAttributes": {**spec["resourceAttributes"], "namespace": "other"}}  # type: ignore[dict-item]
    response = await server.call("POST", local, {"spec": other})
    assert response.json()["details"]["causes"] == [{
        "reason": "FieldValueInvalid", "field": "spec.resourceAttributes.namespace",
        "message": 'Invalid value: "other": must match metadata.namespace',
    }]  # fmt: skip
    body = {"metadata": {"namespace": "other"}, "spec": spec}
    message = "the namespace of the provided object does not match the namespace sent on the request"
    await server.refused("POST", local, 400, "BadRequest", message, body)


async def test_expressions_ask_with_selectors(ruled: Any, admin: dict[str, str]) -> None:
    """`authorizer` in a policy: what a node may list with its name, and not without."""
    base = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolic"
    check = "authorizer.group('').resource('pods'){}.check('list').allowed()"
    selected = check.format(".fieldSelector('spec.nodeName=n1').labelSelector('a=b')")
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["events"]}]
    spec = {"matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": f"{selected} && !{check.format('')}"}]}  # fmt: skip
    await ruled.ok("POST", f"{base}ies", {"metadata": {"name": "p"}, "spec": spec}, headers=admin)
    binding = {"policyName": "p", "validationActions": ["Deny"]}
    await ruled.ok("POST", f"{base}ybindings", {"metadata": {"name": "b"}, "spec": binding}, headers=admin)
    for node, code in (("n1", 201), ("n2", 422)):
        acting = {**admin, "impersonate-user": f"system:node:{node}", "impersonate-group": "system:nodes"}
        event = {"metadata": {"generateName": "e"}, "involvedObject": {"kind": "Pod", "namespace": "default"}}
        response = await ruled.call("POST", "events", event, headers=acting)
        assert response.status_code == code, response.text
