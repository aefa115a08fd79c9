"""What is asked of a server in a user namespace beside containers: each request is answered by a fork of its own."""

from __future__ import annotations

import marshal
import os
import signal
import socket

from . import TYPE_CHECKING
from .mounts import make_mounts
from .namespaces import enter, make_fabric, make_pod, own, run, serve_sockets
from .system import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from . import FabricSpec, RulesSpec

FABRIC, POD, MOUNTS, RULES = b"f", b"p", b"m", b"r"


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
            if _answer(control, lambda: _fabric(spec, fds[2:]), lambda: b"%d" % spec["any_address"]):
                serve_sockets(control, spec["any_address"])
        elif kind == POD:
            _answer(control, lambda: make_pod(spec, fds[2:]))
        elif kind == RULES:
            _answer(control, lambda: _rules(spec, fds[2]))
        else:
            _answer(control, lambda: make_mounts(spec))
        code = 0
    finally:
        os._exit(code)


def _fabric(spec: FabricSpec, passed: list[int]) -> list[int]:
    """The fabric that is passed, where a process before this one has made it; else a new one."""
    if passed:
        enter(passed[0])
    else:
        spec["any_address"] = make_fabric(spec)
    return [own("net")]


def _rules(spec: RulesSpec, network: int) -> list[int]:
    """Gives the packets of a network other rules."""
    enter(network)
    run(spec["argv"], spec["text"])
    return []


def _answer(control: socket.socket, make_: Callable[[], list[int]], note: Callable[[], bytes] = bytes) -> bool:
    """Sends what is made to the host, with a note, or why it could not be made."""
    try:
        made = make_()
    except OSError as error:
        text = error.strerror or str(error)
        control.sendall(b"!" + (f"{error.filename}: {text}" if error.filename else text).encode()[:2000])
        return False
    socket.send_fds(control, [b"+" + note()], made)  # no descriptors are a message like any other
    return True
