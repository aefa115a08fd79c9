"""The order in which the containers of a pod end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import anyio

from minik8s.kubelet.container_worker import ContainerWorker
from minik8s.kubelet.deadline import Deadline
from minik8s.kubelet.latch import Latch


async def stop_all(workers: Sequence[ContainerWorker], deadline: Deadline) -> None:
    """Ends every container: sidecars after the others, in reverse order."""
    if len(workers) == 1:
        await workers[0].stop(deadline)
        return
    async with anyio.create_task_group() as group:
        for index, worker in enumerate(workers):
            if worker.role != "sidecar":
                group.start_soon(worker.stop, deadline)
                continue
            before = [w.stopped for w in workers if w.role != "sidecar"]
            before += [w.stopped for w in workers[index + 1 :] if w.role == "sidecar"]
            group.start_soon(worker.stop, deadline, partial(_all_set, before))


async def _all_set(latches: Iterable[Latch]) -> None:
    for latch in latches:
        await latch.wait()
