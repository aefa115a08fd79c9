"""One HTTP request as the server sees it: its parts as strings, and the ways to answer it.

ASGI's messages end here; whoever answers works with `HttpCall`.
"""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qsl

from minik8s.api.request import JSON, ApiRequest, User
from minik8s.apiserver.authentication import Certificate
from minik8s.apiserver.fanout import Stream
from minik8s.apiserver.options import truth
from minik8s.apiserver.requestinfo import RequestInfo, verb_of
from minik8s.apiserver.upgrade.stream import Upgradable, Upgraded
from minik8s.machinery.errors import BadRequest, MethodNotAllowed, RequestEntityTooLarge

if TYPE_CHECKING:
    from minik8s.apiserver.flowcontrol.flows import Seat

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

STREAM = "minik8s.stream"
"""The ASGI extension by which our own server offers an answer's raw stream."""
UPGRADE = "minik8s.upgrade"
"""The ASGI extension by which it gives away the connection of a request for an upgrade."""
CERTIFICATE = "minik8s.certificate"
"""The ASGI extension in which it says whose verified certificate the client has shown, if any."""
ZIP_FROM = 128 * 1024
"""Answers of more bytes than this are zipped for who takes that; upstream's `defaultGzipThresholdBytes` and level."""
ZIP_LEVEL = 1
ZIPPED: Sequence[Header] = ((b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"))
MAX_BODY = 3 * 1024 * 1024
NO_CACHE: Header = (b"cache-control", b"no-cache, private")
_JSON_TYPE: Header = (b"content-type", JSON.encode())
_BROWSERS = ("curl/", "Wget/", "Mozilla/")


class HttpCall:
    """One HTTP request: its parts as strings, the ways to answer it, and what is known of it so far.

    `acting` is who `user` acts as, where that is somebody else; `extra` are headers of whatever answer there will be;
    `lasts` are the labels under which a request that lasts is counted; `began` is the clock's monotonic time.
    """

    query = ""
    audit_id = b""
    code = size = 0
    began = 0.0
    started = allowed = upgraded = False
    stream: Stream | None = None
    upgradable: Upgradable | None = None
    certificate: Certificate | None = None
    info: RequestInfo | None = None
    request: ApiRequest | None = None
    user: User | None = None
    acting: User | None = None
    lasts: tuple[str, ...] | None = None
    seat: Seat | None = None
    extra: Sequence[Header] = ()

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope["raw_path"]
        self.scheme: str = scope.get("scheme") or "http"
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.raw_headers: Iterable[Header] = scope["headers"]
        self.options: dict[str, str] = {}
        self.repeated: dict[str, list[str]] = {}
        if query := scope["query_string"]:
            self.query = query.decode("latin-1")
            self._parse_query(self.query)
        self.client = scope.get("client")
        self.receive, self.send = receive, send
        if "extensions" in scope:
            extensions = scope["extensions"]
            self.stream = extensions.get(STREAM)
            self.upgradable = extensions.get(UPGRADE)
            self.certificate = extensions.get(CERTIFICATE)

    def _parse_query(self, query: str) -> None:
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in self.options:
                self.repeated.setdefault(name, [self.options[name]]).append(value)
            else:
                self.options[name] = value

    def header(self, name: bytes) -> str:
        return self.headers.get(name, b"").decode("latin-1")

    @property
    def pretty(self) -> bool:
        return truth(self.options, "pretty") or self.header(b"user-agent").startswith(_BROWSERS)

    async def body(self) -> bytes:
        """The whole request body; raises RequestEntityTooLarge."""
        length = self.header(b"content-length")
        if length.isdigit() and int(length) > MAX_BODY:
            raise _too_large()
        chunks, size = [], 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > MAX_BODY:
                raise _too_large()
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks) if len(chunks) > 1 else chunks[0]

    def upgrade(self, head: bytes) -> Upgraded:
        """Ends HTTP on the connection. Raises BadRequest where that cannot be done."""
        if self.upgradable is None:
            raise BadRequest("Upgrade request required")
        stream = self.upgradable.upgrade(head)
        self.upgraded = self.started = True
        return stream

    async def start(self, code: int, headers: list[Header]) -> None:
        self.started = True
        self.code = code
        await self.send({"type": "http.response.start", "status": code, "headers": [*headers, *self.extra]})

    async def chunk(self, data: bytes, *, more: bool = True) -> None:
        self.size += len(data)
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def answer(self, code: int, body: bytes, headers: list[Header]) -> None:
        """A whole answer with its length; zipped if it is large and the client takes that."""
        size = len(body)
        if size > ZIP_FROM and self.takes_gzip:
            body = gzip.compress(body, ZIP_LEVEL, mtime=0)
            headers += ZIPPED
        headers.append((b"content-length", b"%d" % len(body)))
        if self.stream is not None and self.method != "HEAD":
            self.started, self.code, self.size = True, code, size
            if self.stream.answer(self.send, code, [*headers, *self.extra], body):
                return
        await self.start(code, headers)
        await self.chunk(body, more=False)
        self.size = size

    @property
    def takes_gzip(self) -> bool:
        accepted = self.headers.get(b"accept-encoding")
        return accepted is not None and b"gzip" in [token.strip() for token in accepted.split(b",")]


class ClientLeft(Exception):
    """The client closed the connection before it had sent its request."""


def verb_meant(call: HttpCall) -> str:
    """The verb of a request that need not be understood any further: for who has to say what was asked."""
    if call.info is not None:
        try:
            return verb_of(call.method, call.info, call.options, namespaced=False)
        except MethodNotAllowed:
            pass
    return call.method.lower()


def headers_of(media_type: str, warnings: Sequence[str]) -> list[Header]:
    headers = [_JSON_TYPE if media_type == JSON else (b"content-type", media_type.encode()), NO_CACHE]
    return [*headers, *warning_headers(warnings)] if warnings else headers


def warning_headers(texts: Iterable[str]) -> list[Header]:
    """Warning headers, one for each text; no text can end its header."""
    headers = []
    for text in dict.fromkeys(texts):
        safe = "".join(c if c.isprintable() else " " for c in text).replace("\\", "\\\\").replace('"', '\\"')
        headers.append((b"warning", f'299 - "{safe}"'.encode()))
    return headers


def _too_large() -> RequestEntityTooLarge:
    return RequestEntityTooLarge(f"Request entity too large: limit is {MAX_BODY}")
