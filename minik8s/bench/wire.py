"""The load generator's road to an API server: HTTP/1.1 with as little of its own as can be.

A call through httpx costs this process some milliseconds where the server takes tens of microseconds, so that a load
of a few hundred calls a second would measure httpx. Here a request is bytes on a kept connection and its answer is
parsed in C (httptools). What is sent and what is made of the answer is `HttpTransport`'s, of which this is one:
watches and everything unusual (a proxy, another server name) go its way.
"""

from __future__ import annotations

import base64
from collections import deque
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import anyio
import attrs
import httptools
import httpx
import orjson
from anyio.abc import ByteStream

from minik8s.api.request import METHODS, ApiRequest
from minik8s.bench.world import REAL
from minik8s.client.http import MAX_RETRIES, HttpTransport, error_of, retry_after, ssl_context
from minik8s.client.kubeconfig import ClientConfig
from minik8s.machinery.errors import InternalError
from minik8s.machinery.meta import Obj

IDLE_SECONDS: Final = 2.0
"""Connections that lay idle for longer are not used again: servers close them, some after 5 seconds."""
CHUNK: Final = 1 << 18
SAFE: Final = "/:@!$&'()*+,;=~"


@attrs.define(eq=False)
class Connection:
    """One connection and the answer that is being read from it; the parser calls the `on_` methods."""

    stream: ByteStream
    since: float = 0.0
    _headers: dict[str, str] = attrs.field(factory=dict)
    _body: list[bytes] = attrs.field(factory=list)
    _whole: bool = False
    _keep: bool = False
    _parser: httptools.HttpResponseParser | None = None

    async def exchange(self, data: bytes) -> tuple[int, dict[str, str], bytes, bool]:
        """(status, headers with small names, body, whether the connection can be kept). Raises OSError."""
        self._headers, self._body, self._whole = {}, [], False
        parser = self._parser = httptools.HttpResponseParser(self)
        try:
            await self.stream.send(data)
            while not self._whole:
                parser.feed_data(await self.stream.receive(CHUNK))
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise ConnectionError(f"{type(error).__name__}: the server closed the connection") from error
        except httptools.HttpParserError as error:
            raise ConnectionError(f"the server's answer is not HTTP: {error}") from None
        return parser.get_status_code(), self._headers, b"".join(self._body), self._keep

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        self._whole, self._keep = (
            True,
            self._parser is not None and self._parser.should_keep_alive(),
        )  # afterwards it has forgotten


class WireTransport(HttpTransport):
    """An `HttpTransport` whose calls and lists go over connections of their own."""

    @classmethod
    def of(cls, config: ClientConfig) -> HttpTransport:
        """A transport to the server of a kubeconfig; httpx's where that one asks for a detour."""
        if config.proxy or config.server_name:
            return HttpTransport.from_config(config)
        transport = cls.from_config(config)
        assert isinstance(transport, WireTransport)
        transport._prepare(config)
        return transport

    def _prepare(self, config: ClientConfig) -> None:
        where = urlsplit(config.server)
        self._host, self._base = where.hostname or "", where.path.rstrip("/")
        self._port = where.port or (443 if where.scheme == "https" else 80)
        self._tls = ssl_context(config)
        self._idle: deque[Connection] = deque()
        self._fixed = f"Host: {where.netloc}\r\n"
        if config.token:
            self._fixed += f"Authorization: Bearer {config.token}\r\n"
        elif config.username:
            pair = base64.b64encode(f"{config.username}:{config.password}".encode()).decode()
            self._fixed += f"Authorization: Basic {pair}\r\n"

    async def aclose(self) -> None:
        while self._idle:
            await anyio.aclose_forcefully(self._idle.pop().stream)
        await super().aclose()

    async def _document(self, request: ApiRequest) -> Obj:
        data = self._encoded(request)
        for retries in range(MAX_RETRIES + 1):
            status, headers, body = await self._send(data)
            wait = retry_after(status, headers.get("retry-after", ""))
            if wait is None or retries == MAX_RETRIES:
                break
            await self._clock.sleep(wait)
        if status >= 400:
            raise error_of(httpx.Response(status, headers=headers, content=body))
        try:
            document: Obj = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise InternalError(f"the server's answer is not JSON: {error}") from None
        return document

    def _encoded(self, request: ApiRequest) -> bytes:
        path = request.resource.path(request.namespace, request.name, request.subresource) + request.path
        target = quote(self._base + path, safe=SAFE)
        if request.options or request.repeated:
            target += "?" + urlencode({**request.options, **request.repeated}, doseq=True)
        body = request.body
        content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        head = f"{METHODS[request.verb]} {target} HTTP/1.1\r\n{self._fixed}"
        head += "".join(f"{name}: {value}\r\n" for name, value in self._headers(request))
        return f"{head}Content-Length: {len(content)}\r\n\r\n".encode("latin-1") + content

    async def _send(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = await self._connection()
        try:
            status, headers, body, keep = await connection.exchange(data)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(connection.stream)
            raise
        if keep:
            connection.since = REAL.monotonic()
            self._idle.append(connection)
        else:
            await anyio.aclose_forcefully(connection.stream)
        return status, headers, body

    async def _connection(self) -> Connection:
        """The one that was used last, or a new one. Raises OSError."""
        while self._idle and REAL.monotonic() - self._idle[0].since > IDLE_SECONDS:
            await anyio.aclose_forcefully(self._idle.popleft().stream)
        if self._idle:
            return self._idle.pop()
        if self._tls is False:
            return Connection(await anyio.connect_tcp(self._host, self._port))
        assert not isinstance(self._tls, bool)
        return Connection(
            await anyio.connect_tcp(
                self._host, self._port, ssl_context=self._tls, tls_standard_compatible=False, tls_hostname=self._host
            )
        )
