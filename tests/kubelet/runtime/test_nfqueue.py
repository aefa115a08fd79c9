"""Packets that the kernel asks about: recorded frames of a real queue, and such as never came from one."""

from __future__ import annotations

import random
import struct

from minik8s.kubelet.runtime.nfqueue import Packet, complaint, packets, verdict

TCP = bytes.fromhex(
    "80000000000300000000000000000000020000000b000100000000010800020008000500000000020800060000000003"
    "10000900000600006a2d6af8c6a1000040000a004500003c9bf440003f0687dd0af401010af401029d1a0051c6f2fcb2"
    "00000000a002faf03f080000020405b40402080a7e6216a6000000000103030a"
)
UDP = bytes.fromhex(
    "61000000000300000000000000000000020000000b000100000000040800020008000500000000020800060000000003"
    "10000900000600006a2d6af8c6a1000021000a004500001d558740003f11ce5e0af401010af40102989000530009d70d"
    "78"
)
PACKETS = [
    Packet(1, "10.244.1.1", "10.244.1.2", "TCP", 81),
    Packet(4, "10.244.1.1", "10.244.1.2", "UDP", 83),
]


def test_recorded_packets() -> None:
    """Who wants to connect to whom stands in the packet's own headers; one datagram may bring several."""
    assert list(packets(TCP)) == PACKETS[:1]
    assert list(packets(TCP + UDP)) == PACKETS


def test_packets_of_other_kinds() -> None:
    """A packet without ports has port 0; what is no IPv4 packet, or is cut off, is named by its id alone."""
    icmp = TCP.replace(b"\x3f\x06", b"\x3f\x01", 1)
    assert list(packets(icmp)) == [Packet(1, "10.244.1.1", "10.244.1.2", "ICMP", 0)]
    assert list(packets(TCP.replace(b"\x45\x00", b"\x65\x00", 1))) == [1]
    assert list(packets(TCP.replace(b"\x45\x00", b"\x4f\x00", 1))) == [1]
    assert list(packets(TCP.replace(b"\x45\x00", b"\x41\x00", 1))) == [1]


def test_frames_that_never_came_from_a_kernel() -> None:
    """Whatever is cut off or turned around in a frame brings no error, and no packet but of an id that it has."""
    rng = random.Random(3)
    for _ in range(2000):
        data = bytearray(TCP + UDP)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        for found in packets(bytes(data[: rng.randrange(len(data))])):
            assert isinstance(found, Packet | int)
    assert list(packets(TCP[:100])) == []
    assert list(packets(bytes(64))) == []


def test_verdicts() -> None:
    """A verdict is one message of its own length, with the id that it is about."""
    for allowed, number in ((True, 1), (False, 0)):
        message = verdict(0, 7, allowed)
        assert struct.unpack_from("=I", message) == (len(message),)
        assert message[-8:] == struct.pack(">II", number, 7)


def test_complaints() -> None:
    """The kernel's error number is found; a packet is none, and neither is an acknowledgement."""
    refused = struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -1) + bytes(16)
    assert complaint(refused) == 1
    assert complaint(refused.replace(b"\xff\xff\xff\xff", bytes(4))) == 0
    assert complaint(TCP) == 0
    assert complaint(b"") == 0
