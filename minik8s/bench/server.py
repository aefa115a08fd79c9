"""The process of a cluster under test: `python -m minik8s.bench.server`.

The first line of its input are the cluster's options as JSON; it answers where its kubeconfig is. Every further line
is answered with a look inside (`observing.Observed`). It ends when its input does, so that it never outlives who
started it; it has a session of its own, so that a Ctrl-C in the terminal reaches only those who are to act on it.
"""

from __future__ import annotations

import sys
from typing import Any

import anyio
import anyio.to_thread
import orjson

from minik8s.bench.observing import Observer
from minik8s.cluster import Cluster
from minik8s.collector import tune_collector
from minik8s.config import ClusterConfig
from minik8s.loops import loop_options


async def main(options: dict[str, Any]) -> None:
    """Runs the cluster until the input ends."""
    async with Cluster(**options) as cluster:
        observer = Observer(cluster)
        tune_collector()
        _answer({"kubeconfig": str(cluster.kubeconfig), "url": cluster.url})
        while await _line():
            _answer(observer.look().document())


async def _line() -> bytes:
    return await anyio.to_thread.run_sync(sys.stdin.buffer.readline, abandon_on_cancel=True)


def _answer(document: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(document) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    given: dict[str, Any] = orjson.loads(sys.stdin.buffer.readline())
    anyio.run(main, given, backend_options=loop_options(ClusterConfig(**given)))
