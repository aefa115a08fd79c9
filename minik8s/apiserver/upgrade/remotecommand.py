"""exec and attach: moves bytes between a client's streams and a session's, and says at last how it ended.

Whichever protocol was agreed on, here it is a `Client` with inputs and outputs. The conversation ends with the session,
after everything that it wrote, or with the client: then the session is closed, and with it the command, after a moment
to do what it was told. (A container runtime would let such a command run on, seen by nobody.) Upstream:
k8s.io/kubelet/pkg/cri/streaming/remotecommand.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import anyio
import attrs
from anyio.abc import ByteReceiveStream, ByteSendStream

from minik8s.apiserver.context import Session
from minik8s.apiserver.upgrade.commandstatus import ended_with
from minik8s.apiserver.upgrade.handshake import Agreement
from minik8s.apiserver.upgrade.inputs import Input, Resize, Stdin, StdinEnded, Wanted
from minik8s.apiserver.upgrade.spdyclient import SpdyClient
from minik8s.apiserver.upgrade.stream import Upgraded
from minik8s.apiserver.upgrade.wsclient import WebSocketClient
from minik8s.machinery.meta import Obj

IDLE_SECONDS = 4 * 3600.0
"""A conversation in which nothing is said for this long is over (the kubelet's streamingConnectionIdleTimeout)."""
LINGER_SECONDS = 2.0
"""How long a client may take to close its side; a connection that is closed too early would lose the last words."""
GRACE_SECONDS = 2.0
"""How long a command may go on without a client: time to do what it was told before the client left."""


class Client(Protocol):
    """The client's side of a conversation, in whatever protocol."""

    async def begin(self) -> bool:
        """Waits for what the protocol wants first; False when it does not come."""
        ...

    def inputs(self) -> AsyncIterator[Input]:
        """What the client says, until it has gone. Reads nothing ahead."""
        ...

    async def stdout(self, data: bytes) -> None: ...

    async def stderr(self, data: bytes) -> None: ...

    async def finish(self, status: Obj) -> None:
        """Says how it ended; nothing is sent afterwards."""
        ...


async def converse(agreement: Agreement, session: Session, wanted: Wanted, stream: Upgraded) -> None:
    """Lets a client and a session talk until one of them has ended."""
    client: Client
    if agreement.transport == "websocket":
        client = WebSocketClient(stream, agreement.protocol)
    else:
        client = SpdyClient(stream, agreement.protocol, _spdy_streams(wanted, agreement.protocol))
    async with anyio.create_task_group() as group:
        stream.watch_idleness(group.cancel_scope, IDLE_SECONDS)
        group.start_soon(stream.keep_up, agreement.heartbeat, group.cancel_scope)
        if await client.begin():
            await _Conversation(client, session, wanted).run()
        group.cancel_scope.cancel()


def _spdy_streams(wanted: Wanted, protocol: str) -> frozenset[str]:
    """The streams that a SPDY client opens before anything happens."""
    names = {"error"} | {name for name in ("stdin", "stdout", "stderr") if getattr(wanted, name)}
    if wanted.tty and protocol not in ("", "channel.k8s.io", "v2.channel.k8s.io"):
        names.add("resize")
    return frozenset(names)


@attrs.define(eq=False)
class _Conversation:
    client: Client
    session: Session
    wanted: Wanted

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._listen, group.cancel_scope)
            async with anyio.create_task_group() as outputs:
                outputs.start_soon(self._tell, "stdout", self.session.stdout)
                outputs.start_soon(self._tell, "stderr", self.session.stderr)
            code = await self.session.wait()
            await self.client.finish(ended_with(code, self.wanted.command))
            with anyio.move_on_after(LINGER_SECONDS):
                await anyio.sleep_forever()
            group.cancel_scope.cancel()

    async def _listen(self, scope: anyio.CancelScope) -> None:
        """Carries out what the client says; when it has gone everything ends."""
        stdin = self.session.stdin if self.wanted.stdin else None
        async for said in self.client.inputs():
            match said:
                case Stdin(data):
                    stdin = await _put(stdin, data)
                case StdinEnded():
                    await _end(stdin)
                    stdin = None
                case Resize(width, height):
                    self.session.resize(width, height)
        await _end(stdin)
        if self.wanted.command and not self.wanted.tty:
            with anyio.move_on_after(GRACE_SECONDS):
                await self.session.wait()
        scope.cancel()

    async def _tell(self, name: str, source: ByteReceiveStream | None) -> None:
        """Hands an output on until its end; what the client did not ask for is read all the same."""
        wanted = getattr(self.wanted, name)
        send = self.client.stdout if name == "stdout" else self.client.stderr
        if source is None:
            return
        async for data in source:
            try:
                if wanted:
                    await send(data)
            except anyio.BrokenResourceError:
                wanted = False  # there is nobody left who could want it


async def _put(stdin: ByteSendStream | None, data: bytes) -> ByteSendStream | None:
    """None once the process does not read any more: the rest of the input is for nobody."""
    if stdin is None:
        return None
    try:
        await stdin.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return None
    return stdin


async def _end(stdin: ByteSendStream | None) -> None:
    if stdin is not None:
        await stdin.aclose()
