"""Deletes what has lost its owners, and finishes foreground and orphaning deletions.

Informers of every resource that can be listed, watched and deleted feed the graph (`gc_graph.py`); what a change sets
off is queued by uid, and workers look at the server before they act, since caches of different resources are not in
step. Events are left out, as upstream: they are many and own nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias

from minik8s.api.resource import Resource
from minik8s.api.resources import CUSTOM_RESOURCE_DEFINITIONS, EVENTS, EVENTS_V1, STORED_AS
from minik8s.client.informer import Handler, Informer
from minik8s.controllers import gc_plan as plan
from minik8s.controllers.gc_graph import FOREGROUND, ORPHAN, Graph, Node, Owner, Work, group_of
from minik8s.controllers.runtime import Context, Controller, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, is_terminating, name_of, owner_references, uid_of

RESYNC_SECONDS = 30.0
"""How often new resources are looked for."""
Key: TypeAlias = tuple[str, str, str]
IGNORED = frozenset((EVENTS, EVENTS_V1))
UNOBSERVED_SECONDS = 0.5
"""Until a virtual owner that does exist should have been seen by its informer."""


class GarbageCollector(Controller[Work]):
    """See the module's docstring."""

    name = "garbagecollector"
    component = "garbage-collector-controller"
    account = "generic-garbage-collector"
    workers = 20

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.graph = Graph()
        self._kinds: dict[tuple[str, str], Resource[Any]] = {}
        self._monitored: dict[Key, Informer[Any]] = {}
        for key, resource in self._discover().items():
            self._monitored[key] = self.informers(resource)

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        events: list[tuple[Informer[Any], Handler[Any]]] = [(i, self._on_event) for i in self._monitored.values()]
        definitions = self._monitored.get(_key(CUSTOM_RESOURCE_DEFINITIONS))
        return events if definitions is None else [*events, (definitions, self._on_definition)]

    def loops(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        return (self._resync,)

    async def process(self, key: Work) -> Requeue | None:
        what, uid = key
        node = self.graph.nodes.get(uid)
        if node is None:
            return None
        if what == "orphan":
            await self._orphan(node)
            return None
        if self._is_reachable(node):
            await self._look_at(node)
        if node.observed or uid not in self.graph.nodes:
            return None
        resource = self._kinds.get((group_of(node), node.kind))
        monitored = resource is not None and _key(resource) in self._monitored
        return Requeue(UNOBSERVED_SECONDS if monitored else RESYNC_SECONDS)

    def _discover(self) -> dict[Key, Resource[Any]]:
        """What is to be monitored, each kind in one version; also learns which resource a kind belongs to."""
        kinds: dict[tuple[str, str], Resource[Any]] = {}
        wanted: dict[tuple[str, str], Resource[Any]] = {}
        for resource in self.context.resources():
            if {"list", "watch", "delete"} <= set(resource.verbs):
                kinds.setdefault((resource.group, resource.kind), resource)
                if resource not in IGNORED and resource not in STORED_AS:
                    wanted.setdefault((resource.group, resource.plural), resource)
        self._kinds = kinds
        return {_key(resource): resource for resource in wanted.values()}

    async def _resync(self) -> None:
        while True:
            await self.clock.sleep(RESYNC_SECONDS)
            self._follow()

    def _on_definition(self, old: Doc | None, new: Doc | None) -> None:
        """A custom resource may have come or gone; where discovery lags behind, the next resync finds it."""
        self._follow()

    def _follow(self) -> None:
        """Monitors the resources that have come, and no longer those that have gone."""
        wanted = self._discover()
        for key in self._monitored.keys() - wanted.keys():
            informer = self._monitored.pop(key)
            self.informers.drop(informer.resource)
            for obj in informer.lister.all():
                self._add(self.graph.forget(uid_of(obj)))
        for key, resource in wanted.items():
            if key not in self._monitored:
                informer = self._monitored[key] = self.informers(resource)
                informer.add_handler(self._on_event)

    def _on_event(self, old: Doc | None, new: Doc | None) -> None:
        if new is None:
            if old is not None:
                self._add(self.graph.forget(uid_of(old)))
            return
        if old is not None and not is_terminating(new) and owner_references(old) == owner_references(new):
            return
        self._add(self.graph.observe(new))

    def _add(self, work: list[Work]) -> None:
        """Queues the work; a misplaced owner is reported at once, since its dependent may be gone in a moment."""
        for what, uid in work:
            if what == "misplaced":
                self._report_misplaced(self.graph.nodes[uid])
            else:
                self.queue.add((what, uid))

    async def _look_at(self, node: Node) -> None:
        """Decides by what the server has now, and does it."""
        if node.terminating and not node.foreground:
            return
        obj = await self._live(node)
        if obj is None:
            if not node.observed:
                self._add(self.graph.not_found(node))
            return
        if node.foreground:
            await self._finish_foreground(node, obj)
            return
        owners = {o["uid"]: await self._state(_owner(o), node) for o in owner_references(obj)}
        if None not in owners.values():
            states = {uid: state for uid, state in owners.items() if state is not None}
            waiting = [dependent.foreground for dependent in node.dependents.values()]
            await self._carry_out(node, obj, plan.judge(obj, states, waiting))

    async def _state(self, owner: Owner, node: Node) -> plan.OwnerState | None:
        """What an owner is now; None when that cannot be said, and then nothing is deleted."""
        if self.graph.is_absent(owner.uid, node.namespace):
            return "dangling"
        resource = self._kinds.get((owner.group, owner.kind))
        if resource is None or (resource.namespaced and not node.namespace):
            return None
        namespace = node.namespace if resource.namespaced else ""
        state = plan.state_of_owner(await self.client.find(resource, owner.name, namespace=namespace), owner.uid)
        if state == "dangling":
            self.graph.note_absent(owner.uid, namespace)
        return state

    async def _carry_out(self, node: Node, obj: Doc, verdict: plan.Verdict) -> None:
        if verdict.unblock:
            obj = await self._patch(node, obj, plan.without_blocks(obj))
        if verdict.release:
            await self._patch(node, obj, plan.without_owners(obj, verdict.release))
        if verdict.policy:
            await self._delete(node, obj, verdict.policy)

    async def _finish_foreground(self, node: Node, obj: Doc) -> None:
        """Lets the owner go when nothing blocks it any more."""
        blocking = node.blocking()
        if not blocking:
            await self._patch(node, obj, plan.without_finalizer(obj, FOREGROUND))
        for dependent in blocking:
            if not dependent.foreground:
                self.queue.add(("delete", dependent.uid))

    async def _orphan(self, node: Node) -> None:
        """Takes the owner's references off its dependents, then lets it go."""
        for dependent in list(node.dependents.values()):
            obj = await self._live(dependent)
            if obj is not None:
                await self._patch(dependent, obj, plan.without_owners(obj, {node.uid}))
        owner = await self._live(node)
        if owner is not None:
            await self._patch(node, owner, plan.without_finalizer(owner, ORPHAN))

    def _is_reachable(self, node: Node) -> bool:
        """Whether the server can be asked about it: of an owner of an unknown kind nothing can be said."""
        resource = self._kinds.get((group_of(node), node.kind))
        return resource is not None and (not resource.namespaced or bool(node.namespace))

    async def _live(self, node: Node) -> Doc | None:
        """The object as the server has it; None when it is gone, or the name is another object's now."""
        obj = await self.client.find(self._resource(node), node.name, namespace=self._namespace(node))
        return obj if obj is not None and uid_of(obj) == node.uid else None

    async def _patch(self, node: Node, obj: Doc, patch: Doc | None) -> Doc:
        if patch is None:
            return obj
        resource = self._resource(node)
        try:
            patched: Doc = await self.client.patch(resource, name_of(obj), patch, namespace=self._namespace(node))
        except NotFound:
            return obj
        return patched

    async def _delete(self, node: Node, obj: Doc, policy: str) -> None:
        try:
            await self.client.delete(
                self._resource(node),
                name_of(obj),
                namespace=self._namespace(node),
                propagation=policy,
                uid=uid_of(obj),
                resource_version=obj["metadata"]["resourceVersion"],
            )
        except NotFound:
            return

    def _resource(self, node: Node) -> Resource[Any]:
        return self._kinds[group_of(node), node.kind]

    def _namespace(self, node: Node) -> str:
        return node.namespace if self._resource(node).namespaced else ""

    def _report_misplaced(self, node: Node) -> None:
        """Tells the user that an owner is in another namespace than what it should own."""
        metadata = {"name": node.name, "namespace": node.namespace, "uid": node.uid}
        about = {"apiVersion": node.api_version, "kind": node.kind, "metadata": metadata}
        for owner in node.owners:
            parent = self.graph.nodes.get(owner.uid)
            if parent is not None and parent.observed and parent.namespace not in ("", node.namespace):
                where = f"namespace: {node.namespace}, name: {owner.name}, uid: {owner.uid}"
                message = (
                    f"ownerRef [{owner.api_version}/{owner.kind}, {where}] does not exist in namespace "
                    f'"{node.namespace}"'
                )
                self.recorder.event(about, "Warning", "OwnerRefInvalidNamespace", message)


def _key(resource: Resource[Any]) -> Key:
    """A resource by name: those of custom resources are made anew with every change of their definition."""
    return resource.group, resource.version, resource.plural


def _owner(reference: Doc) -> Owner:
    return Owner(reference["apiVersion"], reference["kind"], reference["name"], reference["uid"])
