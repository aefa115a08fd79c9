"""How webhooks are reached: through Services, over kept connections, compressed or not."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from minik8s.apiserver.webhooks import WebhookError, post_review
from tests.apiserver.admission.conftest import CM, deny, rule

pytestmark = pytest.mark.anyio


async def test_a_compressed_answer(server: Any, backend: Any) -> None:
    """Nobody asked for one, and what would come out of it has no bound: it is taken for what it looks like."""
    backend.encoding = b"gzip"
    config = backend.on("/zip", lambda request: gzip.compress(b"{}" + b" " * (64 << 20), 1))
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
