"""Sockets: uvicorn's HTTP protocol on the running loop, without its server object.

uvicorn's own `Server` takes over signal handlers and wakes ten times a second; all that is needed of it is the
protocol class, which `loop.create_server` can use directly. Shutdown ends the watches first (the store does that),
then closes what is idle, then cancels what still runs.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from anyio.lowlevel import checkpoint
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from minik8s.apiserver.http import HttpApp

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 2.0


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


@asynccontextmanager
async def serve(app: HttpApp, sock: socket.socket, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Serves `app` on `sock` for as long as the context is open; afterwards no connection is left."""
    config = Config(
        app,
        http=HttpToolsProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        backlog=BACKLOG,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    factory = partial(HttpToolsProtocol, config=config, server_state=state, app_state={}, _loop=loop)
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
