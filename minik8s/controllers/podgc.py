"""Removes pods that nobody will finish: their node is gone, or they were never assigned, or there are too many.

It looks every 20 seconds and only at indexes, so its cost does not grow with the pods that are well.
Upstream: `pkg/controller/podgc`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from minik8s.api.resources import NODES, PODS
from minik8s.client.lister import Key
from minik8s.controllers import podgc_plan as plan
from minik8s.controllers.runtime import Context, Controller, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, name_of, namespace_of, uid_of

INDEX = "podgc"
ORPHANED = "PodGC: node no longer exists"
"""The message of the DisruptionTarget condition of a pod whose node is gone; the others have no such condition."""


class PodGCController(Controller[tuple[str, Key]]):
    """Keys are (why, pod); the periodic loop finds them, workers delete."""

    name = "pod-garbage-collector"
    component = "pod-garbage-collector"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        informer = self.informers(PODS)
        informer.add_index(INDEX, plan.index)
        self.pods = informer.lister
        self.nodes = self.informers(NODES).lister
        self._missing: dict[str, float] = {}

    def loops(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        return (self._look,)

    async def _look(self) -> None:
        while True:
            self.collect()
            await self.clock.sleep(plan.PERIOD)

    def collect(self) -> None:
        """Queues every pod that has to go."""
        self._enqueue("finished", plan.surplus(self.pods.by_index(INDEX, "finished")))
        self._enqueue("unscheduled", self.pods.by_index(INDEX, "unscheduled"))
        for name in self._lost_nodes():
            self._enqueue("orphaned", self.pods.by_index("node", name))
        for node in self.nodes.all():
            if plan.is_out_of_service(node):
                self._enqueue("out-of-service", plan.stranded(self.pods.by_index("node", name_of(node))))

    def _enqueue(self, why: str, pods: Iterable[Doc]) -> None:
        for pod in pods:
            self.queue.add((why, (namespace_of(pod), name_of(pod))))

    def _lost_nodes(self) -> list[str]:
        """Nodes that pods name and that have been missing for longer than the quarantine."""
        now = self.clock.monotonic()
        absent = [node for node in self.pods.index_values("node") if self.nodes.get(node) is None]
        self._missing = {node: self._missing.get(node, now) for node in absent}
        return [node for node, since in self._missing.items() if now - since >= plan.QUARANTINE]

    async def process(self, key: tuple[str, Key]) -> Requeue | None:
        why, (namespace, name) = key
        pod = self.pods.get(name, namespace)
        if pod is None or (why == "orphaned" and await self._exists(pod["spec"]["nodeName"])):
            return None
        try:
            await self._remove(pod, ORPHANED if why == "orphaned" else "")
        except NotFound:
            return None
        return None

    async def _exists(self, node: str) -> bool:
        """Asks the server itself: the cache may lag behind a node that has just come back."""
        return await self.client.find(NODES, node) is not None

    async def _remove(self, pod: Doc, message: str) -> None:
        name, namespace = name_of(pod), namespace_of(pod)
        patch = plan.failed_status(pod, message, self.clock.now())
        if patch is not None:
            await self.client.patch(PODS, name, patch, namespace=namespace, type="strategic", subresource="status")
        await self.client.delete(PODS, name, namespace=namespace, grace_period=0, uid=uid_of(pod))
