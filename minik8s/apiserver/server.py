"""Sockets: uvicorn's HTTP protocol on the running loop, without its server object.

uvicorn's own `Server` takes over signal handlers and wakes ten times a second; all that is needed of it is the
protocol class, which `loop.create_server` can use directly. Shutdown ends the watches first (the store does that),
then closes what is idle, then cancels what still runs.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httptools
from anyio.lowlevel import checkpoint
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from minik8s.apiserver.authentication import Certificate
from minik8s.apiserver.httpcall import CERTIFICATE, STREAM, UPGRADE, Receive, Scope, Send
from minik8s.apiserver.upgrade.stream import Upgraded

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 2.0
UPGRADES = frozenset({b"websocket", b"spdy/3.1"})
MAX_HEAD = (1 << 20) + 4096
"""Bytes of a request's line and headers: Go's DefaultMaxHeaderBytes and what its server allows beyond that."""
METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""What Go's server takes for a method: any token (RFC 9110)."""
STAND_IN = b"PURGE"
"""A method that is no method of the API either."""
WRITE_AT_ONCE = 64 * 1024
"""Bytes waiting to be sent in this step of the loop from which they are sent now."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError naming the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # the protocol is named because asyncio turns Nagle's algorithm off only for sockets that say they are TCP
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


class Outbox(asyncio.Transport):
    """A connection's transport on which what is written in one step of the loop leaves in one system call.

    An answer's head and body are two writes, and a `send` costs as much as dispatching a GET does. Large writes go out
    at once, so that back-pressure is felt; what is written after the client has gone is dropped without a word.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []
        self._size = 0
        for name in ("get_extra_info", "is_closing", "pause_reading", "resume_reading", "set_protocol", "abort"):
            setattr(self, name, getattr(transport, name))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size > WRITE_AT_ONCE:
            self._flush()

    def write_now(self, data: bytes) -> None:
        """Behind what waits, without waiting: for who has nothing to add."""
        if self._parts:
            self._flush()
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))


class Protocol(HttpToolsProtocol):
    """uvicorn's, writing through an `Outbox`, and the `Stream` by which others write into its answer.

    A request to switch to WebSocket or SPDY is a request like any other until its handler calls `upgrade`: then the
    connection is no longer HTTP. What the client sends ahead waits for that; a refused upgrade ends the connection.
    """

    transport: Outbox
    front_proxy = b""
    """The CA of front proxies, PEM; empty if there are none."""
    _upgraded: Upgraded | None = None
    """The connection as bytes, from the end of a request for an upgrade on."""
    _idle_since: float | None = None
    """When the connection began to wait for a request's head; None while a request is served."""
    _reaper: asyncio.TimerHandle | None = None
    _method = ""
    """The method of the request that is being read, if the parser takes it for another."""
    _head: int | None = 0
    """Bytes of a request's head that have come; None from its end to the end of the request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(Outbox(transport, self.loop))
        self.certificate = _certificate(transport.get_extra_info("ssl_object"), self.front_proxy)
        self._wait_for_request()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = self._extensions()

    def _extensions(self) -> dict[str, Any]:
        offered: dict[str, Any] = {STREAM: self}
        if self.certificate is not None:
            offered[CERTIFICATE] = self.certificate
        return offered

    def on_headers_complete(self) -> None:
        self._idle_since = self._head = None
        wanted = self.parser.should_upgrade() and (self._get_upgrade() or b"") in UPGRADES
        if wanted:
            self.scope["extensions"] = self._extensions() | {UPGRADE: self}
        super().on_headers_complete()
        if self._method:
            self.scope["method"], self._method = self._method, ""
        if wanted:
            self.cycle.keep_alive = False
            self._upgraded = Upgraded(self.transport, self._drained)

    def data_received(self, data: bytes) -> None:
        if self._upgraded is not None:
            self._upgraded.feed(data)
            return
        if self._head is not None:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse(431, "Request Header Fields Too Large")
                return
        try:
            self._parse(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_ahead(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, "Bad Request")

    def _parse(self, data: bytes) -> None:
        """The parser knows the methods that there are, and refuses others, which are the API's to refuse.

        A request whose method it does not know is read again as if it had another, which it cannot have here: it has to
        begin with this data. Raises HttpParserError or HttpParserUpgrade.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            method, _, rest = data.partition(b" ")
            if self._head != len(data) or not METHOD.fullmatch(method):
                raise
            self.parser = httptools.HttpRequestParser(self)
            self._method = method.decode()
            self.parser.feed_data(STAND_IN + b" " + rest)

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()

    def _refuse(self, code: int, why: str) -> None:
        """What Go's server says to what is no request, before anybody has looked at it; the connection is over."""
        text = f"{code} {why}".encode()
        head = b"HTTP/1.1 %b\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\r\n" % text
        self.transport.write(head + text)
        self.transport.close()

    def _feed_ahead(self, data: bytes) -> None:
        """What came with the request already belongs to what comes after it."""
        if data and self._upgraded is not None:
            self._upgraded.feed(data)

    def upgrade(self, head: bytes) -> Upgraded:
        """Answers with `head` and gives the connection away; nothing else may be sent afterwards."""
        assert self._upgraded is not None
        self.cycle.response_started = self.cycle.response_complete = True
        self.transport.write(head)
        return self._upgraded

    async def _drained(self) -> None:
        await self.flow.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._reaper is not None:
            self._reaper.cancel()
        if self._upgraded is not None:
            self._upgraded.feed_eof()

    def shutdown(self) -> None:
        super().shutdown()
        if self._upgraded is not None:
            self._upgraded.feed_eof()

    def on_response_complete(self) -> None:
        """uvicorn's, but for the timer: one that is looked at when it fires costs less than one for each answer."""
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._wait_for_request()

    def _wait_for_request(self) -> None:
        self._idle_since = self.loop.time()
        if self._reaper is None:
            self._reaper = self.loop.call_later(self.timeout_keep_alive, self._reap)

    def _reap(self) -> None:
        """Closes a connection on which no request has begun for too long, or not got beyond its head."""
        self._reaper = None
        if self._idle_since is None or self.transport.is_closing():
            return  # the next answer begins the wait anew
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0.001:
            self._reaper = self.loop.call_later(left, self._reap)
        else:
            self.transport.close()

    @property
    def ready(self) -> bool:
        return not self.flow.write_paused and not self.transport.is_closing()

    def write_now(self, data: bytes) -> None:
        self.transport.write_now(data)

    def abort(self) -> None:
        self.transport.abort()

    def answer(self, send: Any, code: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """What uvicorn's cycle does with a head and a body, in one step: half of what a small answer costs there."""
        cycle: RequestResponseCycle = send.__self__
        if self.flow.write_paused or cycle.disconnected or cycle.response_started:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        parts = [STATUS_LINE[code]]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        parts.append(body)
        self.transport.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _unsupported_upgrade_warning(self) -> None:
        """The client hears of it from the API's own answer; the log need not."""


def _certificate(tls: ssl.SSLObject | None, front_proxy: bytes) -> Certificate | None:
    """The certificate that a client has shown, as far as authentication needs it; the handshake has verified it."""
    shown: Any = tls.getpeercert() if tls is not None else None
    if tls is None or not shown:
        return None
    subject = [pair for names in shown.get("subject", ()) for pair in names]
    names = [value for key, value in subject if key == "commonName"]
    groups = tuple(value for key, value in subject if key == "organizationName")
    encoded = tls.getpeercert(binary_form=True) or b""
    return Certificate(names[-1] if names else "", groups, sha256(encoded).hexdigest(), _is_of(front_proxy, encoded))


def _is_of(authority: bytes, encoded: bytes) -> bool:
    """Whether a CA has signed a certificate itself. TLS has found that one of those it trusts has, but not which."""
    if not authority:
        return False
    from minik8s.apiserver.pki import has_signed

    return has_signed(authority, encoded)


@asynccontextmanager
async def serve(
    app: Application, sock: socket.socket, tls: ssl.SSLContext | None, front_proxy: bytes = b""
) -> AsyncIterator[None]:
    """Serves `app` on `sock` for as long as the context is open; afterwards no connection is left.

    `front_proxy` is the CA of front proxies, PEM, among those that `tls` trusts.
    """
    config = Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # nobody stands in front of this server, and whoever says so is not to be believed
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        backlog=BACKLOG,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def factory() -> Protocol:
        protocol = Protocol(config=config, server_state=state, app_state={}, _loop=loop)
        protocol.front_proxy = front_proxy
        return protocol

    server = await loop.create_server(factory, sock=sock, ssl=tls, backlog=BACKLOG)
    try:
        yield
    finally:
        server.close()
        await _drain(state)


async def _drain(state: ServerState) -> None:
    """Lets running answers finish, for a moment; then nothing is left."""
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        await asyncio.wait(set(state.tasks), timeout=GRACE_SECONDS)
    for task in (tasks := set(state.tasks)):
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for connection in list(state.connections):
        if connection.transport is not None:
            connection.transport.abort()
    await checkpoint()
