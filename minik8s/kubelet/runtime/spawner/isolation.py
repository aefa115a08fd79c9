"""What is asked of a server in a user namespace beside containers: each request is answered by a fork of its own."""

from __future__ import annotations

import marshal
import os
import signal
import socket

from . import TYPE_CHECKING
from .mounts import make_mounts
from .namespaces import make_fabric, make_pod, own, serve_sockets
from .system import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import FabricSpec

FABRIC, POD, MOUNTS = b"f", b"p", b"m"


def make(kind: bytes, server: int, fds: list[int]) -> None:
    """In a forked child: answers one request. Never returns."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        die_with_parent(server, signal.SIGKILL)
        for fd in fds:
            os.set_inheritable(fd, False)
        control = socket.socket(fileno=fds[0])
        with open(fds[1], "rb") as source:
            spec = marshal.load(source)
        if kind == FABRIC:
            powers: list[bool] = []
            if _answer(control, lambda: _fabric(spec, powers)):
                serve_sockets(control, powers[0])
        elif kind == POD:
            _answer(control, lambda: make_pod(spec, fds[2:]))
        else:
            _answer(control, lambda: make_mounts(spec))
        code = 0
    finally:
        os._exit(code)


def _fabric(spec: FabricSpec, powers: list[bool]) -> list[int]:
    powers.append(make_fabric(spec))
    return [own("net")]


def _answer(control: socket.socket, make_: Callable[[], list[int]]) -> bool:
    """Sends what is made to the host, or why it could not be made."""
    try:
        made = make_()
    except OSError as error:
        text = error.strerror or str(error)
        control.sendall(b"!" + (f"{error.filename}: {text}" if error.filename else text).encode()[:2000])
        return False
    socket.send_fds(control, [b"+"], made)
    return True
