"""Workers for jobs that hardly ever wait: one does the work of thousands of nodes, and nobody is kept up by a slow one.

A write in process waits for nothing, so a task for each node would only ever stand about. Over a network, or while a
fault holds a request up, jobs do wait; then others go on beside them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

Job = Callable[[], Awaitable[None]]


class Crew:
    """Does jobs in the order in which they were added; what a job raises ends the crew.

    `rounds` are turns of the event loop between an addition and its job, so that what is going to be added in these is
    part of the same job.
    """

    def __init__(self, name: str, rounds: int = 0) -> None:
        self._name, self._rounds = name, rounds
        self._jobs: deque[tuple[int, Job]] = deque()
        self._added = 0
        self._idle: list[anyio.Event] = []
        self._coming = 0

    def add(self, job: Job) -> None:
        """Has the job done soon."""
        self._added += 1
        self._jobs.append((self._added, job))
        if self._idle and not self._coming:
            self._call()

    async def run(self) -> None:
        """Works until cancelled."""
        async with anyio.create_task_group() as group:
            self._coming += 1
            await self._work(group)

    async def _work(self, group: TaskGroup) -> None:
        while True:
            self._coming -= 1
            last = self._added  # what comes during the rounds has rounds of its own
            for _ in range(self._rounds if self._jobs else 0):
                await anyio.lowlevel.checkpoint()
            while self._jobs and self._jobs[0][0] <= last:
                await self._next(group)
            if self._jobs:
                self._coming += 1
                continue
            called = anyio.Event()
            self._idle.append(called)
            await called.wait()

    async def _next(self, group: TaskGroup) -> None:
        """Does the first job, and has somebody come for the next should it have to wait."""
        _, job = self._jobs.popleft()
        if self._jobs and not self._coming:
            if self._idle:
                self._call()
            else:
                self._coming += 1
                group.start_soon(self._work, group, name=self._name)
        await job()

    def _call(self) -> None:
        self._coming += 1
        self._idle.pop().set()
