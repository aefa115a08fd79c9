"""Custom resources pass admission like built-in ones: hooks, policies with custom parameters, webhooks, versions."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.apiserver.admission.hooks import Review
from tests.apiserver.admission.conftest import patch, rule
from tests.apiserver.conftest import MERGE
from tests.apiserver.custom.definitions import DEFINITIONS, FOOS, crd, foo, schema_of, version_of

pytestmark = pytest.mark.anyio
GROUP = "/apis/admissionregistration.k8s.io/v1"
SIZED = schema_of(size={"type": "integer"}, colour={"type": "string", "default": "red"})
FOO_RULE = {
    "apiGroups": ["example.com"],
    "apiVersions": ["v1"],
    "operations": ["CREATE", "UPDATE"],
    "resources": ["foos"],
}


async def test_hooks_and_webhooks(server: Any, backend: Any, register: Any) -> None:
    """What they change is pruned, defaulted and validated by the schema."""
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=SIZED)))

    def grow(review: Review) -> None:
        assert review.object is not None
        review.object["spec"]["size"] += 1

    server.ctx.dynamic.hooks.add(grow, resources=["foos.example.com"], operations=["CREATE"])
    more = patch(
        {"op": "add", "path": "/spec/unknown", "value": 1}, {"op": "replace", "path": "/spec/colour", "value": "blue"}
    )
    await register("mutating", "m", backend.on("/m", lambda r: more), [rule("foos", operations=("CREATE",))])
    made = await server.ok("POST", FOOS, foo(spec={"size": 1}))
    assert made["spec"] == {"size": 2, "colour": "blue"}
    (request,) = backend.requests("/m")
    assert request["kind"] == {"group": "example.com", "version": "v1", "kind": "Foo"}
    assert request["object"]["spec"] == {"size": 2, "colour": "red"}
    backend.answers["/m"] = lambda r: patch({"op": "replace", "path": "/spec/size", "value": "large"})
    refused = await server.call("POST", FOOS, foo("g", spec={"size": 1}), failing=True)
    assert refused.status_code in (422, 500)
    assert (await server.call("GET", f"{FOOS}/g")).status_code == 404


async def test_policies(server: Any) -> None:
    """A policy about a custom resource, whose parameter is a custom resource; and one that changes it."""
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=SIZED)))
    names = {"plural": "limits", "kind": "Limit"}
    await server.ok("POST", DEFINITIONS, crd(version_of(schema=schema_of(max={"type": "integer"})), names=names))
    limit = {"apiVersion": "example.com/v1", "kind": "Limit", "metadata": {"name": "l"}, "spec": {"max": 3}}
    await server.ok("POST", FOOS.replace("foos", "limits"), limit)
    constraints = {"resourceRules": [FOO_RULE]}
    validation = {"expression": "object.spec.size <= params.spec.max", "message": "too large"}
    spec = {
        "matchConstraints": constraints,
        "paramKind": {"apiVersion": "example.com/v1", "kind": "Limit"},
        "validations": [validation],
    }
    await server.ok("POST", f"{GROUP}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": spec})
    reference = {"name": "l", "namespace": "default", "parameterNotFoundAction": "Deny"}
    binding = {"policyName": "p", "validationActions": ["Deny"], "paramRef": reference}
    await server.ok("POST", f"{GROUP}/validatingadmissionpolicybindings", {"metadata": {"name": "b"}, "spec": binding})
    expression = "Object{spec: Object.spec{colour: 'green'}}"
    mutation = {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}
    spec = {"matchConstraints": constraints, "reinvocationPolicy": "Never", "mutations": [mutation]}
    await server.ok("POST", f"{GROUP}/mutatingadmissionpolicies", {"metadata": {"name": "m"}, "spec": spec})
    bound = {"metadata": {"name": "m"}, "spec": {"policyName": "m"}}
    await server.ok("POST", f"{GROUP}/mutatingadmissionpolicybindings", bound)
    made = await server.ok("POST", FOOS, foo(spec={"size": 3}))
    assert made["spec"]["colour"] == "green"
    refused = await server.call("PATCH", f"{FOOS}/f", {"spec": {"size": 4}}, type=MERGE)
    assert refused.status_code == 422
    assert refused.json()["message"].endswith("denied request: too large")


async def test_a_rule_about_another_version(server: Any, backend: Any, register: Any) -> None:
    """A webhook that knows only v1 sees objects of v2 converted to it, and its changes come back converted."""

    def convert(request: dict[str, Any]) -> dict[str, Any]:
        wanted, objects = request["desiredAPIVersion"], []
        for obj in request["objects"]:
            size = obj["spec"].get("size", obj["spec"].get("length"))
            spec = {"size": size} if wanted.endswith("v1") else {"length": size}
            objects.append({**obj, "apiVersion": wanted, "spec": spec})
        return {"convertedObjects": objects, "result": {"status": "Success"}}

    conversion = {
        "strategy": "Webhook",
        "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": backend.on("/convert", convert)},
    }
    versions = (
        version_of("v1", schema_of(size={"type": "integer"})),
        version_of("v2", schema_of(length={"type": "integer"}), storage=False),
    )
    await server.ok("POST", DEFINITIONS, crd(*versions, conversion=conversion))
    double = patch({"op": "replace", "path": "/spec/size", "value": 14})
    await register("mutating", "m", backend.on("/m", lambda r: double), [{**FOO_RULE, "operations": ["CREATE"]}])
    made = await server.ok("POST", FOOS.replace("/v1/", "/v2/"), foo(version="v2", spec={"length": 7}))
    (request,) = backend.requests("/m")
    assert (request["object"]["apiVersion"], request["object"]["spec"]) == ("example.com/v1", {"size": 7})
    assert (request["requestKind"]["version"], request["kind"]["version"]) == ("v2", "v1")
    assert (made["apiVersion"], made["spec"]) == ("example.com/v2", {"length": 14})
