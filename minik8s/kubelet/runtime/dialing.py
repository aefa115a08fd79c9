"""Connections to a pod's ports, whose failures read as Go's do: clients show them to their users."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import TypeAlias

import anyio
from anyio.abc import SocketStream

DIAL_SECONDS = 30.0

Sockets: TypeAlias = Callable[[str, int, int], socket.socket]
"""(address, family, kind) -> a socket that reaches the address."""


def plain(address: str, family: int, kind: int) -> socket.socket:
    """A socket of the network that this process is in."""
    return socket.socket(family, kind)


async def connected(host: str, port: int, sockets: Sockets) -> socket.socket:
    """A connected socket to an address. Raises OSError; cancelled, it leaves nothing behind."""
    sock = sockets(host, socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def connect_tcp(host: str, port: int, sockets: Sockets = plain) -> SocketStream:
    """Raises OSError: `dial tcp <host>:<port>: connect: connection refused`."""
    return await _dial("tcp", host, port, sockets)


async def connect_locally(port: int, sockets: Sockets, sandbox: str) -> SocketStream:
    """Whoever listens at a port of a pod's loopback addresses, as containerd looks for it: IPv4 goes before IPv6.

    Raises OSError with containerd's text (portForward of its CRI plug-in).
    """
    try:
        return await _dial("tcp4", "127.0.0.1", port, sockets)
    except OSError as error:
        first = error
    try:
        return await _dial("tcp6", "::1", port, sockets)
    except OSError as error:
        where = f'localhost:{port} inside namespace "{sandbox}"'
        raise OSError(f"failed to connect to {where}, IPv4: {first} IPv6 {error}") from None


async def _dial(network: str, host: str, port: int, sockets: Sockets) -> SocketStream:
    """Raises OSError: `dial <network> <host>:<port>: connect: connection refused`."""
    where = f"dial {network} [{host}]:{port}" if ":" in host else f"dial {network} {host}:{port}"
    try:
        with anyio.fail_after(DIAL_SECONDS):
            if sockets is plain:
                return await anyio.connect_tcp(host, port)
            return await SocketStream.from_socket(await connected(host, port, sockets))
    except TimeoutError:
        raise OSError(f"{where}: i/o timeout") from None
    except OSError as error:
        raise OSError(f"{where}: connect: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    """The system's word for what went wrong first."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        group = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
        cause = group[0] if group else cause.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number).lower() if number else str(error)
