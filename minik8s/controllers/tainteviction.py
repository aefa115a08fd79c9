"""Sends pods away from nodes whose NoExecute taints they do not tolerate, at once or when their time is over.

It sleeps until a node has such a taint. Upstream: `pkg/controller/tainteviction`.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

from minik8s.api.pods import disruption_target, is_terminal
from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS
from minik8s.client.lister import Key, key_of
from minik8s.controllers import tainteviction_plan as plan
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, namespace_of, uid_of


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
        self._tainted: dict[str, dict[plan.Taint, datetime]] = {}
        self._doomed: dict[str, set[Key]] = {}  # node -> pods whose time there is limited

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return bool(plan.no_execute(obj))

    def _tainted_node(self, pod: Doc) -> tuple[Key, ...]:
        name = pod["spec"].get("nodeName")
        node = self.lister.get(name) if name else None
        return (("", name),) if node is not None and plan.no_execute(node) else ()

    async def deleted(self, namespace: str, name: str) -> None:
        self._tainted.pop(name, None)
        self._spare(name, set())

    async def reconcile(self, obj: Doc) -> Requeue | None:
        """Deletes the pods whose time on a tainted node is over; comes back for the next."""
        name, now = name_of(obj), self.clock.now()
        taints = plan.no_execute(obj)
        if not taints:
            self._tainted.pop(name, None)
            self._spare(name, set())
            return None
        known = self._tainted.get(name, {})
        seen = {plan.identity(taint): known.get(plan.identity(taint), now) for taint in taints}
        self._tainted[name] = seen
        waits: dict[Key, float] = {}
        for pod in self.pods.by_index("node", name):
            due = None if is_terminating(pod) else plan.eviction_time(pod, taints, seen)
            if due is None:
                continue
            if due <= now:
                self._doomed.get(name, set()).discard(key_of(pod))
                await self._delete(pod)
            else:
                waits[key_of(pod)] = (due - now).total_seconds()
        self._spare(name, set(waits))
        return Requeue.after(min(waits.values(), default=None))

    def _spare(self, node: str, doomed: set[Key]) -> None:
        """From now on these pods' time on a node is limited; those for which it no longer is hear of it."""
        for namespace, name in sorted(self._doomed.pop(node, set()) - doomed):
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": namespace, "name": name}}
            message = f"Cancelling deletion of Pod {namespace}/{name}"
            self.recorder.event(pod, "Normal", "TaintManagerEviction", message)
        if doomed:
            self._doomed[node] = doomed

    async def _delete(self, pod: Doc) -> None:
        name, namespace = name_of(pod), namespace_of(pod)
        self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {namespace}/{name}")
        if not is_terminal(pod):
            message = "Taint manager: deleting due to NoExecute taint"
            condition = disruption_target("DeletionByTaintManager", message, self.clock.now())
            await self._mark(pod, condition)
        try:
            await self.client.delete(PODS, name, namespace=namespace, uid=uid_of(pod))
        except NotFound:
            return

    async def _mark(self, pod: Doc, condition: Obj) -> None:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [condition]}}
        name, namespace = name_of(pod), namespace_of(pod)
        with suppress(NotFound):
            await self.client.patch(PODS, name, patch, namespace=namespace, type="strategic", subresource="status")
