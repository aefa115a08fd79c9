"""Webhooks that misbehave: answers that are none, patches that break, silence, floods, addresses and configurations."""

from __future__ import annotations

import base64
from typing import Any

import anyio
import pytest

from minik8s.apiserver.webhooks import WebhookError, post_review
from tests.apiserver.admission.conftest import CM, CONFIGURATIONS, patch, rule
from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio


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


async def test_deep_answers(server: Any, backend: Any) -> None:
    """Nesting that no parser survives is an error like any other."""
    config = backend.on("/deep", lambda request: b"[" * 100_000)
    with pytest.raises(WebhookError, match="json parse error"):
        await post_review(server.ctx, config, {"request": {"uid": "u"}}, 30)


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
