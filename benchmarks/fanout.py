"""Watch fan-out over HTTP: the server's CPU per event delivered, with every watcher on a connection of its own.

`one by one` is the worst case: a single writer, so that every watcher is woken for every event. `busy` is 16 writers
at full speed, where events that happen while others are still being sent travel together.
"""

from __future__ import annotations

import json
import urllib.request

from benchmarks.http import CASES, RUNS, SECONDS
from benchmarks.processes import Helper, answer_of, helper
from benchmarks.report import Figure

WATCHERS = (1, 100, 1000)
WRITERS = {"one by one": 1, "busy": 16}
BUDGET = 4.0
_CREATE = next(case for case in CASES if case.what == "create")


def measure() -> list[Figure]:
    figures = []
    for watchers in WATCHERS:
        for how, writers in WRITERS.items():
            with helper("benchmarks.http_server", 0) as server:
                figures.append(_figure(server, watchers, how, writers))
    return figures


def _figure(server: Helper, watchers: int, how: str, writers: int) -> Figure:
    with urllib.request.urlopen(f"{server.ready}/api/v1/namespaces/default/configmaps?limit=1") as answer:
        revision = json.load(answer)["metadata"]["resourceVersion"]
    with helper("benchmarks.watchers", server.ready, watchers, revision) as clients:
        before = server.cpu()
        created, _ = answer_of("benchmarks.load", server.ready, writers, RUNS * SECONDS, *_CREATE.request)
        delivered = int(clients.finish())
        cpu = server.cpu() - before
    return Figure(
        f"watch fan-out to {watchers}, {how}",
        cpu / delivered * 1e6,
        "us",
        BUDGET if watchers == max(WATCHERS) else None,
        note=f"{created:,} writes, {delivered:,} deliveries, writing included",
    )
