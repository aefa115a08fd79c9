"""A cluster that is entered in one task and left in another.

Task groups belong to the task that opened them, while the hooks of other test frameworks (pytest-asyncio's fixtures,
`IsolatedAsyncioTestCase`) run before and after a test in tasks of their own. So the cluster gets one for itself, in the
same loop: it enters, waits to be told, and leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from minik8s.cluster import Cluster


@asynccontextmanager
async def hosted(cluster: Cluster) -> AsyncIterator[Cluster]:
    """The running cluster; whoever enters may be another task than who leaves. Raises what the cluster ended with."""
    ready, leave = anyio.Event(), anyio.Event()
    started: list[Cluster] = []

    async def host() -> None:
        try:
            async with cluster:
                started.append(cluster)
                ready.set()
                await leave.wait()
        finally:
            ready.set()

    task = asyncio.get_running_loop().create_task(host(), name="minik8s cluster")
    await ready.wait()
    if not started:
        await task  # raises what it failed with
    try:
        yield cluster
    finally:
        leave.set()
        await task
