"""One probe or lifecycle hook against a pod: exec, HTTP, TCP, gRPC. Messages are those of Go's net/http and upstream's.

A raw connection per probe: nothing is kept open between probes, as upstream, and no HTTP client is built for one GET.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, partial
from ipaddress import ip_address
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

import anyio
import attrs

from minik8s.config import VERSION
from minik8s.kubelet.runtime.dialing import Sockets, connected, plain
from minik8s.kubelet.runtime.protocol import ExecResult, ProbeResult, RuntimeFailure

_MINOR = ".".join(VERSION.lstrip("v").split(".")[:2])
USER_AGENT = f"kube-probe/{_MINOR}"
LIFECYCLE_USER_AGENT = f"kube-lifecycle/{_MINOR}"
MAX_BODY = 10 << 10
"""Bytes of a body or an exec's output that a probe looks at (upstream's maxRespBodyLength, maxReadLength)."""
MAX_HEADER = 1 << 16
MAX_REDIRECTS = 10


class Failed(Exception):
    """A probe's failure, in the words of its event."""


async def run_probe(
    handler: Mapping[str, Any],
    address: str,
    *,
    timeout: float,
    execute: Callable[[Sequence[str]], Awaitable[ExecResult]],
    lifecycle: bool = False,
    sockets: Sockets = plain,
    get: Get | None = None,
) -> ProbeResult:
    """Carries out `handler` (the API's probe or lifecycle handler) against a pod's `address`.

    A lifecycle hook by HTTP has succeeded once it was answered, whatever the status (upstream's `runHTTPHandler`).
    `sockets` makes the sockets that reach the pod; `get` answers one GET where the pod has no sockets.
    """
    try:
        if "exec" in handler:
            return await _exec(handler["exec"].get("command") or [], timeout, execute)
        if "httpGet" in handler:
            return await _http(handler["httpGet"], address, timeout, lifecycle, get or partial(_get, sockets))
        if "tcpSocket" in handler:
            return await _tcp(handler["tcpSocket"], address, timeout, sockets)
        if "grpc" in handler:
            return await _grpc(handler["grpc"], address, timeout, sockets)
        raise Failed("missing probe handler")
    except Failed as failure:
        return ProbeResult(False, str(failure))


async def _exec(
    argv: Sequence[str], timeout: float, execute: Callable[[Sequence[str]], Awaitable[ExecResult]]
) -> ProbeResult:
    if not argv:
        raise Failed("missing exec command")
    try:
        result = await execute(argv)
    except TimeoutError:
        raise Failed(f'command timed out: "{" ".join(argv)}" timed out after {timeout:g}s') from None
    except RuntimeFailure as error:
        raise Failed(error.message) from error
    return ProbeResult(result.exit_code == 0, result.output[:MAX_BODY].decode(errors="replace"))


def _reason(error: OSError) -> str:
    """The operating system's reason in Go's words."""
    if isinstance(error, ConnectionResetError):
        return "connection reset by peer"
    if isinstance(error, BrokenPipeError):
        return "broken pipe"
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)


async def _connect(
    host: str, port: int, context: ssl.SSLContext | None, sockets: Sockets
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        if sockets is plain or not _is_address(host):
            return await asyncio.open_connection(host, port, ssl=context, limit=MAX_HEADER)
        sock = await connected(host, port, sockets)
        name = host if context else None
        return await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name, limit=MAX_HEADER)
    except socket.gaierror:
        raise Failed(f"dial tcp: lookup {host}: no such host") from None
    except ssl.SSLError as error:
        raise Failed(f"tls: {error.reason or error}") from error
    except OSError as error:
        raise Failed(f"dial tcp {_join(host, port)}: connect: {_reason(error)}") from error


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _tcp(handler: Mapping[str, Any], address: str, timeout: float, sockets: Sockets) -> ProbeResult:
    host, port = handler.get("host") or address, int(handler["port"])
    try:
        with anyio.fail_after(timeout):
            _, writer = await _connect(host, port, None, sockets)
    except TimeoutError:
        raise Failed(f"dial tcp {_join(host, port)}: i/o timeout") from None
    writer.transport.abort()
    return ProbeResult(True)


async def _grpc(handler: Mapping[str, Any], address: str, timeout: float, sockets: Sockets) -> ProbeResult:
    from minik8s.kubelet.runtime.grpcprobe import check

    port = int(handler["port"])
    where = _join(address, port)
    try:
        with anyio.fail_after(timeout):
            reader, writer = await _connect(address, port, None, sockets)
    except TimeoutError:
        why = "context deadline exceeded"
        raise Failed(f'timeout: failed to connect service "{where}" within {timeout:g}s: {why}') from None
    try:
        return ProbeResult(*await check(reader, writer, where, handler.get("service") or "", timeout))
    except OSError as error:
        raise Failed(f"error: health rpc probe failed: {_reason(error)}") from error
    finally:
        writer.transport.abort()


@cache
def _tls() -> ssl.SSLContext:
    """Certificates of a pod are not verified."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@attrs.frozen
class Response:
    """What was answered; the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Get: TypeAlias = Callable[[SplitResult, list[tuple[str, str]]], Awaitable[Response]]
"""Answers one GET of a URL with these headers, following nothing. Raises Failed."""


async def _http(handler: Mapping[str, Any], address: str, timeout: float, lifecycle: bool, get: Get) -> ProbeResult:
    scheme = str(handler.get("scheme") or "HTTP").lower()
    path = str(handler.get("path") or "/")
    host = _join(handler.get("host") or address, int(handler["port"]))
    url = urlsplit(f"{scheme}://{host}{path if path.startswith('/') else '/' + path}")
    agent = LIFECYCLE_USER_AGENT if lifecycle else USER_AGENT
    headers = _headers(handler.get("httpHeaders") or [], agent)
    try:
        with anyio.fail_after(timeout):
            response = await _follow(url, headers, get)
    except TimeoutError:
        text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        raise Failed(f'Get "{url.geturl()}": {text}') from None
    body = response.body.decode(errors="replace")
    if lifecycle:
        return ProbeResult(True, body)
    if not 200 <= response.status < 400:
        raise Failed(f"HTTP probe failed with statuscode: {response.status}")
    if response.status >= 300:
        return ProbeResult(True, f"Probe terminated redirects, Response body: {body}", warning=True)
    return ProbeResult(True, body)


def _headers(given: Sequence[Mapping[str, str]], agent: str) -> list[tuple[str, str]]:
    """The request's headers; a given User-Agent or Accept replaces ours, an empty one removes it."""
    headers = [(str(header["name"]), str(header.get("value", ""))) for header in given]
    names = {name.lower() for name, _ in headers}
    for name, value in (("User-Agent", agent), ("Accept", "*/*")):
        if name.lower() not in names:
            headers.append((name, value))
    return [(name, value) for name, value in headers if value or name.lower() not in ("user-agent", "accept")]


async def _follow(url: SplitResult, headers: list[tuple[str, str]], get: Get) -> Response:
    """GET with redirects on the same host followed; one that leads elsewhere is the answer itself."""
    first = url
    for _ in range(MAX_REDIRECTS):
        try:
            response = await get(url, headers)
        except Failed as failure:
            raise Failed(f'Get "{url.geturl()}": {failure}') from failure
        location = response.headers.get("location")
        if response.status not in (301, 302, 303, 307, 308) or not location:
            return response
        target = urlsplit(urljoin(url.geturl(), location))
        if target.hostname != first.hostname or target.scheme not in ("http", "https"):
            return response
        url = target
    raise Failed(f'Get "{url.geturl()}": stopped after {MAX_REDIRECTS} redirects')


async def _get(sockets: Sockets, url: SplitResult, headers: list[tuple[str, str]]) -> Response:
    secure = url.scheme == "https"
    host, port = url.hostname or "", url.port or (443 if secure else 80)
    reader, writer = await _connect(host, port, _tls() if secure else None, sockets)
    try:
        writer.write(_request(url, headers))
        return await _read_response(reader)
    except asyncio.IncompleteReadError:
        raise Failed("EOF") from None
    except asyncio.LimitOverrunError:
        raise Failed("net/http: server response headers exceeded 65536 bytes; aborted") from None
    except OSError as error:
        raise Failed(f"read tcp {_join(url.hostname or '', url.port or 0)}: read: {_reason(error)}") from error
    finally:
        writer.transport.abort()


def _request(url: SplitResult, headers: list[tuple[str, str]]) -> bytes:
    target = url.path or "/"
    if url.query:
        target += f"?{url.query}"
    given_host = next((value for name, value in headers if name.lower() == "host"), "")
    lines = [f"GET {target} HTTP/1.1", f"Host: {given_host or url.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in ("host", "connection")]
    text = "\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in [*lines, "Connection: close"])
    return (text + "\r\n\r\n").encode()


async def _read_response(reader: asyncio.StreamReader) -> Response:
    status = 100
    while status < 200 and status != 101:  # interim answers come before the one that counts
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        protocol, _, rest = first.partition(" ")
        if not protocol.startswith("HTTP/") or not rest[:3].isdigit():
            raise Failed(f'net/http: HTTP/1.x transport connection broken: malformed HTTP response "{first}"')
        status = int(rest[:3])
    fields = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in fields}
    body = await _read_body(reader, headers)
    return Response(status, headers, body)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """Up to MAX_BODY bytes of the body; more is not an error and not waited for."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _read_chunks(reader)
    length = headers.get("content-length", "")
    wanted = min(int(length), MAX_BODY) if length.isdigit() else MAX_BODY
    body = b""
    while len(body) < wanted and (data := await reader.read(wanted - len(body))):
        body += data
    return body


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    try:
        while size := int((await reader.readline()).partition(b";")[0], 16):
            body += await reader.readexactly(min(size, MAX_BODY))
            if len(body) >= MAX_BODY:
                break
            await reader.readexactly(2)
    except ValueError:
        raise Failed("invalid byte in chunk length") from None
    return body[:MAX_BODY]
