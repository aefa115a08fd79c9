"""Workers for jobs that hardly ever wait: one does the work of thousands of nodes, and nobody is kept up by a slow one.

A write in process waits for nothing, so a task for each node would only ever stand about. Over a network, or while a
fault holds a request up, jobs do wait; then others go on beside them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from minik8s.clock import go_on

Job = Callable[[], Awaitable[None]]


class _Job:
    """Awaits a job; `waits` is called when it has to wait, if it ever has."""

    __slots__ = ("_waits", "_work")

    def __init__(self, work: Awaitable[None], waits: Callable[[], None]) -> None:
        self._work, self._waits = work, waits

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        try:
            waiting = next(steps)
        except StopIteration:
            return
        self._waits()
        yield from go_on(steps, waiting)


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
        self._is_running = False

    def add(self, job: Job) -> None:
        """Has the job done soon."""
        self._added += 1
        self._jobs.append((self._added, job))
        if self._idle and not self._coming:
            self._call()

    def run_in(self, group: TaskGroup) -> None:
        """Has it work in a group, from the first call on: a crew for which there is nothing to do costs no task."""
        if not self._is_running:
            self._is_running = True
            group.start_soon(self.run, name=self._name)

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
            if self._idle:
                return  # one is enough to wait for more
            called = anyio.Event()
            self._idle.append(called)
            await called.wait()

    async def _next(self, group: TaskGroup) -> None:
        """Does the first job, and has somebody come for the others should it have to wait."""
        _, job = self._jobs.popleft()
        await _Job(job(), partial(self._stand_in, group))

    def _stand_in(self, group: TaskGroup) -> None:
        """Sees to it that there is somebody for what is to be done next, now or later."""
        if self._coming:
            return
        if not self._idle:
            self._coming += 1
            group.start_soon(self._work, group, name=self._name)
        elif self._jobs:
            self._call()

    def _call(self) -> None:
        self._coming += 1
        self._idle.pop().set()
