"""How long tasks live: a group of them that ends with the context that holds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def cancelled_group() -> AsyncIterator[TaskGroup]:
    """A task group that is cancelled, not waited for, when its context ends.

    What the body raises comes out as it is: whoever writes `async with Cluster()` raised it, not a task of the cluster.
    """
    raised: Exception | None = None
    async with anyio.create_task_group() as group:
        try:
            yield group
        except Exception as error:
            raised = error
        finally:
            group.cancel_scope.cancel()
    if raised is not None:
        raise raised
