"""MutatingAdmissionPolicies, told by what they make of objects and whom they meet."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.admission.policies import CONFIG_MAPS, GROUP, PODS, cm
from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio


async def mutating(server: Any, *mutations: dict[str, Any], name: str = "m", **spec: Any) -> None:
    """A MutatingAdmissionPolicy about ConfigMaps and its binding."""
    spec = {"matchConstraints": CONFIG_MAPS, "reinvocationPolicy": "Never", "mutations": mutations, **spec}
    await server.ok("POST", f"{GROUP}/mutatingadmissionpolicies", {"metadata": {"name": name}, "spec": spec})
    bound = {"metadata": {"name": f"{name}-b"}, "spec": {"policyName": name}}
    await server.ok("POST", f"{GROUP}/mutatingadmissionpolicybindings", bound)


def apply(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def json_patch(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def test_mutations(server: Any) -> None:
    """A configuration is merged as server-side apply would, a patch is applied; each sees what the one before left."""
    await mutating(
        server,
        apply("Object{metadata: Object.metadata{labels: {'by': 'policy'}}, data: {'n': string(size(object.data))}}"),
        json_patch("[JSONPatch{op: 'add', path: '/data/m', value: object.data.n + '!'}]"),
    )
    made = await server.ok("POST", "configmaps", cm(a="1"))
    assert made["data"] == {"a": "1", "n": "1", "m": "1!"}
    assert made["metadata"]["labels"] == {"by": "policy"}


async def test_a_policy_adds_a_sidecar(server: Any) -> None:
    """Containers merge by name; what is added is defaulted, and the built-in plugins see it."""
    side = "Object.spec.initContainers{name: 'side', image: 'proxy', restartPolicy: 'Always'}"
    await mutating(
        server,
        apply("Object{spec: Object.spec{initContainers: [" + side + "]}}"),
        matchConstraints=PODS,
        matchConditions=[{"name": "once", "expression": "!has(object.spec.initContainers)"}],
    )
    spec = {"containers": [{"name": "c", "image": "i"}]}
    pod = await server.ok("POST", "pods", {"metadata": {"name": "p"}, "spec": spec})
    (init,) = pod["spec"]["initContainers"]
    assert (init["name"], init["terminationMessagePath"]) == ("side", "/dev/termination-log")
    assert init["volumeMounts"][0]["readOnly"] is True


MUTATION_ERRORS: list[tuple[dict[str, Any], str]] = [
    (
        json_patch("[JSONPatch{op: 'remove', path: '/nowhere'}]"),
        "Unable to remove nonexistent key: nowhere: missing value",
    ),
    (apply("Object{data: object.nope}"), "expression 'Object{data: object.nope}' resulted in error: no such key: nope"),
    (apply("Object{immutable: 'no boolean'}"), "cannot"),
]


@pytest.mark.parametrize(("mutation", "text"), MUTATION_ERRORS, ids=lambda value: str(value)[:50])
async def test_mutations_that_fail(server: Any, mutation: dict[str, Any], text: str) -> None:
    """A mutation without a result, or with one that is none of the kind, refuses; with Ignore it is passed over."""
    await mutating(server, mutation)
    before = server.ctx.store.revision
    status = (await server.call("POST", "configmaps", cm(k="v"))).json()
    assert (status["code"], status["reason"]) == (403, "Invalid")
    assert status["message"].startswith("policy 'm' with binding 'm-b' denied request: ")
    assert text in status["message"]
    assert server.ctx.store.revision == before
    await server.ok("PATCH", f"{GROUP}/mutatingadmissionpolicies/m", {"spec": {"failurePolicy": "Ignore"}}, type=MERGE)
    await server.ok("POST", "configmaps", cm(k="v"))


async def test_atomic_parts_are_not_merged(server: Any) -> None:
    """A configuration cannot replace a list that it may have seen only a part of."""
    await mutating(
        server,
        apply("Object{spec: Object.spec{containers: [Object.spec.containers{name: 'c', command: ['x']}]}}"),
        matchConstraints=PODS,
    )
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    status = (await server.call("POST", "pods", body)).json()
    assert "may not mutate atomic arrays, maps or structs: .spec.containers.command" in status["message"]


async def test_mutating_policies_that_cannot_be(server: Any) -> None:
    """Patch types want their own field, and expressions their own result."""
    cases = [
        ([], "spec.mutations: Required value"),
        ([{"patchType": "JSONPatch"}], "spec.mutations[0].jsonPatch: Required value"),
        ([{**apply("Object{}"), "jsonPatch": {"expression": "[]"}}], "spec.mutations[0].jsonPatch: Forbidden"),
        ([apply("1")], "spec.mutations[0].applyConfiguration.expression: Invalid value"),
        ([json_patch("'x'")], "spec.mutations[0].jsonPatch.expression: Invalid value"),
    ]
    for mutations, text in cases:
        spec = {"matchConstraints": CONFIG_MAPS, "reinvocationPolicy": "Never", "mutations": mutations}
        body = {"metadata": {"name": "m"}, "spec": spec}
        answer = await server.call("POST", f"{GROUP}/mutatingadmissionpolicies", body)
        assert answer.status_code == 422, answer.text
        assert text in answer.json()["message"]


async def test_reinvocation(server: Any, backend: Any, register: Any) -> None:
    """A policy that asks for it looks again after a webhook behind it has changed the object."""
    from tests.apiserver.admission.conftest import patch

    await mutating(server, apply("Object{data: {'seen': string(size(object.data))}}"), reinvocationPolicy="IfNeeded")
    await register("mutating", "w", backend.on("/w", lambda r: patch({"op": "add", "path": "/data/w", "value": "1"})))
    made = await server.ok("POST", "configmaps", cm(a="1"))
    assert made["data"] == {"a": "1", "seen": "3", "w": "1"}
