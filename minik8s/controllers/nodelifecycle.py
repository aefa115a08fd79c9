"""Watches over nodes: one that falls silent is marked and tainted, and its pods leave their Services.

Signs of life are changes of a node's Lease or of its status, timed by our own clock, since a node's need not agree
with it. A pass over a node brings its conditions and its taints in line; a loop every five seconds looks for silence.
Who has to leave a tainted node is `tainteviction`'s affair.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from minik8s.api.resources import LEASES, NODES, PODS
from minik8s.client.informer import Handler, Informer
from minik8s.controllers import nodelifecycle_plan as plan
from minik8s.controllers.runtime import Context, Reconciler
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import (
    Doc,
    Obj,
    is_condition_true,
    name_of,
    namespace_of,
    rfc3339,
    uid_of,
)

LEASE_NAMESPACE = "kube-node-lease"


class NodeLifecycleController(Reconciler[Any]):
    """Nodes."""

    name = "nodelifecycle"
    component = "node-controller"
    resource = NODES

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.informers(PODS).lister
        self._alive: dict[str, float] = {}
        """When each node was last heard of, the one that has been silent for longest first."""
        self._leases: dict[str, float] = {}
        """For how many seconds Leases are good that are good for longer than most."""
        self._not_ready: dict[str, None] = {}
        self._uids: dict[str, str] = {}
        self._zones: dict[str, plan.Zone] = {}
        self._placed: dict[str, tuple[str, bool]] = {}
        self._silenced: set[str] = set()

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        yield self.informer, self._on_node
        yield self.informers(LEASES), self._on_lease
        yield from super().handlers()

    def loops(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        return (self._monitor,)

    def _on_node(self, old: Doc | None, new: Doc | None) -> None:
        if new is not None:
            if old is None or plan.heartbeat(old) != plan.heartbeat(new):
                self._sign_of_life(name_of(new), new)
            self._place(new)
        elif old is not None:
            self._count(self._placed.pop(name_of(old), None), -1)
            self._not_ready.pop(name_of(old), None)

    def _sign_of_life(self, name: str, node: Doc) -> None:
        """What we wrote ourselves about a lost node is no sign of life from it."""
        if name not in self._alive or plan.ready_status(node) != "Unknown":
            self._hear(name)

    def _hear(self, name: str) -> None:
        self._alive.pop(name, None)
        self._alive[name] = self.clock.monotonic()

    def _on_lease(self, old: Doc | None, new: Doc | None) -> None:
        if new is None or namespace_of(new) != LEASE_NAMESPACE:
            return
        if old is None or old["spec"].get("renewTime") != new["spec"].get("renewTime"):
            self._hear(name_of(new))
        seconds = new["spec"].get("leaseDurationSeconds") or 0
        if seconds > plan.LEASE_SECONDS:
            self._leases[name_of(new)] = seconds
        else:
            self._leases.pop(name_of(new), None)

    def _place(self, node: Doc) -> None:
        """Counts a node in its zone; a silent one is lost from the moment we know, not when the cache shows it."""
        ready = plan.ready_status(node) == "True" and not self._is_silent(node)
        place = (plan.zone_of(node), ready)
        if ready:
            self._not_ready.pop(name_of(node), None)
        else:
            self._not_ready[name_of(node)] = None
        before = self._placed.get(name_of(node))
        if place != before:
            self._count(before, -1)
            self._count(place, 1)
            self._placed[name_of(node)] = place

    def _count(self, place: tuple[str, bool] | None, number: int) -> None:
        if place is None:
            return
        zone = self._zones.setdefault(place[0], plan.Zone())
        if place[1]:
            zone.ready += number
        else:
            zone.lost += number

    async def _monitor(self) -> None:
        while True:
            for name in [*self._not_ready, *self._quiet()]:
                node = self.lister.get(name)
                if node is not None and (self._is_silent(node) or plan.ready_status(node) != "True"):
                    self._place(node)
                    self.enqueue(node)
            await self.clock.sleep(plan.MONITOR_PERIOD)

    def _quiet(self) -> list[str]:
        """Those that may be silent. Nobody else is looked at: a healthy cluster costs nothing, however large."""
        everyone = len(self._leases) >= len(self._alive)
        since = self.clock.monotonic() - plan.patience(min(self._leases.values(), default=0) if everyone else 0)
        quiet = itertools.takewhile(lambda heard: heard[1] < since, self._alive.items())
        return [name for name, _ in quiet if name not in self._not_ready]

    def _is_silent(self, node: Doc) -> bool:
        return self.clock.monotonic() - self._alive[name_of(node)] > plan.grace(
            node, self._leases.get(name_of(node), 0)
        )

    async def deleted(self, namespace: str, name: str) -> None:
        self._alive.pop(name, None)
        self._leases.pop(name, None)
        self._silenced.discard(name)
        if (uid := self._uids.pop(name, None)) is not None:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": uid}}
            message = f"Node {name} event: Removing Node {name} from Controller"
            self.recorder.event(node, "Normal", "RemovingNode", message)

    async def reconcile(self, obj: Doc) -> None:
        name = name_of(obj)
        if self._uids.get(name) != uid_of(obj):
            self._uids[name] = uid_of(obj)
            message = f"Node {name} event: Registered Node {name} in Controller"
            self.recorder.event(obj, "Normal", "RegisteredNode", message)
        if self._is_silent(obj):
            obj = await self._mark_lost(obj)
        if name in self._silenced:
            await self._mark_pods(obj)
            self._silenced.discard(name)
        await self._taint(obj)

    async def _mark_lost(self, node: Doc) -> Doc:
        """Sets what the node used to report to Unknown, once."""
        status = node.get("status") or {}
        conditions = plan.lost_conditions(node, self.clock.now())
        if conditions == (status.get("conditions") or []):
            return node
        was_ready = plan.ready_status(node) == "True"
        updated: Doc = await self.client.update_status(NODES, {**node, "status": {**status, "conditions": conditions}})
        if was_ready:
            name = name_of(node)
            self._silenced.add(name)
            self.recorder.event(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        return updated

    async def _mark_pods(self, node: Doc) -> None:
        """Takes the pods of a lost node out of their Services."""
        for pod in self.pods.by_index("node", name_of(node)):
            if not is_condition_true(pod, "Ready"):
                continue
            ready = {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(self.clock.now())}
            await self._patch_status(pod, {"conditions": [ready]})
            self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")

    async def _patch_status(self, pod: Doc, status: Obj) -> None:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
        try:
            await self.client.patch(
                PODS, name_of(pod), patch, namespace=namespace_of(pod), type="strategic", subresource="status"
            )
        except NotFound:
            return

    async def _taint(self, node: Doc) -> None:
        taints = plan.desired_taints(node, execute=self._may_execute(node), now=self.clock.now())
        if taints == list(node["spec"].get("taints") or ()):
            return
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints or None},
        }
        await self.client.patch(NODES, name_of(node), patch)

    def _may_execute(self, node: Doc) -> bool:
        """Whether a lost node's pods are driven away now: within the zone's budget, and not if all is lost."""
        if plan.ready_status(node) not in ("False", "Unknown") or plan.all_down(self._zones.values()):
            return False
        return plan.executes(node) or self._zones[plan.zone_of(node)].take(self.clock.monotonic())
