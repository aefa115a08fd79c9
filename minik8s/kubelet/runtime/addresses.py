"""Pod addresses out of a CIDR, each held by one pod at a time.

Several clusters of one machine share its loopback network, so an address is claimed from the kernel: a bound
abstract unix socket per address. Such a name belongs to the network namespace, exactly as the address does; it is
free again when its holder dies, however that happens, and needs no file. Clusters begin at random places and go
round the whole range before they reuse an address, so a stale connection does not meet a new pod.
"""

from __future__ import annotations

import errno
import ipaddress
import random
import socket
import sys
from collections.abc import Callable
from typing import Protocol


class Claim(Protocol):
    """Something held while an address is in use."""

    def close(self) -> None: ...


class Unclaimed:
    """For addresses that are not real, or cannot be held."""

    def close(self) -> None:
        return


def claim_on_machine(address: str) -> Claim | None:
    """Holds `address` against other clusters on this machine; None when somebody else has it."""
    if sys.platform != "linux":
        return Unclaimed()
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0minik8s/address/{address}")
    except OSError as error:
        holder.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return holder


def no_claim(address: str) -> Claim:
    """For simulated pods: their addresses need to be unique in their cluster only."""
    return Unclaimed()


class AddressesExhausted(Exception):
    """Every address of the range is in use."""


class AddressPool:
    """Hands out the addresses of `cidr`, but for the first `reserved`; shared by the nodes of a cluster."""

    def __init__(
        self,
        cidr: str,
        rng: random.Random,
        claim: Callable[[str], Claim | None] = claim_on_machine,
        *,
        reserved: int = 0,
    ) -> None:
        network = ipaddress.ip_network(cidr)
        self._claim = claim
        self._held: dict[str, Claim] = {}
        self._first = int(network.network_address) + 1 + reserved
        self._count = max(1, network.num_addresses - 2 - reserved)
        self._next = rng.randrange(self._count)
        self._text = _ipv4_text if network.version == 4 else _ipv6_text

    def __len__(self) -> int:
        return len(self._held)

    def acquire(self) -> str:
        """A free address. Raises AddressesExhausted."""
        for _ in range(self._count):
            address = self._text(self._first + self._next)
            self._next = (self._next + 1) % self._count
            if address in self._held:
                continue
            claim = self._claim(address)
            if claim is not None:
                self._held[address] = claim
                return address
        raise AddressesExhausted(f"no free pod address: all {self._count} are in use")

    def release(self, address: str) -> None:
        """Gives an address back; one that is not held is ignored."""
        claim = self._held.pop(address, None)
        if claim is not None:
            claim.close()

    def close(self) -> None:
        """Gives everything back."""
        for address in list(self._held):
            self.release(address)


def _ipv4_text(number: int) -> str:
    return socket.inet_ntoa(number.to_bytes(4, "big"))


def _ipv6_text(number: int) -> str:
    return str(ipaddress.IPv6Address(number))


class SharedAddress:
    """Where there is only one usable loopback address (macOS): every pod has it, so ports may collide."""

    def acquire(self) -> str:
        return "127.0.0.1"

    def release(self, address: str) -> None:
        return

    def close(self) -> None:
        return


class Addresses(Protocol):
    """What a runtime needs of the classes above."""

    def acquire(self) -> str: ...

    def release(self, address: str) -> None: ...

    def close(self) -> None: ...


def machine_addresses(cidr: str, rng: random.Random) -> Addresses:
    """Pod addresses that processes can bind to: all of 127.0.0.0/8 on Linux, one address elsewhere."""
    return AddressPool(cidr, rng) if sys.platform == "linux" else SharedAddress()
