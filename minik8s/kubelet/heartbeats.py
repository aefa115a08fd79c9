"""The heartbeats of all nodes, on one timer.

Every node's period is the same, so whoever has just beaten is the last to be due again: a queue is all the timer wheel
it takes, and a sleep until its head is due the only timer, however many nodes there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import anyio

from minik8s.clock import Clock
from minik8s.kubelet.crew import Crew

BEATS_PER_LEASE = 4
"""How often a node beats within its Lease's duration, as upstream."""
SLACK_SECONDS = 0.1
"""How much earlier a node may beat, so as to do it together with others."""


class Beating(Protocol):
    """Who has a heartbeat. Its failures are its own affair."""

    async def beat(self) -> None: ...


class Heartbeats:
    """Calls everybody who has joined once in `period` seconds."""

    def __init__(self, clock: Clock, period: float) -> None:
        self._clock, self._period = clock, period
        self._crew = Crew("heartbeat")
        self._due: deque[tuple[float, Beating]] = deque()
        self._members: set[Beating] = set()
        self._joined = anyio.Event()

    def join(self, member: Beating) -> Callable[[], None]:
        """The first beat is one period away; returns how to leave."""
        self._members.add(member)
        self._append(member)
        self._joined.set()
        return partial(self._members.discard, member)

    async def run(self) -> None:
        """Calls until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._crew.run, name="heartbeat")
            while True:
                if not self._due:
                    self._joined = anyio.Event()
                    await self._joined.wait()
                await self._clock.sleep(self._due[0][0] - self._clock.monotonic())
                self._call(self._clock.monotonic() + SLACK_SECONDS)

    def _call(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            _, member = self._due.popleft()
            if member in self._members:
                self._crew.add(partial(self._beat, member))

    async def _beat(self, member: Beating) -> None:
        await member.beat()
        if member in self._members:
            self._append(member)
            self._joined.set()

    def _append(self, member: Beating) -> None:
        self._due.append((self._clock.monotonic() + self._period, member))
