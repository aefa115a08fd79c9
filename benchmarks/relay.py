"""The proxy's TCP relay against a direct connection, and against HAProxy where it is installed.

The budget is HAProxy's own result in the same run; the direct connection says what the client and the backend can do.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import attrs

from benchmarks.processes import answer_of, helper
from benchmarks.report import Figure

RUNS, SECONDS = 3, 1.0
SMALL, LARGE = 100, 16 * 2**20
SHARE_OF_HAPROXY = {SMALL: 0.8, LARGE: 1.0}
CONNECTIONS = {SMALL: 32, LARGE: 4}
_HAPROXY = """
global
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind 127.0.0.1:{port}
    server backend 127.0.0.1:{backend}
"""


def measure() -> list[Figure]:
    with helper("benchmarks.relay_server", "backend") as backend:
        port = urlsplit(backend.ready).port
        assert port is not None
        with helper("benchmarks.relay_server", "relay", port) as relay, _haproxy(port) as haproxy:
            return [
                figure
                for size in (SMALL, LARGE)
                for figure in _compare({"direct": backend.ready, "HAProxy": haproxy, "relay": relay.ready}, size)
            ]


def _compare(urls: dict[str, str], size: int) -> list[Figure]:
    rates = {who: statistics.median(_rate(url, size) for _ in range(RUNS)) for who, url in urls.items() if url}
    what, unit, scale = ("requests", "1/s", 1.0) if size == SMALL else ("bulk", "MiB/s", size / 2**20)
    figures = [Figure(f"TCP {what}, {who}", rate * scale, unit, more_is_better=True) for who, rate in rates.items()]
    budget = rates["HAProxy"] * SHARE_OF_HAPROXY[size] * scale if "HAProxy" in rates else None
    share = f"{rates['relay'] / rates['direct']:.0%} of a direct connection"
    figures[-1] = attrs.evolve(figures[-1], budget=budget, note=share)
    return figures


def _rate(url: str, size: int) -> float:
    answers, seconds = answer_of("benchmarks.load", url, CONNECTIONS[size], SECONDS, "GET", f"/{size}")
    return float(answers / seconds)


@contextmanager
def _haproxy(backend: int) -> Iterator[str]:
    """The URL of an HAProxy in front of the backend, "" where there is none."""
    if shutil.which("haproxy") is None:
        yield ""
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".cfg") as config:
        config.write(_HAPROXY.format(port=port, backend=backend))
        config.flush()
        with subprocess.Popen(["haproxy", "-q", "-db", "-f", config.name]) as process:
            try:
                _await_listener(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def _await_listener(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("HAProxy does not listen")
