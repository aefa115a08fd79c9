"""The server itself: forks shims, and ends them when the host goes away."""

from __future__ import annotations

import gc
import marshal
import os
import select
import signal
import socket

from . import TYPE_CHECKING
from .shim import Shim
from .system import PR_SET_CHILD_SUBREAPER, Wakeups, children, die_with_parent, kill, prctl

if TYPE_CHECKING:
    from . import Spec

MAX_FDS = 16
RUN = b"+"


class Server:
    """Forks a shim a request until its socket ends, then sees to it that nobody is left."""

    def __init__(self, requests: socket.socket) -> None:
        self.requests = requests
        self.shims: set[int] = set()
        self.wakeups = Wakeups()

    def run(self) -> None:
        poll = select.poll()
        poll.register(self.requests.fileno(), select.POLLIN)
        poll.register(self.wakeups.fd, select.POLLIN)
        while not self.wakeups.stop:
            for fd, _ in poll.poll():
                if fd == self.wakeups.fd:
                    self.wakeups.drain()
                    self._reap()
                elif not self._serve():
                    return

    def _serve(self) -> bool:
        data, fds, _, _ = socket.recv_fds(self.requests, 1, MAX_FDS)
        if not data:
            return False
        server = os.getpid()
        if data != RUN:
            from . import isolation  # here, so that every fork has it
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until the shim can tell its SIGTERM from ours
        pid = os.fork()
        if not pid and data == RUN:
            self._shim(server, fds)
        elif not pid:
            self.requests.close()
            isolation.make(data, server, fds)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        self.shims.add(pid)
        for fd in fds:
            os.close(fd)
        return True

    def _shim(self, server: int, fds: list[int]) -> None:
        """In the forked child. Never returns."""
        code = 1
        try:
            self.requests.close()
            prctl(PR_SET_CHILD_SUBREAPER, 1)  # a fork does not inherit it
            die_with_parent(server, signal.SIGTERM)
            for fd in fds:
                os.set_inheritable(fd, False)
            control = socket.socket(fileno=fds[0])
            with open(fds[1], "rb") as source:
                spec: Spec = marshal.load(source)
            try:
                Shim(control, spec, fds[2:]).run()
            except OSError as error:
                control.sendall(b"failed %d shim\n" % (error.errno or 0))
            code = 0
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Forgets ended shims. One that was killed leaves its container to us, the next subreaper: kill that."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid in self.shims:
                self.shims.discard(pid)
                for orphan in children():
                    if orphan not in self.shims:
                        kill(orphan)

    def end(self) -> None:
        """Shims end their containers when asked; whoever else is a child here is an orphan."""
        while True:
            for pid in children() or self.shims:
                os.kill(pid, signal.SIGTERM if pid in self.shims else signal.SIGKILL)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            self.shims.discard(pid)


def main(fd: int) -> None:
    """Serves the socket `fd` until it ends."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    gc.disable()  # there are no cycles to be found, and looking for them would copy pages shared with the shims
    server = Server(socket.socket(fileno=fd))
    try:
        server.run()
    finally:
        server.end()
