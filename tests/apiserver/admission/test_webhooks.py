"""Webhooks over real HTTPS: what they are sent, what they may do, and what happens when they misbehave."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.admission.conftest import CM, CONFIGURATIONS, allow, deny, patch, rule
from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio


def label(value: str) -> Any:
    return lambda request: patch({"op": "add", "path": "/metadata/labels", "value": {"by": value}})


async def test_what_a_webhook_is_sent(server: Any, backend: Any, register: Any) -> None:
    """An AdmissionReview v1 with everything that upstream puts into one; the timeout stands in the query."""
    await register("validating", "v", backend.on("/v"), timeoutSeconds=7)
    await server.ok("POST", "configmaps?fieldManager=me", CM)
    ((_, review),) = backend.reviews
    assert (review["kind"], review["apiVersion"]) == ("AdmissionReview", "admission.k8s.io/v1")
    request = review["request"]
    created = request.pop("object")
    assert created["metadata"]["uid"]
    assert created["kind"] == "ConfigMap"
    assert len(request.pop("uid")) == 36
    assert request == {
        "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "resource": {"group": "", "version": "v1", "resource": "configmaps"},
        "requestKind": {"group": "", "version": "v1", "kind": "ConfigMap"},
        "requestResource": {"group": "", "version": "v1", "resource": "configmaps"},
        "name": "a",
        "namespace": "default",
        "operation": "CREATE",
        "userInfo": {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]},
        "oldObject": None,
        "dryRun": False,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"},
    }
    assert backend.queries == ["timeout=7s"]


async def test_updates_and_deletions(server: Any, backend: Any, register: Any) -> None:
    """An update carries both documents; a deletion the old one and its options; a collection one review an object."""
    await server.ok("POST", "configmaps", CM)
    await register("validating", "v", backend.on("/v"), [rule("configmaps", operations=("UPDATE", "DELETE"))])
    await server.ok("PATCH", "configmaps/a?dryRun=All", {"data": {"k": "w"}}, type=MERGE)
    await server.ok("PATCH", "configmaps/a", {"data": {"k": "w"}}, type=MERGE)
    await server.ok("POST", "configmaps", {"metadata": {"name": "b"}})
    await server.ok("DELETE", "configmaps/a?gracePeriodSeconds=3")
    await server.ok("DELETE", "configmaps")
    tried, update, single, collected = backend.requests("/v")
    assert tried["dryRun"] is True
    assert tried["options"] == {"kind": "PatchOptions", "apiVersion": "meta.k8s.io/v1", "dryRun": ["All"]}
    assert (update["object"]["data"], update["oldObject"]["data"]) == ({"k": "w"}, {"k": "v"})
    assert (single["object"], single["oldObject"]["metadata"]["name"]) == (None, "a")
    assert single["options"] == {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 3}
    assert (collected["operation"], collected["name"]) == ("DELETE", "b")


async def test_a_generated_name(server: Any, backend: Any, register: Any) -> None:
    """Whoever mutates sees no name and no uid yet and is asked once; whoever validates sees both."""
    await register("mutating", "m", backend.on("/m"))
    await register("validating", "v", backend.on("/v"))
    made = await server.ok("POST", "configmaps", {"metadata": {"generateName": "x-"}})
    (before,), (after,) = backend.requests("/m"), backend.requests("/v")
    assert "name" not in before
    assert not {"name", "uid", "creationTimestamp"} & set(before["object"]["metadata"])
    assert after["object"]["metadata"]["name"] == made["metadata"]["name"]
    assert after["object"]["metadata"]["uid"] == made["metadata"]["uid"]


async def test_refusals(server: Any, backend: Any, register: Any) -> None:
    """The Status of a refusal is the webhook's, completed: 400 unless it says a code, and always with its name."""
    cases = [
        ({"allowed": False, "status": {"message": "no", "code": 403, "reason": "Forbidden"}}, 403, "Forbidden", ": no"),
        ({"allowed": False, "status": {"message": "no"}}, 400, "", ": no"),
        ({"allowed": False, "status": {"reason": "Because", "code": 200}}, 400, "Because", ": Because"),
        ({"allowed": False}, 400, "", " without explanation"),
        ({}, 400, "", " without explanation"),
        ({"allowed": "yes", "status": "odd"}, 400, "", " without explanation"),
        ({"allowed": False, "status": {"details": {"causes": "odd"}}}, 400, "", " without explanation"),
    ]
    answers = iter([case[0] for case in cases])
    await register("validating", "v", backend.on("/v", lambda request: next(answers)))
    for _, code, reason, text in cases:
        message = f'admission webhook "v.example.com" denied the request{text}'
        await server.refused("POST", "configmaps", code, reason, message, CM)


async def test_warnings_and_annotations(server: Any, backend: Any, register: Any) -> None:
    """Warnings reach the client, allowed or not; annotations wait for the audit log under the webhook's name."""
    answer = {"allowed": True, "warnings": ["careful"], "auditAnnotations": {"why": "just so"}}
    await register("validating", "v", backend.on("/v", lambda request: answer))
    made = await server.call("POST", "configmaps", CM)
    assert made.headers["warning"] == '299 - "careful"'
    await register("mutating", "m", backend.on("/m", label("me")))
    await server.ok("POST", "configmaps", {"metadata": {"name": "b"}})
    first, *_, last = (event.annotations for event in server.ctx.audit if event.resource == "configmaps")
    assert first["v.example.com/why"] == "just so"
    note = '{"configuration":"m","webhook":"m.example.com","mutated":true}'
    assert last["mutation.webhook.admission.k8s.io/round_0_index_0"] == note


async def test_patches(server: Any, backend: Any, register: Any) -> None:
    """Webhooks change the object one after the other, by their configurations' names; then it is validated."""
    await register(
        "mutating", "b", backend.on("/b", lambda r: patch({"op": "add", "path": "/data/second", "value": "2"}))
    )
    await register(
        "mutating", "a", backend.on("/a", lambda r: patch({"op": "replace", "path": "/data", "value": {"n": "1"}}))
    )
    made = await server.ok("POST", "configmaps", CM)
    assert made["data"] == {"n": "1", "second": "2"}
    assert backend.requests("/b")[0]["object"]["data"] == {"n": "1"}
    backend.answers["/b"] = lambda r: patch({"op": "add", "path": "/data/..", "value": "2"})
    refused = await server.call("POST", "configmaps", {"metadata": {"name": "z"}, "data": {"k": "v"}})
    assert (refused.status_code, refused.json()["reason"]) == (422, "Invalid")


async def test_a_pod_gets_a_sidecar(server: Any, backend: Any, register: Any) -> None:
    """What a webhook adds to a pod is defaulted, and the built-in plugins look again: the sidecar gets its token."""
    side = {"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "proxy"}}
    await register("mutating", "m", backend.on("/m", lambda r: patch(side)), [rule("pods", operations=("CREATE",))])
    pod = await server.ok(
        "POST", "pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    )
    side_car = pod["spec"]["containers"][1]
    assert side_car["terminationMessagePath"] == "/dev/termination-log"
    assert [m["mountPath"] for m in side_car["volumeMounts"]] == ["/var/run/secrets/kubernetes.io/serviceaccount"]


async def test_reinvocation(server: Any, backend: Any, register: Any) -> None:
    """Who asks for it is called once more after somebody behind it has changed something; others are not."""

    def once(key: str) -> Any:
        def answer(request: dict[str, Any]) -> dict[str, Any]:
            if key in request["object"]["data"]:
                return {"allowed": True}
            return patch({"op": "add", "path": f"/data/{key}", "value": "1"})

        return answer

    await register("mutating", "a", backend.on("/a", once("a")), reinvocationPolicy="IfNeeded")
    await register("mutating", "b", backend.on("/b", once("b")))
    await register("mutating", "c", backend.on("/c"), reinvocationPolicy="IfNeeded")
    made = await server.ok("POST", "configmaps", CM)
    assert made["data"] == {"k": "v", "a": "1", "b": "1"}
    assert [path for path, _ in backend.reviews] == ["/a", "/b", "/c", "/a"]
    assert backend.requests("/a")[1]["object"]["data"] == made["data"]


async def test_dry_run(server: Any, backend: Any, register: Any) -> None:
    """A webhook with side effects is not called on dry run, and refuses it; one without is told."""
    await register("validating", "v", backend.on("/v"), sideEffects="NoneOnDryRun")
    await server.ok("POST", "configmaps?dryRun=All", CM)
    assert backend.requests("/v")[0]["dryRun"] is True
    # sideEffects Some cannot be created any more, but objects of that time are still stored
    entry = server.ctx.store.scan(("validatingwebhookconfigurations.admissionregistration.k8s.io",))[0]
    webhook = {**entry.value["webhooks"][0], "sideEffects": "Some"}
    await server.ctx.store.put(entry.key, {**entry.value, "webhooks": [webhook]})
    why = 'admission webhook "v.example.com" does not support dry run'
    await server.refused("POST", "configmaps?dryRun=All", 400, "BadRequest", why, CM)
    await server.ok("POST", "configmaps", CM)


async def test_whom_it_concerns(server: Any, backend: Any, register: Any) -> None:
    """Rules, selectors and policies decide; changes of labels and configurations are in force at once."""
    await register(
        "validating",
        "v",
        backend.on("/v", deny("no")),
        objectSelector={"matchLabels": {"app": "x"}},
        namespaceSelector={"matchExpressions": [{"key": "guarded", "operator": "Exists"}]},
    )
    await server.ok("POST", "configmaps", CM)
    await server.ok("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": {"guarded": ""}}}, type=MERGE)
    why = 'admission webhook "v.example.com" denied the request: no'
    await server.refused("POST", "configmaps", 400, "", why, {**CM, "metadata": {"name": "b", "labels": {"app": "x"}}})
    await server.ok("POST", "configmaps", {"metadata": {"name": "b"}})
    await server.refused("PATCH", "configmaps/a", 400, "", why, {"metadata": {"labels": {"app": "y"}}}, type=MERGE)
    await server.ok("DELETE", f"{CONFIGURATIONS}/v")
    await server.ok("PATCH", "configmaps/a", {"metadata": {"labels": {"app": "y"}}}, type=MERGE)


async def test_a_namespace_is_selected_by_its_own_labels(server: Any, backend: Any, register: Any) -> None:
    """Also while it is being created; and it counts as cluster scoped."""
    selector = {"matchLabels": {"team": "a"}}
    rules = [rule("namespaces", scope="Cluster")]
    await register("validating", "v", backend.on("/v", deny("no")), rules, namespaceSelector=selector)
    await server.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "b", "labels": {"team": "b"}}})
    answer = await server.call("POST", "/api/v1/namespaces", {"metadata": {"name": "a", "labels": {"team": "a"}}})
    assert answer.status_code == 400
    assert backend.requests("/v")[0]["namespace"] == "a"


async def test_equivalent_versions(server: Any, backend: Any, register: Any) -> None:
    """A rule for one version catches requests in another, converted; with Exact it does not."""
    rules = [{"operations": ["CREATE"], "apiGroups": ["autoscaling"], "apiVersions": ["v2"], "resources": ["*"]}]
    await register("validating", "e", backend.on("/e"), rules)
    await register("validating", "x", backend.on("/x"), rules, matchPolicy="Exact")
    spec = {
        "scaleTargetRef": {"kind": "Deployment", "name": "d"},
        "maxReplicas": 3,
        "targetCPUUtilizationPercentage": 50,
    }
    path = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
    await server.ok("POST", path, {"metadata": {"name": "h"}, "spec": spec})
    (request,) = backend.requests("/e")
    assert request["object"]["apiVersion"] == "autoscaling/v2"
    assert request["object"]["spec"]["metrics"][0]["resource"]["name"] == "cpu"
    assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v2", "v1")
    assert backend.requests("/x") == []


async def test_subresources(server: Any, backend: Any, register: Any) -> None:
    """Status, eviction, binding and token requests are reviewed as what they are."""
    await server.ok("POST", "pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    await register("validating", "v", backend.on("/v"), [rule("*/*")])
    await server.ok("PATCH", "pods/p/status", {"status": {"phase": "Running"}}, type=MERGE)
    await server.ok("POST", "pods/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    await server.ok("POST", "pods/p/eviction", eviction)
    token = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["a"]}}
    await server.ok("POST", "serviceaccounts/default/token", token)
    seen = [
        (r["operation"], r["subResource"], r["kind"]["kind"], r["resource"]["resource"]) for r in backend.requests("/v")
    ]
    assert seen == [
        ("UPDATE", "status", "Pod", "pods"),
        ("CREATE", "binding", "Binding", "pods"),
        ("CREATE", "eviction", "Eviction", "pods"),
        ("CREATE", "token", "TokenRequest", "serviceaccounts"),
    ]


async def test_configurations_are_exempt(server: Any, backend: Any, register: Any) -> None:
    """A webhook that refuses everything can still be removed."""
    await register("validating", "v", backend.on("/v", deny("no")), [rule("*/*")])
    await server.ok("DELETE", f"{CONFIGURATIONS}/v")
    assert backend.reviews == []


async def test_validating_webhooks_are_asked_side_by_side(server: Any, backend: Any, register: Any) -> None:
    """All of them, also when one refuses; the first refusal in their order is the answer."""
    for name in ("a", "b", "c"):
        await register("validating", name, backend.on(f"/{name}", allow if name == "a" else deny(name)))
    why = 'admission webhook "b.example.com" denied the request: b'
    await server.refused("POST", "configmaps", 400, "", why, CM)
    assert sorted(path for path, _ in backend.reviews) == ["/a", "/b", "/c"]


async def test_reviews_and_finalizers(server: Any, backend: Any, register: Any) -> None:
    """Questions, which are stored nowhere, and the end of a namespace are reviewed too."""
    await register("validating", "v", backend.on("/v"), [rule("*/*")])
    attributes = {"resourceAttributes": {"verb": "get", "resource": "pods"}}
    await server.ok("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": attributes})
    namespace = await server.ok("GET", "/api/v1/namespaces/default")
    await server.ok("PUT", "/api/v1/namespaces/default/finalize", namespace)
    seen = [(r["operation"], r["kind"]["kind"], r.get("subResource")) for r in backend.requests("/v")]
    assert seen == [("CREATE", "SelfSubjectAccessReview", None), ("UPDATE", "Namespace", "finalize")]


async def test_a_collection_is_deleted_though_somebody_writes(server: Any, backend: Any, register: Any) -> None:
    """An object that changes while its deletion is reviewed is reviewed again and deleted."""
    await server.ok("POST", "configmaps", CM)

    async def meddle(request: dict[str, Any]) -> dict[str, Any]:
        if len(backend.reviews) == 1:
            await server.ok("PATCH", "configmaps/a", {"data": {"k": "w"}}, type=MERGE)
        return {"allowed": True}

    await register("validating", "v", backend.on("/v", meddle), [rule("configmaps", operations=("DELETE",))])
    await server.ok("DELETE", "configmaps")
    assert (await server.call("GET", "configmaps/a")).status_code == 404
    assert [r["oldObject"]["data"]["k"] for r in backend.requests("/v")] == ["v", "w"]


async def test_server_side_apply(server: Any, backend: Any, register: Any) -> None:
    """An applier owns what it applied and not what a webhook has made of it, at creation and after."""
    await register("mutating", "m", backend.on("/m", label("webhook")))
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}}
    for value in ("v", "w"):
        config["data"] = {"k": value}
        made = await server.ok("PATCH", "configmaps/a?fieldManager=me", config, type="application/apply-patch+yaml")
        assert made["metadata"]["labels"] == {"by": "webhook"}
        (entry,) = made["metadata"]["managedFields"]
        assert (entry["manager"], entry["fieldsV1"]) == ("me", {"f:data": {"f:k": {}}})
    seen = [(r["operation"], r["options"]["kind"], r["options"]["fieldManager"]) for r in backend.requests("/m")]
    assert seen == [("CREATE", "CreateOptions", "me"), ("UPDATE", "PatchOptions", "me")]


async def test_an_old_webhook(server: Any, backend: Any, register: Any) -> None:
    """One that only knows v1beta1 is asked in v1beta1, and need not repeat the uid."""
    config = backend.on("/v", lambda r: b'{"response": {"allowed": false, "status": {"message": "old"}}}')
    await register("validating", "v", config, admissionReviewVersions=["v1beta1"])
    why = 'admission webhook "v.example.com" denied the request: old'
    await server.refused("POST", "configmaps", 400, "", why, CM)
    ((_, review),) = backend.reviews
    assert review["apiVersion"] == "admission.k8s.io/v1beta1"
