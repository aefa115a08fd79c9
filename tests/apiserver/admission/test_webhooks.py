"""Webhooks over real HTTPS: what they are sent, what they may do, and what happens when they misbehave."""

from __future__ import annotations

import base64
import gzip
from typing import Any

import anyio
import pytest

from minik8s.apiserver.webhooks import WebhookError, post_review
from tests.apiserver.admission.conftest import allow, patch, rule

pytestmark = pytest.mark.anyio
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
CM: dict[str, Any] = {"metadata": {"name": "a", "labels": {"app": "x"}}, "data": {"k": "v"}}
MERGE = "application/merge-patch+json"


def label(value: str) -> Any:
    return lambda request: patch({"op": "add", "path": "/metadata/labels", "value": {"by": value}})


def deny(message: str = "", **status: Any) -> Any:
    return lambda request: {"allowed": False, "status": {"message": message, **status}}


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


INVALID = "received invalid webhook response: "
FAILURES = [
    (b"garbage", "failed to call webhook: couldn't get version/kind; json parse error: "),
    (b"[]", "failed to call webhook: couldn't get version/kind; json parse error: "),
    (b"{}", INVALID + "webhook response was absent"),
    (b'{"response": {"uid": "other"}}', INVALID + "expected response.uid="),
    (500, 'failed to call webhook: an error on the server ("") has prevented the request from succeeding'),
    ((500, b'{"a": 1}'), 'failed to call webhook: an error on the server ("unknown") has prevented the request'),
    (
        (500, b'Traceback:\n  at "x"' + b"!" * 3000),
        'failed to call webhook: an error on the server ("Traceback:\\n  at \\"x\\"' + "!" * 2029,
    ),
    (404, "failed to call webhook: the server could not find the requested resource"),
    ({"allowed": True, "patch": "e30="}, INVALID + "webhook returned response.patch but not response.patchType"),
    (
        {"allowed": True, "patchType": "JSONPatch"},
        INVALID + "webhook returned response.patchType but not response.patch",
    ),
    ({"allowed": True, "patch": "?", "patchType": "JSONPatch"}, INVALID + "received undecodable patch"),
    (
        {"allowed": True, "patch": "e30=", "patchType": "Merge"},
        INVALID + 'webhook returned invalid response.patchType of "Merge"',
    ),
]


@pytest.mark.parametrize(("answer", "text"), FAILURES, ids=lambda value: str(value)[:40])
async def test_answers_that_are_none(server: Any, backend: Any, register: Any, answer: Any, text: str) -> None:
    """An answer that cannot be understood fails the request with 500, or is ignored where the policy says so."""
    await register("mutating", "m", backend.on("/m", lambda request: answer), failurePolicy="Ignore")
    await server.ok("POST", "configmaps", CM)
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/m"
    change = [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"}]
    await server.ok("PATCH", path, change, type="application/json-patch+json")
    status = (await server.call("POST", "configmaps", {"metadata": {"name": "b"}}, failing=True)).json()
    assert (status["code"], status["reason"]) == (500, "InternalError")
    assert status["message"].startswith(f'Internal error occurred: failed calling webhook "m.example.com": {text}')
    assert status["details"]["causes"][0]["message"] == status["message"].removeprefix("Internal error occurred: ")


BAD_PATCHES = [
    [{"op": "remove", "path": "/nowhere"}],
    [{"op": "replace", "path": "", "value": 3}],
    [{"op": "add", "path": "/data", "value": "no map"}],
    [{"op": "add", "path": "/metadata", "value": None}],
    [{"op": "explode"}],
    ["no operation"],
    [{"op": "add", "path": "/data/x", "value": "y" * 1000}]
    + [{"op": "copy", "from": "/data", "path": f"/d{n}"} for n in range(40)],
]


@pytest.mark.parametrize("operations", BAD_PATCHES, ids=lambda ops: str(ops)[:40])
async def test_patches_that_break_the_object(server: Any, backend: Any, register: Any, operations: Any) -> None:
    """A patch that does not apply, or leaves no object of the kind, is an error and changes nothing."""
    await register("mutating", "m", backend.on("/m", lambda request: patch(*operations)))
    before = server.ctx.store.revision
    answer = await server.call("POST", "configmaps", CM, failing=True)
    assert answer.status_code in (422, 500) or answer.json()["data"]
    if operations == BAD_PATCHES[0]:
        why = "error in remove for path: '/nowhere': Unable to remove nonexistent key: nowhere: missing value"
        assert answer.json()["message"] == f"Internal error occurred: {why}"
    if not answer.is_success:
        assert server.ctx.store.revision == before


async def test_a_patch_cannot_move_the_object(server: Any, backend: Any, register: Any) -> None:
    """Namespace, version and uid are the server's whatever a patch says; a changed name in an update is refused."""
    moves = [
        {"op": "replace", "path": "/metadata/namespace", "value": "kube-system"},
        {"op": "add", "path": "/metadata/uid", "value": "mine"},
        {"op": "add", "path": "/metadata/resourceVersion", "value": "7"},
    ]
    await register("mutating", "m", backend.on("/m", lambda request: patch(*moves)))
    made = await server.ok("POST", "configmaps", CM)
    assert made["metadata"]["namespace"] == "default"
    assert made["metadata"]["uid"] != "mine"
    backend.answers["/m"] = lambda request: patch({"op": "replace", "path": "/metadata/name", "value": "b"})
    refused = await server.call("PATCH", "configmaps/a", {"data": {"k": "w"}}, type=MERGE)
    assert (refused.status_code, refused.json()["reason"]) == (422, "Invalid")


async def test_who_does_not_answer(server: Any, backend: Any) -> None:
    """A hanging webhook, one that closes the connection, one that is not there, one that nobody vouches for."""
    review = {"request": {"uid": "u"}}
    hanging = backend.on("/hang", lambda request: None)
    url = f"https://127.0.0.1:{backend.port}"
    with pytest.raises(
        WebhookError, match=r'^failed to call webhook: Post "https.*/hang\?timeout=0.05s": context deadline exceeded$'
    ):
        await post_review(server.ctx, hanging, review, 0.05)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)

        async def slam(stream: Any) -> None:
            await stream.aclose()

        group.start_soon(listener.serve, slam)
        with pytest.raises(WebhookError, match=r"EOF|reset"):
            await post_review(server.ctx, {"url": f"https://127.0.0.1:{port}", "caBundle": backend.ca}, review, 5)
        group.cancel_scope.cancel()
    with pytest.raises(WebhookError, match=f"dial tcp 127.0.0.1:{port}: connect: connection refused"):
        await post_review(server.ctx, {"url": f"https://127.0.0.1:{port}", "caBundle": backend.ca}, review, 5)
    with pytest.raises(WebhookError, match="x509: certificate signed by unknown authority"):
        await post_review(server.ctx, {"url": url}, review, 5)
    with pytest.raises(WebhookError, match="unable to parse bytes as PEM block"):
        await post_review(server.ctx, {"url": url, "caBundle": base64.b64encode(b"junk").decode()}, review, 5)


async def test_an_enormous_answer(server: Any, backend: Any) -> None:
    """Reading stops at the bound."""
    config = backend.on("/big", lambda request: b'"' + b"x" * (9 << 20) + b'"')
    with pytest.raises(WebhookError, match="the answer is larger than"):
        await post_review(server.ctx, config, {"request": {"uid": "u"}}, 30)


async def test_a_compressed_answer(server: Any, backend: Any) -> None:
    """Nobody asked for one, and what would come out of it has no bound: it is taken for what it looks like."""
    backend.encoding = b"gzip"
    config = backend.on("/zip", lambda request: gzip.compress(b"{}" + b" " * (64 << 20), 1))
    with pytest.raises(WebhookError, match="json parse error"):
        await post_review(server.ctx, config, {"request": {"uid": "u"}}, 30)


async def test_deep_answers(server: Any, backend: Any) -> None:
    """Nesting that no parser survives is an error like any other."""
    config = backend.on("/deep", lambda request: b"[" * 100_000)
    with pytest.raises(WebhookError, match="json parse error"):
        await post_review(server.ctx, config, {"request": {"uid": "u"}}, 30)


async def test_a_webhook_behind_a_service(server: Any, backend: Any, register: Any) -> None:
    """It is called at a ready endpoint, under the Service's name, which its certificate must be for."""
    config = {"service": {"namespace": "default", "name": "hook", "path": "/v"}, "caBundle": backend.ca}
    backend.on("/v")
    await register("validating", "v", config)
    failed = 'Internal error occurred: failed calling webhook "v.example.com": failed to call webhook: '
    failed += 'Post "https://hook.default.svc:443/v?timeout=10s": '

    async def message() -> str:
        return (await server.call("POST", "configmaps", CM, failing=True)).json().get("message", "")

    assert await message() == failed + 'service "hook" not found'
    service = {
        "metadata": {"name": "hook"},
        "spec": {"selector": {"a": "b"}, "ports": [{"port": 443, "targetPort": 8443}]},
    }
    await server.ok("POST", "services", service)
    assert await message() == failed + 'no endpoints available for service "hook"'
    endpoints = {
        "metadata": {"name": "hook-1", "labels": {"kubernetes.io/service-name": "hook"}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": backend.port, "protocol": "TCP"}],
        "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
    }
    slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    await server.ok("POST", slices, endpoints)
    await server.ok("POST", "configmaps", CM)
    assert len(backend.reviews) == 1
    other = {"service": {**config["service"], "name": "other"}, "caBundle": backend.ca}
    await server.ok("POST", "services", {**service, "metadata": {"name": "other"}})
    labels = {"kubernetes.io/service-name": "other"}
    await server.ok("POST", slices, {**endpoints, "metadata": {"name": "other-1", "labels": labels}})
    with pytest.raises(WebhookError, match=r"tls: failed to verify certificate: x509: .*other.default.svc"):
        await post_review(server.ctx, other, {"request": {"uid": "u"}}, 5)


async def test_a_webhook_that_calls_back(server: Any, backend: Any, register: Any) -> None:
    """A webhook may write to the API while it is asked, and so be asked about what it writes itself."""

    async def writes(request: dict[str, Any]) -> dict[str, Any]:
        depth = len(request["name"])
        if depth < 5:
            await server.ok("POST", "configmaps", {"metadata": {"name": "a" * (depth + 1)}})
        return {"allowed": True}

    await register("mutating", "m", backend.on("/m", writes))
    await server.ok("POST", "configmaps", CM)
    made = await server.ok("GET", "configmaps")
    assert [item["metadata"]["name"] for item in made["items"]] == ["a" * n for n in range(1, 6)]


async def test_connections(server: Any, backend: Any, register: Any) -> None:
    """`kubectl exec` is a CONNECT with its options as the object; a refusal ends it before anything is upgraded."""
    await server.ok("POST", "pods", {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}})
    await server.ok("POST", "pods/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
    await register("validating", "v", backend.on("/v", deny("no shells")), [rule("pods/exec", operations=("CONNECT",))])
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    answer = await server.call("GET", "pods/p/exec?command=sh&container=c&stdout=true", headers=headers)
    assert "no shells" in answer.text
    (request,) = backend.requests("/v")
    assert (request["operation"], request["kind"]["kind"], request["subResource"]) == (
        "CONNECT",
        "PodExecOptions",
        "exec",
    )
    assert request["object"]["command"] == ["sh"]
    assert (request["oldObject"], request["options"], request["name"]) == (None, None, "p")


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


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:99999/",
        "https://[::1",
        "https://",
        "https://no such host/",
        "https://127.0.0.1:x",
        "https://\x00/",
    ],
)
async def test_addresses_that_are_none(server: Any, url: str) -> None:
    """An address that nothing can be connected to is a failed call like any other."""
    with pytest.raises(WebhookError, match=r"^failed to call webhook: Post "):
        await post_review(server.ctx, {"url": url}, {"request": {"uid": "u"}}, 5)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"clientConfig": {}}, "clientConfig: Required value: exactly one of url or service is required"),
    (
        {"clientConfig": {"url": "http://a.b"}},
        "clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL",
    ),
    ({"clientConfig": {"url": "https://a.b/?q=1"}}, "query parameters are not permitted in the URL"),
    ({"clientConfig": {"url": "https://u:p@a.b/"}}, "user information is not permitted in the URL"),
    (
        {"clientConfig": {"service": {"name": "s", "namespace": "n", "path": "x"}}},
        'path: Invalid value: "x": must start',
    ),
    ({"clientConfig": {"service": {"name": "", "namespace": "n"}}}, "service name is required"),
    ({"sideEffects": "Some"}, 'sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'),
    ({"admissionReviewVersions": []}, "must specify one of v1, v1beta1"),
    ({"admissionReviewVersions": ["v7"]}, "must include at least one of v1, v1beta1"),
    ({"timeoutSeconds": 31}, "the timeout value must be between 1 and 30 seconds"),
    ({"rules": [rule("pods", operations=("*", "CREATE"))]}, "if '*' is present, must not specify other operations"),
    ({"rules": [rule("pods/*", "pods/exec")]}, "if 'pods/*' is present, must not specify pods/exec"),
    ({"name": "short"}, "should be a domain with at least three segments separated by dots"),
    ({"matchConditions": [{"name": "", "expression": ""}]}, "matchConditions[0].expression: Required value"),
]


@pytest.mark.parametrize(("change", "text"), WRONG, ids=lambda value: value[:40] if isinstance(value, str) else "")
async def test_configurations_that_cannot_be(server: Any, change: dict[str, Any], text: str) -> None:
    """Refused when they are written, in upstream's words."""
    good = {
        "name": "a.example.com",
        "clientConfig": {"url": "https://127.0.0.1:1"},
        "rules": [rule("pods")],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
    }
    answer = await server.call("POST", CONFIGURATIONS, {"metadata": {"name": "c"}, "webhooks": [{**good, **change}]})
    assert answer.status_code == 422
    assert text in answer.json()["message"]


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


async def test_connections_are_kept_and_closed(server: Any, backend: Any, register: Any) -> None:
    """Many reviews go over one connection; closing the server's connections leaves none."""
    peers: set[Any] = set()
    answer = type(backend).__call__

    class Noting(type(backend)):  # type: ignore[misc]
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            peers.add(tuple(scope["client"]))
            await answer(self, scope, receive, send)

    backend.__class__ = Noting
    await register("validating", "v", backend.on("/v"))
    for number in range(5):
        await server.ok("POST", "configmaps", {"metadata": {"name": f"c{number}"}})
    assert len(backend.reviews) == 5
    await server.ctx.webhooks.aclose()
    await server.ok("POST", "configmaps", CM)
    assert len(peers) <= 2
