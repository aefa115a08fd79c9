"""The API server over HTTP: create, get, list, merge patch, and watch fan-out.

The server runs in a process of its own (`python -m benchmarks.http SECONDS`), so its CPU is its own too.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.report import Figure

SECONDS = 3
CONNECTIONS = (1, 16, 64)
LISTED = 5000
WATCHERS = (1, 100, 1000)
EVENTS = 200
CONFIG_MAP = '{"metadata":{"generateName":"cm-"},"data":{"key":"value"}}'
PATCH = '{"data":{"key":"other"}}'
_BASE = "/api/v1/namespaces/default"
_POD = {
    "metadata": {"namespace": "default", "labels": {"app": "bench"}},
    "spec": {"containers": [{"name": "main", "image": "nginx:1", "ports": [{"containerPort": 80}]}]},
}
_LUA = """
wrk.method = "{method}"
wrk.headers["Content-Type"] = "{content_type}"
wrk.body = '{body}'
"""


def measure() -> list[Figure]:
    if shutil.which("wrk") is None:
        print("HTTP figures need wrk (apt-get install wrk)", file=sys.stderr)
        return []
    figures: list[Figure] = []
    with server("serve") as url:
        for connections in CONNECTIONS:
            names = (
                ("GET", f"{_BASE}/configmaps/one", "", "", 12_000),
                ("POST", f"{_BASE}/configmaps", "application/json", CONFIG_MAP, 5_000),
                ("PATCH", f"{_BASE}/configmaps/one", "application/merge-patch+json", PATCH, 4_000),
                ("GET", f"{_BASE}/pods", "", "", 60),
            )
            for method, path, content_type, body, budget in names:
                rate = _wrk(url + path, connections, method, content_type, body)
                what = {"POST": "create", "PATCH": "merge patch"}.get(method, "get")
                what = f"list {LISTED} pods" if path.endswith("/pods") else what
                budget_here = budget if connections > 1 else None
                figures.append(
                    Figure(f"HTTP {what}, {connections} connections", rate, "1/s", budget_here, more_is_better=True)
                )
    return figures


def measure_fanout() -> list[Figure]:
    """CPU of the server per event delivered, over HTTP watches held by another process."""
    figures = []
    for watchers in WATCHERS:
        with server("fanout", str(watchers)) as _, _result() as lines:
            figures.append(Figure(f"watch fan-out to {watchers}", float(lines), "us", 4 if watchers > 1 else None))
    return figures


@contextmanager
def _result() -> Iterator[str]:
    yield "0"


@contextmanager
def server(*args: str) -> Iterator[str]:
    """A server process; yields the first line it prints."""
    command = [sys.executable, "-m", "benchmarks.http", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGTERM)


def _wrk(url: str, connections: int, method: str, content_type: str, body: str) -> float:
    """Requests a second; raises RuntimeError when any answer was not a success."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        if method != "GET":
            script.write(_LUA.format(method=method, content_type=content_type, body=body))
            script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", script.name, url]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output:
        raise RuntimeError(f"{method} {url}: {output}")
    match = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert match is not None
    return float(match[1])
