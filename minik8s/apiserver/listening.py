"""Answers that a client only listens to, as WebSocket messages: the events of a watch, the bytes of a log.

A browser cannot read an HTTP answer that has no end, but it can be told in messages. Whatever the client says is
ignored, but for its going. Upstream: `wsstream.Reader` and `WatchServer.HandleWS`.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import anyio

from minik8s.api.request import JSON
from minik8s.apiserver.httpcall import HttpCall
from minik8s.apiserver.upgrade.handshake import Agreement, agree, offers
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.apiserver.upgrade.websocket import WebSocket
from minik8s.machinery.errors import ApiError

Message = bytes | str
AsyncMessages = AsyncIterator[Message]
BASE64 = "base64.binary.k8s.io"
READERS = ("", "binary.k8s.io", BASE64)
_FRAME_LENGTH = 4
_CREDENTIALS = "base64url.bearer.authorization.k8s.io."


def listens(call: HttpCall) -> bool:
    """Whether the client asks for messages, on a connection where it can have them."""
    return call.upgradable is not None and call.header(b"upgrade").lower() == "websocket"


def agree_on_bytes(call: HttpCall) -> Agreement:
    """Raises BadRequest for what is no handshake, Forbidden for protocols that no stream of bytes has."""
    return agree(call.method, call.raw_headers, websocket=READERS, spdy=())


def agree_on_events(call: HttpCall) -> Agreement:
    """A watch knows no subprotocol, and takes what it is offered for one. Raises BadRequest."""
    named = [name for name in offers(call.raw_headers) if not name.startswith(_CREDENTIALS)]
    return agree(call.method, call.raw_headers, websocket=named, spdy=())


def event_message(frame: bytes, media_type: str) -> Message:
    """An event of a watch stream: text in JSON, else the frame without its length, which a message has itself."""
    return frame.decode() if media_type == JSON else frame[_FRAME_LENGTH:]


def byte_message(data: bytes, agreement: Agreement) -> Message:
    return base64.b64encode(data).decode() if agreement.protocol == BASE64 else data


async def tell(call: HttpCall, agreement: Agreement, messages: AsyncMessages) -> None:
    """Sends until there is nothing more to say, or nobody to listen."""
    stream, socket = call.upgrade(agreement.head), WebSocket()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_ignore, stream, socket, group.cancel_scope)
            await _say(stream, socket, messages)
            group.cancel_scope.cancel()
    except* anyio.BrokenResourceError:
        pass  # the client has gone in the middle of a message
    finally:
        await stream.aclose()


async def _say(stream: Upgraded, socket: WebSocket, messages: AsyncMessages) -> None:
    try:
        async for message in messages:
            await stream.send(socket.send(message))
    except ApiError:
        pass  # what was said so far stands; a listener cannot be told more than that it is over
    await stream.answer(socket.close())


async def _ignore(stream: Upgraded, socket: WebSocket, scope: anyio.CancelScope) -> None:
    """Reads, and ends it all when the client goes."""
    async for data in stream:
        for _ in socket.receive(data):
            pass
        await stream.answer(socket.outgoing())
        if socket.over:
            break
    scope.cancel()


async def byte_messages(first: bytes, chunks: AsyncIterator[bytes], agreement: Agreement) -> AsyncMessages:
    """An empty message, by which the client knows that it has begun, then what there is."""
    yield byte_message(b"", agreement)
    if first:
        yield byte_message(first, agreement)
    async for chunk in chunks:
        yield byte_message(chunk, agreement)
