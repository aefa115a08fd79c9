"""What a DaemonSet needs done, as a pure function of it, its pods, the nodes and the time.

One part keeps a pod on every node where one belongs, the other replaces old pods by new ones within the bounds of the
update strategy; as upstream the second only looks once the first has nothing to do. Upstream:
`pkg/controller/daemon/daemon_controller.go` and `update.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from minik8s.api.pods import is_pod_ready, is_terminal, phase_of
from minik8s.controllers.daemonset_pods import Placement, is_updated, node_of, oldest_first, placement
from minik8s.controllers.pods import available_in
from minik8s.machinery.intorstring import resolve
from minik8s.machinery.meta import Doc, Obj, is_terminating, name_of, namespace_of, uid_of

BURST = 250
"""At most so many creations and deletions in one pass (BurstReplicas)."""


@attrs.frozen
class Plan:
    """`create` are node names; `failed` are those of `delete` that have ended, with the event to say so.

    `recheck` is in how many seconds a ready pod becomes available, None when none will by itself.
    """

    status: Obj
    create: tuple[str, ...] = ()
    delete: tuple[Doc, ...] = ()
    failed: tuple[tuple[str, str, str], ...] = ()
    recheck: float | None = None


@attrs.frozen
class World:
    """What a DaemonSet is confronted with: `pods` by node (without those that are gone but in name), `nodes` by name.

    `held_back` are nodes on which pods have failed too often of late: a failed pod there stays a while.
    """

    ds: Doc
    digest: str
    pods: Mapping[str, Sequence[Doc]]
    nodes: Mapping[str, Placement]
    held_back: frozenset[str]
    now: datetime

    @classmethod
    def of(
        cls,
        ds: Doc,
        digest: str,
        pods: Sequence[Doc],
        nodes: Sequence[Doc],
        now: datetime,
        held_back: frozenset[str] = frozenset(),
    ) -> World:
        by_node: dict[str, list[Doc]] = {}
        for pod in pods:
            if not (is_terminal(pod) and is_terminating(pod)):
                by_node.setdefault(node_of(pod), []).append(pod)
        return cls(ds, digest, by_node, {name_of(n): placement(ds, n) for n in nodes}, held_back, now)

    def is_available(self, pod: Doc) -> bool:
        return available_in(pod, self.ds["spec"].get("minReadySeconds") or 0, self.now) == 0

    def is_new(self, pod: Doc) -> bool:
        return is_updated(self.ds, pod, self.digest)

    def on(self, node: str) -> Sequence[Doc]:
        return self.pods.get(node, ())


@attrs.frozen
class Bounds:
    """How far a rolling update may go at once."""

    desired: int
    unavailable: int
    surge: int

    @classmethod
    def of(cls, ds: Doc, desired: int) -> Bounds:
        strategy = ds["spec"].get("updateStrategy") or {}
        if strategy.get("type") != "RollingUpdate":
            return cls(desired, 0, 0)
        rolling = strategy.get("rollingUpdate") or {}
        unavailable = resolve(rolling.get("maxUnavailable", 1), desired, round_up=True)
        surge = resolve(rolling.get("maxSurge", 0), desired, round_up=True)
        return cls(desired, unavailable or int(desired > 0 and not surge), surge)


def plan(world: World) -> Plan:
    status, recheck = compute_status(world)
    if is_terminating(world.ds):
        return Plan(status, recheck=recheck)
    bounds = Bounds.of(world.ds, status["desiredNumberScheduled"])
    todo = _Pass(world, bounds)
    todo.manage()
    if (
        not (todo.create or todo.delete)
        and (world.ds["spec"].get("updateStrategy") or {}).get("type") == "RollingUpdate"
    ):
        if bounds.surge:
            todo.surge()
        else:
            todo.replace()
    return Plan(status, tuple(todo.create[:BURST]), tuple(todo.delete[:BURST]), tuple(todo.failed), recheck)


def compute_status(world: World) -> tuple[Obj, float | None]:
    """The counts, by the oldest pod of each node; and when time alone will change them (seconds)."""
    wanted = [name for name, place in world.nodes.items() if place.run]
    firsts = [oldest_first(world.on(name))[0] for name in wanted if world.on(name)]
    waits = [available_in(pod, world.ds["spec"].get("minReadySeconds") or 0, world.now) for pod in firsts]
    available = sum(1 for wait in waits if wait == 0)
    status: Obj = {
        "currentNumberScheduled": len(firsts),
        "numberMisscheduled": sum(1 for n, place in world.nodes.items() if not place.run and world.on(n)),
        "desiredNumberScheduled": len(wanted),
        "numberReady": sum(map(is_pod_ready, firsts)),
    }
    counts = {
        "observedGeneration": world.ds["metadata"].get("generation", 0),
        "updatedNumberScheduled": sum(map(world.is_new, firsts)),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }
    status |= {name: count for name, count in counts.items() if count}
    if (collisions := (world.ds.get("status") or {}).get("collisionCount")) is not None:
        status["collisionCount"] = collisions
    return status, min((wait for wait in waits if wait), default=None)


class _Pass:
    """What one pass creates and deletes."""

    def __init__(self, world: World, bounds: Bounds) -> None:
        self.world = world
        self.bounds = bounds
        self.create: list[str] = []
        self.delete: list[Doc] = []
        self.failed: list[tuple[str, str, str]] = []

    def manage(self) -> None:
        """A pod where one belongs, none where none does."""
        for name, place in self.world.nodes.items():
            pods = self.world.on(name)
            if place.run and not pods:
                self.create.append(name)
            elif place.stay:
                self._tidy(name, place, pods)
            else:
                self.delete += [pod for pod in pods if not is_terminating(pod)]
        for name in set(self.world.pods) - set(self.world.nodes):  # meant for a node that is gone, never bound
            self.delete += [p for p in self.world.on(name) if not p["spec"].get("nodeName") and not is_terminating(p)]

    def _tidy(self, node: str, place: Placement, pods: Sequence[Doc]) -> None:
        running: list[Doc] = []
        for pod in pods:
            if is_terminating(pod):
                continue
            if is_terminal(pod):
                self._replace_ended(node, pod)
            else:
                running.append(pod)
        running = oldest_first(running)
        if not self.bounds.surge:
            self.delete += running[1:]
        elif len(running) > 1:
            self._keep_two(running)
        elif not running and place.run:
            self.create.append(node)

    def _replace_ended(self, node: str, pod: Doc) -> None:
        if phase_of(pod) == "Failed":
            if node in self.world.held_back:
                return
            kind, reason, verb = "Warning", "FailedDaemonPod", "kill"
        else:
            kind, reason, verb = "Normal", "SucceededDaemonPod", "delete"
        where = f"{namespace_of(pod)}/{name_of(pod)} on node {node}"
        text = f"Found {phase_of(pod).lower()} daemon pod {where}, will try to {verb} it"
        self.failed.append((kind, reason, text))
        self.delete.append(pod)

    def _keep_two(self, running: Sequence[Doc]) -> None:
        """While surging a node may have the oldest old pod and the oldest new one, as long as the old one is needed."""
        new = [pod for pod in running if self.world.is_new(pod)]
        old = [pod for pod in running if not self.world.is_new(pod)]
        self.delete += new[1:] + old[1:]
        if new and old and (not is_pod_ready(old[0]) or self.world.is_available(new[0])):
            self.delete.append(old[0])

    def _pairs(self) -> list[tuple[str, Doc | None, Doc | None, bool]]:
        """For each node with pods: its new pod, its old pod, and whether it has at most one of each.

        Also for nodes that would not get one any more but keep what they have, because of a taint.
        """
        pairs = []
        for name in self.world.nodes.keys() & self.world.pods.keys():
            living = [pod for pod in self.world.on(name) if not is_terminating(pod)]
            new = [pod for pod in living if self.world.is_new(pod)]
            old = [pod for pod in living if not self.world.is_new(pod)]
            clear = len(new) <= 1 and len(old) <= 1
            pairs.append((name, new[0] if new else None, old[0] if old else None, clear))
        return sorted(pairs, key=lambda pair: pair[0])

    def replace(self) -> None:
        """Deletes old pods: all that are not available, and of the others as many as all those leave room for."""
        unavailable = 0
        candidates: list[Doc] = []
        for _, new, old, clear in self._pairs():
            if not clear or (new is None) == (old is None):
                unavailable += 1
            elif new is not None:
                unavailable += not self.world.is_available(new)
            elif old is not None and not self.world.is_available(old):
                self.delete.append(old)
                unavailable += 1
            elif old is not None:
                candidates.append(old)
        room = max(0, self.bounds.unavailable - unavailable)
        candidates.sort(key=uid_of)
        self.delete += candidates[:room]

    def surge(self) -> None:
        """Creates new pods beside old ones, as many as may surge at once; an old one goes when its new is available.

        One on a node that gets no new pod goes when that leaves as many available ones as there shall be.
        """
        surging = available = 0
        candidates: list[str] = []
        leaving: list[Doc] = []
        for name, new, old, clear in self._pairs():
            if not clear:
                surging += 1
                continue
            counted = old if old is not None else new
            available += counted is not None and self.world.is_available(counted)
            if old is None:
                continue
            if new is not None:
                if self.world.is_available(new):
                    self.delete.append(old)
                else:
                    surging += 1
            elif self.world.nodes[name].run:
                (candidates if self.world.is_available(old) else self.create).append(name)
            else:
                (leaving if self.world.is_available(old) else self.delete).append(old)
        self.create += candidates[: max(0, self.bounds.surge - surging)]
        self.delete += leaving[: max(0, available - self.bounds.desired)]
