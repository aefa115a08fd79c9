"""The daemonset controller: a pod on every node that should have one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from minik8s.api.pods import phase_of
from minik8s.api.resource import Resource
from minik8s.api.resources import DAEMON_SETS, NODES, PODS
from minik8s.controllers.daemonset_plan import Plan, World, plan
from minik8s.controllers.daemonset_pods import NOWHERE, Placement, new_pod, node_of, placement
from minik8s.controllers.history import hash_of
from minik8s.controllers.historycontrol import HistoryControl
from minik8s.controllers.ownership import adopters, claim, index_orphans
from minik8s.controllers.podcontrol import PodControl
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped, owned
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, is_terminating, labels_of, name_of, uid_of

FIRST_DELAY, LONGEST_DELAY = 1.0, 15 * 60.0
"""Seconds that a failed pod stays on its node, doubled with each failure there (failedPodsBackoff)."""


class DaemonSetController(Reconciler[Any]):
    name: ClassVar[str] = "daemonset"
    component: ClassVar[str] = "daemonset-controller"
    account: ClassVar[str] = "daemon-set-controller"
    resource: ClassVar[Resource[Any]] = DAEMON_SETS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (DAEMON_SETS,)
    watches: ClassVar[tuple[Watch, ...]] = (owned(PODS), mapped(PODS, adopters))

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        informer = self.informers(PODS)
        index_orphans(informer)
        self.pods = informer.lister
        self.nodes = self.informers(NODES).lister
        self.history = HistoryControl(self)
        self.control = PodControl(self.client, self.recorder)
        self._failures: dict[tuple[str, str], tuple[float, float]] = {}

    def handlers(self) -> Iterable[Any]:
        yield from super().handlers()
        yield self.informers(NODES), self._on_node

    def _on_node(self, old: Doc | None, new: Doc | None) -> None:
        """Only what decides where pods belong wakes anybody, not every heartbeat."""
        if old is not None and new is not None and _traits(old) == _traits(new):
            return
        for ds in self.lister.all():
            if _place(ds, old) != _place(ds, new):
                self.enqueue(ds)

    async def reconcile(self, ds: Any) -> Requeue | None:
        if not ds["spec"].get("selector"):
            text = "This daemon set is selecting all pods. A non-empty selector is required."
            self.recorder.event(ds, "Warning", "SelectingAll", text)
            return None
        if is_terminating(ds):
            return None
        revisions, update = await self.history.sync(ds)
        pods = await claim(self.client, self.resource, ds, PODS, self.pods)
        held_back, wait = self._held_back(ds, pods)
        todo = plan(World.of(ds, hash_of(update), pods, self.nodes.all(), self.clock.now(), held_back))
        ds = await self.write_status(ds, todo.status)
        error = await self._act(ds, todo, hash_of(update))
        live = {hash_of(rev) for rev in revisions} & {labels_of(pod).get("controller-revision-hash") for pod in pods}
        used = {name_of(rev) for rev in revisions if hash_of(rev) in live} | {name_of(update)}
        await self.history.truncate(ds, revisions, used, name_of(update))
        if error is not None:
            raise error
        return Requeue.after(min((s for s in (todo.recheck, wait) if s is not None), default=None))

    async def _act(self, ds: Doc, todo: Plan, digest: str) -> ApiError | None:
        """Creates and deletes; the first error."""
        for kind, reason, text in todo.failed:
            self.recorder.event(ds, "Warning" if kind == "Warning" else "Normal", reason, text)
        created, error = await self.control.create_many([new_pod(ds, node, digest) for node in todo.create], ds)
        deleted, other = await self.control.delete_many(todo.delete, ds)
        now = self.clock.monotonic()
        for pod in todo.delete:
            if phase_of(pod) == "Failed":
                key = uid_of(ds), node_of(pod)
                delay = min(self._failures[key][1] * 2, LONGEST_DELAY) if key in self._failures else FIRST_DELAY
                self._failures[key] = now + delay, delay
        await self.pods.caught_up(max(created, deleted))
        return error or other

    def _held_back(self, ds: Doc, pods: Sequence[Doc]) -> tuple[frozenset[str], float | None]:
        """The nodes where a failed pod has to stay for now, and for how long at least (seconds).

        A node is forgotten when nothing has failed there for twice the longest delay.
        """
        now, uid = self.clock.monotonic(), uid_of(ds)
        for key, (until, _) in list(self._failures.items()):
            if now > until + 2 * LONGEST_DELAY:
                del self._failures[key]
        failed = {node_of(pod) for pod in pods if phase_of(pod) == "Failed" and not is_terminating(pod)}
        waits = {node: self._failures[uid, node][0] - now for node in failed if (uid, node) in self._failures}
        held = {node: wait for node, wait in waits.items() if wait > 0}
        return frozenset(held), min(held.values(), default=None)

    async def deleted(self, namespace: str, name: str) -> None:
        known = {uid_of(ds) for ds in self.lister.all()}
        for key in [key for key in self._failures if key[0] not in known]:
            del self._failures[key]


def _place(ds: Doc, node: Doc | None) -> Placement:
    return NOWHERE if node is None else placement(ds, node)


def _traits(node: Doc) -> tuple[Any, ...]:
    return labels_of(node), (node.get("spec") or {}).get("taints") or ()
