"""Which protocol a client gets, and what it is told when there is none."""

from __future__ import annotations

import pytest

from minik8s.apiserver.upgrade.handshake import SPDY_COMMAND, SUBPROTOCOLS, agree
from minik8s.apiserver.upgrade.inputs import Resize, Sizes
from minik8s.machinery.errors import BadRequest, Forbidden

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
WEBSOCKET = [(b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"), KEY]
SPDY = [(b"connection", b"Upgrade"), (b"upgrade", b"SPDY/3.1")]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("v5.channel.k8s.io", "v5.channel.k8s.io"),
        ("v5.channel.k8s.io,v4.channel.k8s.io", "v5.channel.k8s.io"),
        ("v9.channel.k8s.io, v4.base64.channel.k8s.io", "v4.base64.channel.k8s.io"),
        ("channel.k8s.io", "channel.k8s.io"),
    ],
)
def test_websocket_subprotocol(offered: str, chosen: str) -> None:
    """The first offer that is known is taken, and the answer names it beside the key of RFC 6455's example."""
    agreement = agree(
        "GET", [*WEBSOCKET, (b"sec-websocket-protocol", offered.encode())], websocket=SUBPROTOCOLS, spdy=SPDY_COMMAND
    )
    assert (agreement.transport, agreement.protocol) == ("websocket", chosen)
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in agreement.head
    assert agreement.head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert agreement.head.endswith(f"Sec-WebSocket-Protocol: {chosen}\r\n\r\n".encode())


def test_no_subprotocol() -> None:
    """Who offers none gets none, and no header that names one."""
    agreement = agree("GET", WEBSOCKET, websocket=SUBPROTOCOLS, spdy=SPDY_COMMAND)
    assert agreement.protocol == ""
    assert b"Protocol" not in agreement.head.partition(b"\r\n")[2]


def test_spdy_version() -> None:
    """SPDY clients offer versions in several headers; one without any is from before there were versions."""
    versions = [(b"x-stream-protocol-version", name) for name in (b"v9.channel.k8s.io", b"v4.channel.k8s.io")]
    agreement = agree("POST", [*SPDY, *versions], websocket=SUBPROTOCOLS, spdy=SPDY_COMMAND)
    assert (agreement.transport, agreement.protocol) == ("spdy", "v4.channel.k8s.io")
    assert b"Upgrade: SPDY/3.1\r\n" in agreement.head
    assert agree("POST", SPDY, websocket=SUBPROTOCOLS, spdy=SPDY_COMMAND).protocol == ""


@pytest.mark.parametrize(
    ("method", "headers", "error", "text"),
    [
        ("GET", [], BadRequest, "Upgrade request required"),
        ("POST", [(b"upgrade", b"h2c")], BadRequest, "Upgrade request required"),
        ("POST", WEBSOCKET, BadRequest, "websocket: "),
        ("GET", WEBSOCKET[:3], BadRequest, "websocket: "),
        ("GET", [*WEBSOCKET[:3], (KEY[0], b"short")], BadRequest, "websocket: "),
        ("GET", [*WEBSOCKET[:2], (b"sec-websocket-version", b"8"), KEY], BadRequest, "websocket: "),
        (
            "GET",
            [*WEBSOCKET, (b"sec-websocket-protocol", b"chat")],
            Forbidden,
            "requested protocol(s) are not supported: [chat]",
        ),
        (
            "POST",
            [*SPDY, (b"x-stream-protocol-version", b"v0")],
            Forbidden,
            "unable to upgrade: unable to negotiate protocol: ",
        ),
    ],
)
def test_refusals(method: str, headers: list[tuple[bytes, bytes]], error: type[Exception], text: str) -> None:
    """What is no upgrade, or none that can be agreed on, is refused with the reason."""
    with pytest.raises(error) as caught:
        agree(method, headers, websocket=SUBPROTOCOLS, spdy=SPDY_COMMAND)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("chunks", "sizes"),
    [
        ([b'{"Width":100,"Height":30}\n'], [(100, 30)]),
        ([b'{"Wid', b'th":100,"Hei', b'ght":30}{"Width":1,"Height":2}'], [(100, 30), (1, 2)]),
        ([b'{"width":5,"height":6}'], [(5, 6)]),
        ([b'{"Width":0,"Height":0}', b'{"Width":70000,"Height":1}', b'{"Width":"1"}', b"[1]"], []),
        ([b"}nonsense{", b'{"Width":7,"Height":8}'], [(7, 8)]),
        ([b"{" * 10_000, b'{"Width":7,"Height":8}'], [(7, 8)]),
        ([b"\xff\xfe"], []),
    ],
)
def test_window_sizes(chunks: list[bytes], sizes: list[tuple[int, int]]) -> None:
    """Sizes are read however they are cut; what is none is passed over, and nothing is kept for long."""
    reader = Sizes()
    found = [size for chunk in chunks for size in reader.feed(chunk)]
    assert found == [Resize(*size) for size in sizes]
