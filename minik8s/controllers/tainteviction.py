"""Sends pods away from nodes whose NoExecute taints they do not tolerate, at once or when their time is over.

It sleeps until a node has such a taint. Upstream: `pkg/controller/tainteviction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

import attrs

from minik8s.api.pods import disruption_target, is_terminal
from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS
from minik8s.client.lister import Key, key_of
from minik8s.controllers import tainteviction_plan as plan
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, namespace_of, revision_of, uid_of


@attrs.frozen
class Departure:
    """When which pod has to leave its node."""

    pod: Key
    time: datetime


class TaintEvictionController(Reconciler[Any]):
    """Nodes; pods that come to a node with NoExecute taints wake it too."""

    name: ClassVar[str] = "taint-eviction"
    component: ClassVar[str] = "taint-eviction-controller"
    account: ClassVar[str] = "node-controller"
    resource: ClassVar[Resource[Any]] = NODES
    watches = (mapped(PODS, "_tainted_node"),)
    wakes: ClassVar[tuple[Resource[Any], ...]] = (NODES,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.informers(PODS).lister
        self._due: dict[str, dict[str, Departure]] = {}  # node -> uid -> when that pod has to leave

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return bool(plan.no_execute(obj))

    def _tainted_node(self, pod: Doc) -> tuple[Key, ...]:
        name = pod["spec"].get("nodeName")
        node = self.lister.get(name) if name else None
        return (("", name),) if node is not None and plan.no_execute(node) else ()

    async def deleted(self, namespace: str, name: str) -> None:
        self._due.pop(name, None)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        """Deletes the pods whose time on a tainted node is over; comes back for the next."""
        name, now = name_of(obj), self.clock.now()
        taints = plan.no_execute(obj)
        before = self._due.get(name)
        due: dict[str, Departure] = {}
        leaving: list[Doc] = []
        for pod in self.pods.by_index("node", name) if taints else ():
            time = None if is_terminating(pod) else _departure(pod, taints, before, now)
            if time is not None:
                due[uid_of(pod)] = Departure(key_of(pod), time)
                if time <= now:
                    leaving.append(pod)
        self._due[name] = due
        self._cancel(before or {}, due)
        for doomed in leaving:
            await self._delete(doomed)
            del due[uid_of(doomed)]
        return Requeue.after(min(((departure.time - now).total_seconds() for departure in due.values()), default=None))

    def _cancel(self, before: Mapping[str, Departure], due: Mapping[str, Departure]) -> None:
        """Those whose stay is no longer limited hear of it, and those that now have to go earlier."""
        for namespace, name in sorted(departure.pod for uid, departure in before.items() if due.get(uid) != departure):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name}}
            message = f"Cancelling deletion of Pod {namespace}/{name}"
            self.recorder.event(pod, "Normal", "TaintManagerEviction", message)

    async def _delete(self, pod: Doc) -> None:
        name, namespace = name_of(pod), namespace_of(pod)
        self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
        if not is_terminal(pod):
            message = "Taint manager: deleting due to NoExecute taint"
            condition = disruption_target("DeletionByTaintManager", message, self.clock.now())
            await self._mark(pod, condition)
        try:
            result = await self.client.delete(PODS, name, namespace=namespace, uid=uid_of(pod))
        except NotFound:
            return
        await self.pods.caught_up(revision_of(result))

    async def _mark(self, pod: Doc, condition: Obj) -> None:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [condition]}}
        name, namespace = name_of(pod), namespace_of(pod)
        with suppress(NotFound):
            await self.client.patch(PODS, name, patch, namespace=namespace, type="strategic", subresource="status")


def _departure(
    pod: Doc, taints: Sequence[Doc], before: Mapping[str, Departure] | None, now: datetime
) -> datetime | None:
    if before is None:  # the first look at the node: taints and pods may be older than this process
        return plan.departure(pod, taints, None, plan.stated_start(pod, taints, now))
    known = before.get(uid_of(pod))
    return plan.departure(pod, taints, known.time if known else None, now)
