"""What the kubelets of a cluster have together, so that a thousand of them cost no more tasks and watches than one."""

from __future__ import annotations

import anyio

from minik8s.client.informer import Informers
from minik8s.clock import Clock
from minik8s.config import LEASE_SECONDS
from minik8s.kubelet.crew import Crew
from minik8s.kubelet.dispatch import PodDispatch
from minik8s.kubelet.heartbeats import BEATS_PER_LEASE, Heartbeats
from minik8s.kubelet.volumes.memory import MemoryFolder

SETTLING_ROUNDS = 4
"""Turns of the event loop between a change and its write: a start that waits for nothing is one write, not two."""


class Commons:
    """Informers, heartbeats and the writers of statuses; somebody has to `run` it.

    `lease_seconds` is for how long a node's Lease is good (upstream: nodeLeaseDurationSeconds).
    """

    def __init__(self, informers: Informers, clock: Clock, lease_seconds: int = LEASE_SECONDS) -> None:
        self.lease_seconds = lease_seconds
        self.dispatch = PodDispatch(informers)
        self.heartbeats = Heartbeats(clock, lease_seconds / BEATS_PER_LEASE)
        self.memory = MemoryFolder()
        self.writers = Crew("statuses", SETTLING_ROUNDS)

    async def run(self) -> None:
        """Works until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.writers.run, name="statuses")
            await self.heartbeats.run()
