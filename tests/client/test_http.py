"""The HTTP transport: the same calls and errors as in process, whatever the wire brings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import orjson
import pytest

from minik8s.api.request import User
from minik8s.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from minik8s.client.client import Client
from minik8s.client.http import HttpTransport, connect
from minik8s.cluster import Cluster
from minik8s.machinery.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    InternalError,
    NotFound,
    ServiceUnavailable,
    TooManyRequests,
)

pytestmark = pytest.mark.anyio
Answer = Callable[[httpx.Request], httpx.Response]


def client_of(*answers: Any, clock: Any = None) -> tuple[Client, list[httpx.Request]]:
    """A client whose server gives these answers in turn (the last for ever), and the requests it got."""
    requests: list[httpx.Request] = []
    left = list(answers)

    async def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://api")
    return Client(HttpTransport(http, clock=clock), user_agent="test/1"), requests


@asynccontextmanager
async def both() -> AsyncIterator[tuple[Client, Client]]:
    """A cluster without nodes: its client in process, and one over HTTP."""
    async with Cluster(nodes=0, proxy=False, scheduler=False, controllers=(), tls=True, freeze=True) as cluster:
        remote = connect(cluster.kubeconfig)
        try:
            yield cluster.client, remote
        finally:
            await remote.aclose()


async def test_same_answers_as_in_process() -> None:
    """Objects, lists, patches, deletions and errors are equal on both roads, over TLS and with a token."""
    async with both() as (local, remote):
        made = await remote.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "v"}})
        assert made == await local.get(CONFIG_MAPS, "a", namespace="default")
        patched = await remote.patch(CONFIG_MAPS, "a", {"data": {"k": "w"}}, namespace="default")
        assert patched == await local.get(CONFIG_MAPS, "a", namespace="default")
        here, there = await local.list(CONFIG_MAPS), await remote.list(CONFIG_MAPS)
        assert (here.items, here.resource_version) == (there.items, there.resource_version)
        for client in (local, remote):
            with pytest.raises(NotFound, match='configmaps "none" not found') as missing:
                await client.get(CONFIG_MAPS, "none", namespace="default")
            assert (missing.value.name, missing.value.kind) == ("none", "configmaps")
            with pytest.raises(AlreadyExists):
                await client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
            with pytest.raises(Conflict):
                await client.delete(CONFIG_MAPS, "a", namespace="default", uid="another")
        await remote.delete(CONFIG_MAPS, "a", namespace="default")
        assert await local.find(CONFIG_MAPS, "a", namespace="default") is None


async def test_watch() -> None:
    """Events arrive as they happen, with the same objects as in process; leaving ends the watch."""
    async with both() as (local, remote):
        seen = []
        with anyio.fail_after(20):
            async with remote.watch_batches(CONFIG_MAPS, namespace="default", resource_version="1") as batches:
                obj = await local.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
                await local.delete(CONFIG_MAPS, "a", namespace="default")
                async for batch in batches:
                    seen += batch
                    if seen[-1].type == "DELETED":
                        break
        assert [event.type for event in seen] == ["ADDED", "DELETED"]
        assert seen[0].object == obj


async def test_lines_in_pieces() -> None:
    """An event may come in many chunks and a chunk may hold many events."""
    lines = b"".join(
        orjson.dumps({"type": "ADDED", "object": {"metadata": {"name": name}}}) + b"\n" for name in ("a", "b", "c")
    )
    pieces = [lines[:5], lines[5:20], lines[20:-10], lines[-10:], b"\n"]

    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    client, [*_] = client_of(httpx.Response(200, content=content()))
    async with client.watch_batches(PODS) as batches:
        names = [[event.object["metadata"]["name"] for event in batch] async for batch in batches]
    assert names == [["a", "b"], ["c"]]


async def test_requests() -> None:
    """Method, path, query, headers and body of a call; names are escaped; other users are impersonated."""
    client, requests = client_of(httpx.Response(200, json={}))
    await client.patch(
        DEPLOYMENTS, "we?b", {"a": 1}, namespace="ns", type="strategic", subresource="status", dryRun="All"
    )
    [request] = requests
    assert request.method == "PATCH"
    assert str(request.url) == "http://api/apis/apps/v1/namespaces/ns/deployments/we%3Fb/status?dryRun=All"
    assert request.headers["Content-Type"] == "application/strategic-merge-patch+json"
    assert request.headers["User-Agent"] == "test/1"
    assert orjson.loads(request.content) == {"a": 1}
    assert "Impersonate-User" not in request.headers
    alice = User("alice", groups=("dev", "ops"))
    await Client(client._transport, user=alice).get(PODS, "p", namespace="ns")
    assert requests[-1].headers["Impersonate-User"] == "alice"
    assert requests[-1].headers.get_list("Impersonate-Group") == ["dev", "ops"]


async def test_list_items_are_completed() -> None:
    """Items of a list, which lack apiVersion and kind on the wire, carry them; a null list is an empty one."""
    page = {"metadata": {"resourceVersion": "9", "continue": "next", "remainingItemCount": 3}, "items": [{"spec": {}}]}
    client, _ = client_of(httpx.Response(200, json=page), httpx.Response(200, json={"items": None}))
    found = await client.list(DEPLOYMENTS)
    assert found.items == [{"apiVersion": "apps/v1", "kind": "Deployment", "spec": {}}]
    assert (found.resource_version, found.continue_, found.remaining) == ("9", "next", 3)
    assert (await client.list(DEPLOYMENTS)).items == []


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (httpx.Response(503, text="upstream is down"), ServiceUnavailable, "upstream is down"),
        (httpx.Response(404, text=""), NotFound, "Not Found"),
        (httpx.Response(418, json={"kind": "Tea"}), ApiError, "Tea"),
        (httpx.Response(409, json={"kind": "Status", "reason": "AlreadyExists", "message": "m"}), AlreadyExists, "m"),
        (httpx.Response(200, text="<html>"), InternalError, "not JSON"),
    ],
)
async def test_failures(answer: httpx.Response, error: type[ApiError], message: str) -> None:
    """Whatever the body is, a failure is an ApiError of the right kind."""
    client, _ = client_of(answer)
    with pytest.raises(error, match=message) as raised:
        await client.get(PODS, "p", namespace="ns")
    assert raised.value.code == (500 if answer.status_code == 200 else answer.status_code)
    if answer.status_code != 200:
        with pytest.raises(error):
            async with client.watch_batches(PODS):
                pass


async def test_nobody_there() -> None:
    """When nobody answers, or the stream breaks, it is an OSError."""

    async def broken() -> AsyncIterator[bytes]:
        yield b'{"type":"BOOKMARK","object":{}}\n'
        raise httpx.ReadError("reset")

    client, _ = client_of(httpx.ConnectError("refused"), httpx.Response(200, content=broken()))
    with pytest.raises(ConnectionError, match="refused"):
        await client.get(PODS, "p", namespace="ns")
    async with client.watch_batches(PODS) as batches:
        assert [event.type for event in await anext(batches)] == ["BOOKMARK"]
        with pytest.raises(ConnectionError, match="reset"):
            await anext(batches)


def test_retry_after(virtual: Any) -> None:
    """429 and 5xx with Retry-After are tried again after that time, ten times at most; without it at once they fail."""

    async def body(clock: Any) -> None:
        begun = clock.monotonic()
        busy = httpx.Response(429, headers={"Retry-After": "3"}, text="slow down")
        client, requests = client_of(busy, busy, httpx.Response(200, json={"ok": True}), clock=clock)
        assert await client.get(PODS, "p", namespace="ns") == {"ok": True}
        assert clock.monotonic() - begun == pytest.approx(6)
        client, requests = client_of(busy, clock=clock)
        with pytest.raises(TooManyRequests):
            await client.get(PODS, "p", namespace="ns")
        assert len(requests) == 11
        client, requests = client_of(httpx.Response(503, text="down"), clock=clock)
        with pytest.raises(ServiceUnavailable):
            await client.get(PODS, "p", namespace="ns")
        assert len(requests) == 1

    virtual(body)
