"""The proxy's TCP relay against a direct connection, and against HAProxy where it is installed.

The budget is HAProxy's own result in the same run, and what counts is what one core would carry: units per second of
CPU that the process in the middle used. Client, backend and relay share the machine's cores, so that the rate that a
clock gives says more about the clients than about the relay; it stands beside for what it is worth.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from benchmarks.processes import Helper, answer_of, helper
from benchmarks.report import Figure

RUNS, SECONDS = 3, 1.0
SMALL, LARGE = 100, 16 * 2**20
SHARE_OF_HAPROXY = {"requests": 0.8, "bulk": 1.0}
CONNECTIONS = {SMALL: 32, LARGE: 4}
TRANSFER_MIB = 1024
GROWTH_MIB = 4.0
IDLE = 2000
IDLE_KIB = 16.0
_HAPROXY = """
global
    nbthread 1
defaults
    mode tcp
    maxconn 8000
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{port}
    server backend 127.0.0.1:{backend}
"""


@attrs.frozen
class Middle:
    """What is measured: where it listens, and what it has used of a CPU so far, in seconds."""

    port: int
    cpu: Callable[[], float]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def measure() -> list[Figure]:
    with helper("benchmarks.relay_server", "backend") as backend:
        port = _port(backend)
        direct = Middle(port, backend.cpu)
        with helper("benchmarks.relay_server", "relay", port) as relay, _haproxy(port) as haproxy:
            middles = {"direct": direct, **({"HAProxy": haproxy} if haproxy else {})}
            middles["relay"] = Middle(_port(relay), relay.cpu)
            return [
                *_compare(middles, "requests", "1/s", lambda m: _load(m, SMALL)),
                *_compare(middles, "bulk", "MiB/s", lambda m: _load(m, LARGE)),
                *_compare(middles, "connections", "1/s", _connects),
                *_latencies(middles),
                *_memories(port),
            ]


def _memories(backend: int) -> Iterator[Figure]:
    """In a process that has nothing to reuse."""
    with helper("benchmarks.relay_server", "relay", backend) as relay:
        yield from _idle(relay)
        yield from _transfer(relay)


def _port(process: Helper) -> int:
    port = urlsplit(process.ready).port
    assert port is not None
    return port


def _compare(
    middles: dict[str, Middle], what: str, unit: str, run: Callable[[Middle], tuple[float, float]]
) -> list[Figure]:
    """Rates by the clock, and what a core would carry; whoever is measured takes turns."""
    rates: dict[str, list[float]] = {who: [] for who in middles}
    per_core: dict[str, list[float]] = {who: [] for who in middles}
    for _ in range(RUNS):
        for who, middle in middles.items():
            before = middle.cpu()
            units, seconds = run(middle)
            rates[who].append(units / seconds)
            per_core[who].append(units / max(middle.cpu() - before, 0.01))
    figures = [
        Figure(f"TCP {what}, {who}", statistics.median(found), unit, more_is_better=True)
        for who, found in rates.items()
    ]
    share = f"{statistics.median(rates['relay']) / statistics.median(rates['direct']):.0%} of a direct connection"
    figures[-1] = attrs.evolve(figures[-1], note=share)
    cores = {who: statistics.median(found) for who, found in per_core.items() if who != "direct"}
    figures += [
        Figure(f"TCP {what} per CPU second, {who}", found, unit, more_is_better=True) for who, found in cores.items()
    ]
    if "HAProxy" in cores:
        ratio = f"{cores['relay'] / cores['HAProxy']:.0%} of HAProxy"
        budget = cores["HAProxy"] * SHARE_OF_HAPROXY[what] if what in SHARE_OF_HAPROXY else None
        figures[-1] = attrs.evolve(figures[-1], budget=budget, note=ratio)
    return figures


def _load(middle: Middle, size: int) -> tuple[float, float]:
    answers, seconds = answer_of("benchmarks.load", middle.url, CONNECTIONS[size], SECONDS, "GET", f"/{size}")
    return float(answers) if size == SMALL else answers * size / 2**20, float(seconds)


def _connects(middle: Middle) -> tuple[float, float]:
    count, seconds = answer_of("benchmarks.relay_clients", "connects", middle.port, SECONDS)
    return float(count), float(seconds)


def _latencies(middles: dict[str, Middle]) -> Iterator[Figure]:
    for who, middle in middles.items():
        median, late = answer_of("benchmarks.relay_clients", "latency", middle.port, SECONDS)
        yield Figure(f"TCP request and reply, {who}", median, "us", note=f"99%: {late:.0f} us")


def _transfer(relay: Helper) -> Iterator[Figure]:
    """One large answer, whole, in constant memory."""
    before = _memory(relay, "VmRSS")
    got, expected = answer_of("benchmarks.relay_clients", "transfer", _port(relay), TRANSFER_MIB)
    if got != expected:
        raise RuntimeError("the relay changed what it carried")
    grown = max(0, _memory(relay, "VmHWM") - before) / 1024
    yield Figure(f"relay's memory for {TRANSFER_MIB} MiB", grown, "MiB", budget=GROWTH_MIB, note="same checksum")


def _idle(relay: Helper) -> Iterator[Figure]:
    """Connections that were used and say nothing."""
    before = _memory(relay, "VmRSS")
    with helper("benchmarks.relay_clients", "idle", _port(relay), IDLE) as clients:
        held = (_memory(relay, "VmRSS") - before) / IDLE
        cpu = relay.cpu()
        time.sleep(SECONDS)
        used = (relay.cpu() - cpu) * 1000
        alive = int(clients.finish())
    if alive != IDLE:
        raise RuntimeError(f"{IDLE - alive} idle connections were lost")
    yield Figure("relay's memory for an idle connection", held, "KiB", budget=IDLE_KIB)
    yield Figure(f"relay's CPU for {IDLE} idle connections", used, "ms/s", budget=20.0)


def _memory(process: Helper, field: str) -> int:
    """KiB, by the name in /proc/PID/status."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0])


@contextmanager
def _haproxy(backend: int) -> Iterator[Middle | None]:
    """An HAProxy in front of the backend, None where there is none."""
    if shutil.which("haproxy") is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(_HAPROXY.format(port=port, backend=backend))
        config.flush()
        with subprocess.Popen(["haproxy", "-q", "-db", "-f", config.name], text=True) as process:
            try:
                _await_listener(port)
                yield Middle(port, Helper(process, "").cpu)
            finally:
                process.terminate()


def _await_listener(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("HAProxy does not listen")
