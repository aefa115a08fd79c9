"""Passes an HTTP request on to a backend and its answer back, streaming both; an upgraded connection too.

HTTP/1.1 towards the backend is `h11`'s affair, the connection itself comes from the nodes' connector, so a pod is
reached wherever it lives. Certificates are verified as the target says: those of pods are not, as upstream does not.
Nothing is kept: what the slower side does not take makes the faster one wait.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import h11
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from minik8s.apiserver.httpcall import HttpCall
from minik8s.apiserver.proxyrewrite import (
    MAX_HTML,
    Header,
    end_to_end,
    forwarded_headers,
    rewrite_page,
    rewrite_url,
)
from minik8s.apiserver.response import ProxyTarget
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.machinery.errors import BadRequest, ServiceUnavailable

MAX_HEAD = 1 << 18
"""Bytes of an answer's head."""
_BROKEN = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError, h11.RemoteProtocolError)


async def pass_on(call: HttpCall, target: ProxyTarget, prefix: str, rest: bytes) -> None:
    """Answers `call` with what the backend says about `rest`, the path and query behind `prefix`.

    Raises ServiceUnavailable as long as nothing has been answered; later the client's connection is cut.
    """
    exchange = _Exchange(call, target, prefix)
    try:
        async with _connected(target) as stream:
            await exchange.run(stream, rest)
    except* _BROKEN as errors:
        failure: BaseException = errors
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        exchange.failed = failure
    if exchange.failed is not None:
        _fail(call, exchange.failed)


def _fail(call: HttpCall, error: BaseException) -> None:
    if not call.started:
        why = str(error) or "EOF"
        raise ServiceUnavailable(f"error trying to reach service: {why}")
    if call.stream is not None and not call.upgraded:
        call.stream.abort()


@asynccontextmanager
async def _connected(target: ProxyTarget) -> AsyncIterator[ByteStream]:
    assert target.dial is not None
    stream = await target.dial()
    async with stream:
        if not target.tls:
            yield stream
            return
        context = target.context or _unverified()
        try:
            wrapped = await TLSStream.wrap(stream, ssl_context=context, standard_compatible=False, hostname=target.host)
        except ssl.SSLError as error:
            raise OSError(f"tls: {error.reason or error}") from error
        yield wrapped


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _Exchange:
    """One request and its answer."""

    def __init__(self, call: HttpCall, target: ProxyTarget, prefix: str) -> None:
        self._call, self._target, self._prefix = call, target, prefix
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self.failed: BaseException | None = None

    async def run(self, stream: ByteStream, rest: bytes) -> None:
        self._stream = stream
        await self._send(self._request(rest))
        async with anyio.create_task_group() as group:
            group.start_soon(self._upload, group.cancel_scope)
            await self._answer()
            group.cancel_scope.cancel()

    def _request(self, rest: bytes) -> h11.Request:
        call = self._call
        client = call.client[0] if call.client else "127.0.0.1"
        headers = forwarded_headers(call.raw_headers, client=client, scheme=call.scheme, path=call.path)
        headers += self._target.headers
        if self._target.keeps_credentials and b"authorization" in call.headers:
            headers.append((b"authorization", call.headers[b"authorization"]))
        if call.upgradable is not None:
            headers += [(b"connection", b"Upgrade"), (b"upgrade", call.header(b"upgrade").encode("latin-1"))]
        elif b"transfer-encoding" in call.headers:
            headers.append((b"transfer-encoding", b"chunked"))
        if b"host" not in call.headers:
            headers.append((b"host", f"{self._target.host}:{self._target.port}".encode()))
        try:
            return h11.Request(method=call.method.encode(), target=rest, headers=headers)
        except h11.LocalProtocolError as error:
            raise BadRequest(f"the request cannot be passed on: {error}") from None

    async def _send(self, event: Any) -> None:
        if data := self._http.send(event):
            await self._stream.send(data)

    async def _upload(self, scope: anyio.CancelScope) -> None:
        """The request's body, then nothing more until the client goes: then there is nobody to answer."""
        sending = True
        while True:
            message = await self._call.receive()
            if message["type"] == "http.disconnect":
                scope.cancel()
                return
            if not sending:
                continue
            try:
                if body := message.get("body"):
                    await self._send(h11.Data(data=body))
                if not message.get("more_body"):
                    await self._send(h11.EndOfMessage())
                    sending = False
            except (*_BROKEN, h11.LocalProtocolError):
                sending = False  # it may have answered without reading on

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                data = await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError, ssl.SSLError):
                data = b""
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                raise OSError("EOF")
            self._http.receive_data(data)
        return event

    async def _answer(self) -> None:
        head = await self._next()
        while isinstance(head, h11.InformationalResponse) and head.status_code != 101:
            head = await self._next()
        if isinstance(head, h11.InformationalResponse):
            await self._switch(head)
            return
        if not isinstance(head, h11.Response):
            raise OSError("EOF")
        headers = self._headers(head)
        if self._is_page(headers):
            await self._page(head.status_code, headers)
            return
        await self._call.start(head.status_code, headers)
        async for data in self._body():
            await self._call.chunk(data)
        await self._call.chunk(b"", more=False)

    async def _body(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next(), h11.Data):
            yield bytes(event.data)

    def _headers(self, head: h11.Response) -> list[Header]:
        """The answer's own headers, a redirection led through us."""
        backend = f"{self._target.host}:{self._target.port}"
        host = self._call.header(b"host")
        headers = []
        for name, value in end_to_end(head.headers):
            if name == b"location":
                url = rewrite_url(value.decode("latin-1"), prefix=self._prefix, backend=backend, host=host)
                value = url.encode("latin-1", "replace")
            headers.append((name, value))
        return headers

    def _is_page(self, headers: list[Header]) -> bool:
        """Whether it is HTML that can be rewritten: not encoded, and not long."""
        found = dict(headers)
        length = found.get(b"content-length", b"0")
        return (
            found.get(b"content-type", b"").partition(b";")[0].strip().lower() == b"text/html"
            and found.get(b"content-encoding", b"identity") == b"identity"
            and self._call.method != "HEAD"
            and length.isdigit()
            and int(length) <= MAX_HTML
        )

    async def _page(self, code: int, headers: list[Header]) -> None:
        body = self._body()
        page = b""
        async for data in body:
            page += data
            if len(page) > MAX_HTML:
                break
        else:
            headers = [(name, value) for name, value in headers if name != b"content-length"]
            await self._call.answer(code, rewrite_page(page, self._prefix), headers)
            return
        await self._call.start(code, headers)
        await self._call.chunk(page)
        async for data in body:
            await self._call.chunk(data)
        await self._call.chunk(b"", more=False)

    async def _switch(self, head: h11.InformationalResponse) -> None:
        """The backend agrees to leave HTTP: from here on bytes are bytes."""
        lines = [b"HTTP/1.1 101 Switching Protocols", *(name + b": " + value for name, value in head.headers)]
        client = self._call.upgrade(b"\r\n".join([*lines, b"", b""]))
        ahead = self._http.trailing_data[0]
        async with client, anyio.create_task_group() as group:
            if ahead:
                await client.send(ahead)
            group.start_soon(_copy, client, self._stream, group.cancel_scope)
            await _copy(self._stream, client, group.cancel_scope)


async def _copy(source: ByteStream | Upgraded, target: ByteStream | Upgraded, scope: anyio.CancelScope) -> None:
    """Until one side has had enough, which is the end for both."""
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()
