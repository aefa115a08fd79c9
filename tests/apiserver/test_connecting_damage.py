"""Damaged frames of exec and port-forward, over WebSocket and SPDY."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest

from minik8s.apiserver.http import HttpApp
from minik8s.apiserver.server import listen, serve
from minik8s.apiserver.upgrade.spdy import Spdy
from minik8s.apiserver.upgrade.websocket import WebSocket
from tests.apiserver.nodes import (
    EXEC,
    LIMIT,
    Cat,
    head_of,
    make_pods,
    websocket,
)

pytestmark = pytest.mark.anyio


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Some bytes changed, cut out, put in, or said twice."""
    damage = bytearray(data)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(damage) + 1)
        match rng.randint(0, 3):
            case 0:
                damage[at : at + 1] = rng.randbytes(1)
            case 1:
                del damage[at : at + rng.randint(1, 8)]
            case 2:
                damage[at:at] = rng.randbytes(rng.randint(1, 8))
            case _:
                damage[at:at] = damage[: rng.randint(1, 40)]
    return bytes(damage)


def spdy_session(rng: random.Random) -> bytes:
    """A client that opens streams, writes to them, and ends some."""
    client, said = Spdy(client=True), b""
    for kind in rng.sample(["error", "stdin", "stdout", "data", "error", "data", "resize"], 5):
        headers = {"streamType": kind, "port": rng.choice(["80", "x"]), "requestID": rng.choice("01")}
        number, frame = client.open(headers)
        said += frame + client.send(number, rng.randbytes(10), fin=rng.random() < 0.3)
    return said + rng.choice([b"", client.goaway(), client.ping(1)])


def websocket_session(rng: random.Random) -> bytes:
    """A client that writes to channels, closes one, and says goodbye."""
    client = WebSocket(client=True)
    said = [b"\x00hello", b'\x04{"Width":1,"Height":2}', "0aGk=", b"\xff\x00", spdy_session(rng)]
    return b"".join(client.send(message) for message in said) + client.close()


FORWARD = "/api/v1/namespaces/default/pods/p/portforward?ports=80&ports=81"

SPDY = "HTTP/1.1\nHost: x\nConnection: Upgrade\nUpgrade: SPDY/3.1\nX-Stream-Protocol-Version: v4.channel.k8s.io"

DIALOGUES = (
    (websocket(EXEC), websocket_session),
    (websocket(EXEC, "v4.base64.channel.k8s.io"), websocket_session),
    (websocket(FORWARD), websocket_session),
    (websocket(FORWARD, "SPDY/3.1+portforward.k8s.io"), websocket_session),
    (f"POST {EXEC} {SPDY}", spdy_session),
    (f"POST {FORWARD} {SPDY.rpartition(chr(10))[0]}", spdy_session),
)


class ManyNodes:
    """A session of its own for everybody; ports refuse."""

    def __init__(self) -> None:
        self.sessions: list[Cat] = []

    async def exec(self, *args: Any, **options: Any) -> Cat:
        self.sessions.append(Cat())
        return self.sessions[-1]

    async def port_forward(self, pod: Any, port: int) -> Any:
        raise OSError("connection refused")


@pytest.mark.parametrize(("request_", "session"), DIALOGUES, ids=range(len(DIALOGUES)))
async def test_damaged_frames(
    server: Any, request_: str, session: Callable[[random.Random], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever a client sends, no request fails inside and no session stays open."""
    await make_pods(server)
    nodes = server.ctx.connector = ManyNodes()
    sock = listen("127.0.0.1", 0)
    async with serve(HttpApp(server.ctx), sock, None):
        for seed in range(25):
            rng = random.Random(seed)
            async with await anyio.connect_tcp("127.0.0.1", sock.getsockname()[1]) as stream:
                await stream.send(request_.replace("\n", "\r\n").encode() + b"\r\n\r\n")
                await head_of(stream)
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await stream.send(damaged(rng, session(rng)))
                    with anyio.move_on_after(0.02):
                        await stream.receive()
        with anyio.fail_after(LIMIT):
            for opened in nodes.sessions:
                await opened.closed.wait()
    said = "".join(capfd.readouterr())
    assert "request failed" not in said
    assert "Traceback" not in said
