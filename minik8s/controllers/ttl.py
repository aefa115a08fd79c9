"""Tells kubelets on their node how long they may keep Secrets and ConfigMaps: the longer, the larger the cluster.

Upstream: `pkg/controller/ttl`. The bounds overlap, so that a cluster at a bound does not write all of its nodes anew
with every node that comes and goes.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import NODES
from minik8s.client.lister import key_of
from minik8s.controllers.runtime import Context, Reconciler
from minik8s.machinery.meta import Doc, annotations_of, name_of

ANNOTATION = "node.alpha.kubernetes.io/ttl"
STEPS = ((0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, 2**31 - 1, 300))
"""(fewest nodes, most nodes, seconds)."""
DELAY = 10.0
"""Seconds before a node is told: nobody waits for it, and a cluster that starts has better things to do."""


def step_after(step: int, nodes: int) -> int:
    """The step of STEPS for so many nodes, when it was `step` so far."""
    while nodes > STEPS[step][1]:
        step += 1
    while nodes < STEPS[step][0]:
        step -= 1
    return step


class TTLController(Reconciler[Any]):
    """A node is brought up to date when it next changes, which it does by itself: every kubelet reports."""

    name: ClassVar[str] = "ttl"
    component: ClassVar[str] = "ttl-controller"
    resource: ClassVar[Resource[Any]] = NODES
    wakes: ClassVar[tuple[Resource[Any], ...]] = (NODES,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._nodes = self._step = 0

    @property
    def seconds(self) -> int:
        return STEPS[self._step][2]

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        self._nodes += (new is not None) - (old is not None)
        self._step = step_after(self._step, self._nodes)
        if new is not None and annotations_of(new).get(ANNOTATION) != str(self.seconds):
            self.queue.add_after(key_of(new), DELAY)

    async def reconcile(self, obj: Doc) -> None:
        wanted = str(self.seconds)
        if annotations_of(obj).get(ANNOTATION) != wanted:
            patch = {"metadata": {"annotations": {ANNOTATION: wanted}}}
            await self.client.patch(NODES, name_of(obj), patch, type="strategic")
