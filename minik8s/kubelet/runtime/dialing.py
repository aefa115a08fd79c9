"""Connections to a pod's ports, whose failures read as Go's do: clients show them to their users."""

from __future__ import annotations

import os

import anyio
from anyio.abc import SocketStream

DIAL_SECONDS = 30.0


async def connect_tcp(host: str, port: int) -> SocketStream:
    """Raises OSError: `dial tcp <host>:<port>: connect: connection refused`."""
    where = f"dial tcp {host}:{port}"
    try:
        with anyio.fail_after(DIAL_SECONDS):
            return await anyio.connect_tcp(host, port)
    except TimeoutError:
        raise OSError(f"{where}: i/o timeout") from None
    except OSError as error:
        cause: BaseException | None = error
        while cause is not None and not (isinstance(cause, OSError) and cause.errno):
            group = cause.exceptions if isinstance(cause, BaseExceptionGroup) else ()
            cause = group[0] if group else cause.__cause__
        number = cause.errno if isinstance(cause, OSError) else None
        why = os.strerror(number).lower() if number else str(error)
        raise OSError(f"{where}: connect: {why}") from None
