"""What dispatch answers: values, not bytes. The HTTP app turns them into bytes, the in-process client takes them as
they are."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import attrs
from anyio.abc import ByteStream

from minik8s.api.request import Encoded, ListResult, WatchStream
from minik8s.api.resource import Resource
from minik8s.apiserver.fanout import Session
from minik8s.apiserver.upgrade.handshake import Agreement
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.machinery.meta import Obj

SUCCESS: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
"""What a subresource answers that has done something and has nothing to show."""


@attrs.define(eq=False)
class ObjectResponse:
    """One document. `source` gives its bytes when the store holds them; `resource` says how to print it."""

    document: Obj
    resource: Resource[Any] | None = None
    source: Encoded | None = None
    code: int = 200
    warnings: list[str] = attrs.field(factory=list)


@attrs.define(eq=False)
class ListResponse:
    """A collection, or what was deleted of it."""

    result: ListResult
    resource: Resource[Any]
    warnings: list[str] = attrs.field(factory=list)


@attrs.define(eq=False)
class WatchResponse:
    """Events until the stream ends; `close` lets the server's side go, and may be called at any time."""

    events: WatchStream
    resource: Resource[Any]
    close: Callable[[], None]
    session: Session | None = None
    """The watch behind the events, for who can share its reader with others."""
    warnings: list[str] = attrs.field(factory=list)

    def begun(self, tell: Callable[[], None]) -> None:
        """Calls `tell` when the first events have been sent, or at once where nobody knows."""
        if self.session is None:
            tell()
        else:
            self.session.begun = tell


@attrs.define(eq=False)
class StreamResponse:
    """Raw bytes: logs. A `live` stream may stay silent for long, so its answer begins before its first byte."""

    chunks: AsyncIterator[bytes]
    media_type: str = "text/plain"
    live: bool = False


Conversation: TypeAlias = Callable[[Upgraded], Awaitable[None]]
"""What is said over an upgraded connection, until one side has had enough."""


@attrs.define(eq=False)
class UpgradeResponse:
    """The connection shall stop being HTTP. `websocket` and `spdy` are the protocols that the server knows.

    `open` gets what was agreed on and takes what is needed; it may still raise ApiError.
    """

    websocket: Collection[str]
    spdy: Sequence[str]
    open: Callable[[Agreement], AbstractAsyncContextManager[Conversation]]


@attrs.frozen
class ProxyTarget:
    """Where a request is passed on to: what `dial` connects to, or the kubelet of `node`."""

    host: str = ""
    port: int = 0
    tls: bool = False
    dial: Callable[[], Awaitable[ByteStream]] | None = None
    node: str = ""
    context: ssl.SSLContext | None = None
    """How TLS is done; without one certificates are not verified."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """What the backend is told beside the client's headers."""
    keeps_credentials: bool = False
    """Whether the client's credentials are for the backend, and not for this server."""


@attrs.define(eq=False)
class ProxyResponse:
    """The request, whatever it says, is somebody else's to answer."""

    target: ProxyTarget


ApiResponse: TypeAlias = (
    ObjectResponse | ListResponse | WatchResponse | StreamResponse | UpgradeResponse | ProxyResponse
)
