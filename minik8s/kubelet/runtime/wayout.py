"""The way from pods to hosts outside: slirp4netns, one process for the whole cluster.

Without root nobody can tie the pods' network to the machine's, so a TCP/IP stack in user space stands between them: it
takes packets from an interface in the fabric and makes connections of this machine's user of them, each only once the
other side has answered, as a router that translates addresses would. It is somebody's well-kept program (rootless
Podman, Docker and Kubernetes use it), and optional: without it pods are among themselves, and are told so at once.

The addresses beyond pods and nodes are its own: one is this machine, where servers on 127.0.0.1 answer, another a name
server that asks the machine's. IPv6 and pings have no way out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress

import anyio

from minik8s.clock import Clock
from minik8s.kubelet.runtime.pipes import PipeReader
from minik8s.logs import get_logger

PROGRAM = "slirp4netns"
READY_SECONDS = 10.0
RETRY_SECONDS = 1.0
MTU = 65520
"""The largest that it takes, and the fastest."""
KEPT = 4096
"""Bytes of its complaints that are remembered."""

_log = get_logger(__name__)


class WayOut:
    """Owns the program. `network` and `users` are descriptors of the pods' network and of its user namespace."""

    def __init__(self, network: int, users: int, cidr: str) -> None:
        self._network, self._users, self._cidr = network, users, cidr
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: PipeReader | None = None
        self._alive = -1

    async def open(self) -> None:
        """Starts it and waits until packets pass. Raises OSError with what it complains of."""
        self.close()
        if shutil.which(PROGRAM) is None:
            raise OSError(f"it needs {PROGRAM}, which this machine does not have in $PATH")
        ready, told = os.pipe()
        end, self._alive = os.pipe()
        try:
            self._process = self._start(told, end)
        finally:
            os.close(told)
            os.close(end)
        assert self._process.stderr is not None
        self._complaints = PipeReader(os.dup(self._process.stderr.fileno()))
        self._process.stderr.close()
        answer = PipeReader(ready)
        try:
            with anyio.fail_after(READY_SECONDS):
                await answer.receive()
        except anyio.EndOfStream:
            raise OSError(f"{PROGRAM}: {await self._last_words()}") from None
        except TimeoutError:
            raise OSError(f"{PROGRAM} took longer than {READY_SECONDS:g} s") from None
        finally:
            answer.close()

    def _start(self, ready: int, end: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *(PROGRAM, "--configure", f"--mtu={MTU}", f"--cidr={self._cidr}"),
                *(f"--ready-fd={ready}", f"--exit-fd={end}"),
                *("--netns-type=path", f"--userns-path=/proc/self/fd/{self._users}"),
                *(f"/proc/self/fd/{self._network}", "tap0"),
            ],
            pass_fds=[ready, end, self._users, self._network],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for us alone
            cwd="/",
        )

    async def run(self, clock: Clock) -> None:
        """Starts it again whenever it ends, until cancelled. It has been opened."""
        while True:
            why = await self._last_words()
            _log.warning("the way from pods to hosts outside is lost; it is tried again", why=why)
            while True:
                await clock.sleep(RETRY_SECONDS)
                with suppress(OSError):
                    await self.open()
                    break

    async def _last_words(self) -> str:
        """What it has said last, once it has ended."""
        said = b""
        if self._complaints is not None:
            with suppress(anyio.EndOfStream):
                while True:
                    said = (said + await self._complaints.receive())[-KEPT:]
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it was killed"

    def close(self) -> None:
        """Ends it; it takes no time over that."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1
