"""Who may begin a connection to whom by address: the kernel asks, for what passes between pods, nodes and outside.

The pods' network passes packets itself, so rules there (iptables) hold the first one of each connection until a verdict
comes by way of `nfqueue`; the others, and all while nobody filters, pass as fast as ever. What is refused is dropped,
as network plug-ins do, so whoever connects hears nothing. What the proxy relays does not come by here.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence

from minik8s.kubelet.runtime.nfqueue import NETLINK_NETFILTER, Packet, Queue

PROGRAMS = ("iptables-nft-restore", "iptables-restore")
"""The first needs no lock in a directory of root's."""
NO_PROGRAM = "it needs iptables, which this machine does not have in $PATH"
_OFF = """*filter
:FORWARD ACCEPT [0:0]
{rules}COMMIT
"""
_ON = """-A FORWARD -p tcp ! --syn -j ACCEPT
-A FORWARD ! -p tcp -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -j NFQUEUE --queue-num 0
"""

NETLINK = (16, int(socket.SOCK_RAW), NETLINK_NETFILTER)
"""Family (AF_NETLINK, which Python knows on Linux only), kind and protocol of the sockets that are needed."""

Allows = Callable[[str, str, str, int], bool]
"""(source, destination, protocol, port) -> whether such a connection may begin."""
Run = Callable[[Sequence[str], str], Awaitable[None]]
"""Runs a tool, with what it reads, in the pods' network. Raises OSError with its complaint."""


def program() -> str | None:
    """The one that takes rules here."""
    return next(filter(shutil.which, PROGRAMS), None)


def rules(on: bool) -> str:
    """What iptables-restore reads; it replaces everything that was there, at once."""
    return _OFF.format(rules=_ON if on else "")


class PacketFilter:
    """Filters while it is on. `netlink` makes netlink sockets of the pods' network."""

    def __init__(self, run: Run, netlink: Callable[[], socket.socket]) -> None:
        self._run, self._netlink = run, netlink
        self._queue: Queue | None = None

    async def set(self, allows: Allows | None) -> None:
        """Asks from now on, or asks nobody any more. Raises OSError where this machine has not what it takes."""
        if (chosen := program()) is None:
            raise OSError(NO_PROGRAM)
        if allows is None:
            await self._run([chosen], rules(False))
            self.close()
            return
        self.close()
        self._queue = Queue(self._netlink(), lambda packet: allows(*_ends(packet)))
        await self._run([chosen], rules(True))

    def close(self) -> None:
        if self._queue is not None:
            self._queue.close()
            self._queue = None


def _ends(packet: Packet) -> tuple[str, str, str, int]:
    return packet.source, packet.destination, packet.protocol, packet.port
