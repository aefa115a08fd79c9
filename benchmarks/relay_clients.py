"""Clients of the relay's measurements: `python -m benchmarks.relay_clients WHAT PORT NUMBER`. Each prints JSON.

connects SECONDS     connections opened, used once and closed, one after the other: how many in how many seconds
latency SECONDS      small requests on one connection: the median and the 99th percentile, in microseconds
transfer MIB         one answer of so many MiB: its CRC-32, and that of as many zeros
idle CONNECTIONS     opens and uses so many, prints a line, and holds them until its standard input ends
"""

from __future__ import annotations

import json
import resource
import socket
import sys
import time
import zlib

CHUNK = 2**20


def main(what: str, port: int, number: float) -> object:
    match what:
        case "connects":
            return _connects(port, number)
        case "latency":
            return _latency(port, number)
        case "transfer":
            return _transfer(port, int(number))
    return _idle(port, int(number))


def _connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _ask(sock: socket.socket, size: int = 1) -> bytes:
    sock.sendall(b"GET /%d HTTP/1.1\r\n\r\n" % size)
    return sock.recv(4096)


def _connects(port: int, seconds: float) -> tuple[int, float]:
    start, count = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        with _connect(port) as sock:
            if not _ask(sock):
                raise SystemExit("a connection was lost")
        count += 1
    return count, elapsed


def _latency(port: int, seconds: float) -> tuple[float, float]:
    times = []
    with _connect(port) as sock:
        end = time.perf_counter() + seconds
        while (before := time.perf_counter()) < end:
            _ask(sock)
            times.append(time.perf_counter() - before)
    times.sort()
    return times[len(times) // 2] * 1e6, times[len(times) * 99 // 100] * 1e6


def _transfer(port: int, mebibytes: int) -> tuple[int, int]:
    size, zeros, expected, got = mebibytes * 2**20, bytes(CHUNK), 0, 0
    for _ in range(mebibytes):
        expected = zlib.crc32(zeros, expected)
    buffer = bytearray(CHUNK)
    with _connect(port) as sock:
        rest = _ask(sock, size).partition(b"\r\n\r\n")[2]
        got, missing = zlib.crc32(rest), size - len(rest)
        while missing and (count := sock.recv_into(buffer)):
            got = zlib.crc32(memoryview(buffer)[:count], got)
            missing -= count
    return got if not missing else -1, expected


def _idle(port: int, count: int) -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = [_connect(port) for _ in range(count)]
    for sock in held:
        _ask(sock)
    print(count, flush=True)
    sys.stdin.read()
    return sum(bool(_ask(sock)) for sock in held)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))))
