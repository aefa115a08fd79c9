"""Hostile clients on real connections: valid requests, damaged at random, in bursts, cut off, left unread.

`attack` is one seeded campaign against a running server; `benchmarks.fuzz` runs it for minutes, a test for seconds.
What must hold: an answer or a closed connection comes in time, no answer is a 500 that upstream would not give, and
afterwards everything can be listed, nobody watches, and no place is taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import anyio
from anyio.abc import SocketStream

from minik8s.api.request import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, PROTOBUF, STRATEGIC_PATCH, YAML
from minik8s.api.resources import BUILTIN, CONFIG_MAPS
from minik8s.schema.protowrite import encode_envelope, encode_message

PATIENCE = 10.0
"""Seconds within which something must come back."""
KNOWN_500 = (
    b"resourceVersion should not be set",
    b"range is full",
    b"failed to create typed patch object",
    b"strconv.ParseUint",
    b"resourceVersion: Invalid",
)
"""Texts that upstream, too, answers with a 500."""
CRD = {
    "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
                    }
                },
            }
        ],
    },
}
POD = {
    "metadata": {"name": "a", "labels": {"app": "a"}},
    "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}], "env": [{"name": "A"}]}]},
}
WORDS: Sequence[bytes] = (
    b"", b"a", b"b", b"default", b"kube-system", b"%2F", b"%00", b"..", b".", b"//", b"*", b"\xc3\xa9", b"%ff", b"null",
    b"0", b"-1", b"99999999999999999999", b"1e999", b"true", b"{}", b"[]", b'"', b"\\", b"\x00", b"a=b", b"a in (b)",
    b"!a", b",", b"metadata.name=a", b"status", b"scale", b"watch=1", b"limit=1", b"continue=x", b"resourceVersion=5",
    b"resourceVersionMatch=Exact", b"sendInitialEvents=1", b"dryRun=All", b"timeout=1s", b"pretty", b"x" * 300,
    b"$patch", b"$retainKeys", b"metadata", b"finalizers", b"managedFields", b"ownerReferences", b"k8s\x00",
    b"\xff\xff\xff",
)  # fmt: skip
ACCEPTS = (
    "*/*", YAML, PROTOBUF, f"{PROTOBUF},application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", "text/html",
    f"{PROTOBUF};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", ";,=", "application/json;stream=watch",
)  # fmt: skip


def message(method: str, path: str, body: bytes = b"", content_type: str = "", accept: str = "*/*") -> bytes:
    """A whole, valid request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nAccept-Encoding: gzip\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def corpus() -> list[bytes]:
    """Requests of every sort, each of which a server would take."""
    found = []
    base = "/api/v1/namespaces/default"
    for resource in BUILTIN:
        path = resource.path("default")
        body = json.dumps({"metadata": {"name": "a"}}).encode()
        found.append(message("POST", path, body, "application/json"))
        found.append(message("GET", f"{path}?limit=2&labelSelector=a%3Db&fieldSelector=metadata.name%3Da"))
        found.append(message("GET", f"{path}/a", accept=PROTOBUF))
        found.append(message("DELETE", f"{path}/a?propagationPolicy=Orphan&dryRun=All"))
    pod = json.dumps(POD).encode()
    raw = encode_envelope("v1", "Pod", encode_message(POD, next(r for r in BUILTIN if r.kind == "Pod").type))
    found += [message("POST", f"{base}/pods", pod, "application/json") for _ in range(5)]
    found += [message("POST", f"{base}/pods", raw, PROTOBUF) for _ in range(5)]
    found += [message("PUT", f"{base}/pods/a", pod, "application/json") for _ in range(5)]
    patches: list[tuple[str, Any]] = [
        (MERGE_PATCH, POD),
        (STRATEGIC_PATCH, POD),
        (
            JSON_PATCH,
            [{"op": "add", "path": "/metadata/labels/app", "value": "b"}, {"op": "test", "path": "/kind"}],
        ),
        (APPLY_PATCH, {"apiVersion": "v1", "kind": "Pod", **POD}),
    ]
    for content_type, patch in patches:
        for sub in ("", "/status", "/ephemeralcontainers"):
            url = f"{base}/pods/a{sub}?fieldManager=f&force=true"
            found += [message("PATCH", url, json.dumps(patch).encode(), content_type) for _ in range(3)]
    found.append(message("GET", f"{base}/pods?watch=1&timeoutSeconds=1&allowWatchBookmarks=1"))
    found.append(message("GET", f"{base}/pods?watch=1&timeoutSeconds=1&sendInitialEvents=1", accept=PROTOBUF))
    found.append(message("GET", f"{base}/pods?watch=1&resourceVersion=1&timeoutSeconds=1"))
    widget = json.dumps(
        {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": {"size": 1}}
    )
    widgets = "/apis/example.com/v1/namespaces/default/widgets"
    found += [message("POST", widgets, widget.encode(), "application/json"), message("GET", widgets, accept=ACCEPTS[4])]
    found += [message("PATCH", f"{widgets}/a", widget.encode(), MERGE_PATCH)]
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    found += [message("PUT", f"{definitions}/widgets.example.com", json.dumps(CRD).encode(), "application/json")]
    for path in (
        "/",
        "/api",
        "/apis",
        "/openapi/v2",
        "/openapi/v3",
        "/metrics",
        "/readyz?verbose",
        "/version",
        "/apis/apps/v1",
    ):
        found.append(message("GET", path))
    return found


def damaged(rng: Random, request: bytes) -> bytes:
    """The request with a few things wrong; the length of its body is put right half of the time."""
    head, separator, body = request.partition(b"\r\n\r\n")
    for _ in range(rng.randrange(4)):
        if body and rng.random() < 0.7:
            body = _mutate(rng, body)
        else:
            head = _mutate(rng, head)
    if rng.random() < 0.3:
        head = head.replace(b"Accept: */*", b"Accept: " + rng.choice(ACCEPTS).encode())
    if body and rng.random() < 0.7:
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
        head = b"\r\n".join([*lines, b"Content-Length: %d" % len(body)])
    return head + separator + body


def _mutate(rng: Random, data: bytes) -> bytes:
    where = rng.randrange(len(data) + 1)
    until = min(len(data), where + rng.choice((0, 1, 1, 2, 5, 20)))
    if rng.random() < 0.2:  # a piece again, somewhere else
        start = rng.randrange(len(data) + 1)
        return data[:where] + data[start : start + rng.randrange(60)] + data[until:]
    new = rng.choice(WORDS) if rng.random() < 0.7 else rng.randbytes(rng.randrange(4))
    return data[:where] + new + data[until:]


async def converse(port: int, rng: Random, request: bytes) -> bytes:
    """Sends a request in one way or another and reads what comes: all, some, or nothing of it."""
    received = b""
    try:
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            if rng.random() < 0.1:
                cut = rng.randrange(len(request) + 1)
                await stream.send(request[:cut])
                await anyio.lowlevel.checkpoint()
                await stream.send(request[cut:])
            else:
                await stream.send(request)
            if rng.random() < 0.1:
                return b""  # gone without reading
            await stream.send_eof()
            received = await _read(stream)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        pass
    return received


async def _read(stream: SocketStream) -> bytes:
    received = b""
    with anyio.move_on_after(PATIENCE) as scope:
        try:
            while len(received) < 100_000:
                received += await stream.receive()
                if b"\r\n\r\n" in received and b"transfer-encoding" not in received.lower():
                    break
                if received.endswith(b"0\r\n\r\n"):
                    break
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass
    if scope.cancelled_caught and not received:
        return b"HANG"
    return received


async def attack(port: int, seed: int, done: Callable[[], bool]) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Runs until `done`; answers how many requests there were, and each that was answered wrongly with its answer."""
    rng, requests = Random(seed), corpus()
    count, wrong = 0, []
    while not done():
        burst = [damaged(rng, rng.choice(requests)) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        answer = await converse(port, rng, b"".join(burst))
        count += len(burst)
        is_500 = b"HTTP/1.1 500" in answer and not any(text in answer for text in KNOWN_500)
        if answer == b"HANG" or is_500:
            wrong.append((b"".join(burst), answer))
    return count, wrong


async def prepare(server: Any) -> None:
    """What the requests are about."""
    await server.client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
