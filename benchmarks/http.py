"""The API server over HTTP: get, create, merge patch, server-side apply and LIST, by a load generator of its own.

Server and generator are a process each; rates are of answers, and the server's CPU per answer stands beside them, which
is what remains comparable when the machine is busy with something else.
"""

from __future__ import annotations

import statistics

import attrs

from benchmarks.processes import Helper, answer_of, helper
from benchmarks.report import Figure

RUNS, SECONDS = 3, 1.0
CONNECTIONS = (1, 16, 64)
LISTED = 5000
_BASE = "/api/v1/namespaces/default"
_ONE = f"{_BASE}/configmaps/one"
_APPLIED = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"applied":"#"}}'


@attrs.frozen
class Case:
    """One kind of request; `budget` is in answers a second on one core."""

    what: str
    budget: float
    request: tuple[str, ...]


CASES = (
    Case("get", 12_000, ("GET", _ONE)),
    Case(
        "create",
        5_000,
        ("POST", f"{_BASE}/configmaps", "application/json", '{"metadata":{"generateName":"cm-"},"data":{"key":"#"}}'),
    ),
    Case("merge patch", 4_000, ("PATCH", _ONE, "application/merge-patch+json", '{"data":{"key":"#"}}')),
    Case("server-side apply", 2_500, ("PATCH", f"{_ONE}?fieldManager=bench", "application/apply-patch+yaml", _APPLIED)),
    Case(f"list {LISTED} pods", 60, ("GET", f"{_BASE}/pods")),
)


def measure() -> list[Figure]:
    with helper("benchmarks.http_server", LISTED) as server:
        return [_figure(server, case, connections) for case in CASES for connections in CONNECTIONS]


def _figure(server: Helper, case: Case, connections: int) -> Figure:
    runs = [_run(server, case, connections) for _ in range(RUNS)]
    rate, cpu = (statistics.median(values) for values in zip(*runs, strict=True))
    return Figure(
        f"HTTP {case.what}, {connections} connections",
        rate,
        "1/s",
        budget=case.budget if connections > 1 else None,
        more_is_better=True,
        note=f"{cpu * 1e6:,.0f} us of CPU",
    )


def _run(server: Helper, case: Case, connections: int) -> tuple[float, float]:
    """Answers a second, and the server's CPU seconds per answer."""
    before = server.cpu()
    answers, seconds = answer_of("benchmarks.load", server.ready, connections, SECONDS, *case.request)
    return answers / seconds, (server.cpu() - before) / answers
