"""Hostile clients for as long as one likes: `python -m benchmarks.fuzz [SECONDS [SEED]]`, with its tests.

It serves a cluster with controllers, scheduler and a simulated node, lets four clients attack it, and reports every
answer that is wrong, how much memory the process took, and whether everything can still be listed. Ends with an error
if anything is not as it should be.
"""

from __future__ import annotations

import logging
import resource
import sys
import time

import anyio
import structlog

from minik8s import Cluster
from minik8s.api.resources import BUILTIN, CUSTOM_RESOURCE_DEFINITIONS
from tests.apiserver.hostile import CRD, attack, prepare

CLIENTS = 4
MEMORY = 400 * 1024
"""KiB by which the process may grow: the history of writes and what was created."""


async def main(seconds: float, seed: int) -> bool:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    wrong: list[tuple[bytes, bytes]] = []
    total = 0
    async with Cluster(nodes=1, runtime="simulated", tls=False, freeze=True, proxy=False) as cluster:
        await prepare(cluster)
        await cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, CRD)
        before, end = _memory(), time.monotonic() + seconds
        port = int(cluster.url.rpartition(":")[2])

        async def client(number: int) -> None:
            nonlocal total
            count, failures = await attack(port, seed + number, lambda: time.monotonic() > end)
            total += count
            wrong.extend(failures)

        async with anyio.create_task_group() as group:
            for number in range(CLIENTS):
                group.start_soon(client, number)
        grown = _memory() - before
        unlisted = [r.plural for r in BUILTIN if "list" in r.verbs and not await _listed(cluster, r.path())]
    print(f"{total:,} requests, {len(wrong)} wrong, {grown / 1024:,.0f} MiB more, {unlisted or 'all'} listed")
    for request, answer in wrong[:10]:
        print(f"--- {request!r}\n    {answer[:2000]!r}")
    return not wrong and not unlisted and grown < MEMORY


async def _listed(cluster: Cluster, path: str) -> bool:
    return (await cluster.http.get(path)).status_code in (200, 404)


def _memory() -> int:
    """The most the process has had, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]] + [60, 0][len(sys.argv) - 1 :]
    sys.exit(0 if anyio.run(main, *arguments) else 1)
