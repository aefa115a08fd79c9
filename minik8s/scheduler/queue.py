"""The pods that wait for a node, by what they wait for.

    gated          a PreEnqueue plugin keeps it out; leaves when the pod changes, or on an event the plugin cares about
    active         ready for an attempt, in the order of the QueueSort plugin
    backoff        may be tried again, but not yet: 1 s after its first failure, doubling to 10 s
    unschedulable  found no node; leaves on an event that a plugin which rejected it cares about, or after 5 minutes

Upstream: `backend/queue/scheduling_queue.go`. Like there, an idle scheduler takes pods out of back-off early
(SchedulerPopFromBackoffQ), except after an error. Nothing here sleeps: `next_wake` says when `flush` has work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Literal, TypeAlias

import attrs

from minik8s.client.backoff import exponential
from minik8s.machinery.meta import Doc, labels_of
from minik8s.scheduler.diagnosis import Diagnosis
from minik8s.scheduler.framework import Event, Status
from minik8s.scheduler.guard import blame
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.profile import DEFAULT_SCHEDULER, Profile

INITIAL_BACKOFF = 1.0
MAX_BACKOFF = 10.0
MAX_UNSCHEDULABLE = 300.0
"""Seconds: podInitialBackoffSeconds, podMaxBackoffSeconds, DefaultPodMaxInUnschedulablePodsDuration."""

Place = Literal["gated", "active", "backoff", "error", "unschedulable", "flying"]
"""`error` is back-off after something went wrong; `flying` pods are being scheduled or bound."""


@attrs.define(eq=False)
class QueuedPod:
    """A waiting pod, where it waits, and what came of its attempts. Times are monotonic seconds."""

    pod: PodInfo
    place: Place
    since: float
    attempts: int = 0
    gate: Status | None = None
    diagnosis: Diagnosis | None = None
    ticket: int = 0
    pool: dict[str, QueuedPod] = attrs.field(factory=dict)
    """The pods that wait for the same sorts of events, this one among them."""


_Pools: TypeAlias = dict[tuple[str, frozenset[str]], dict[str, QueuedPod]]
"""Pods that wait for the same sorts of events, by profile and the plugins that keep them waiting."""


class _Heap:
    """Queued pods by a key. An entry counts only while its pod still holds the ticket it was pushed with."""

    def __init__(self) -> None:
        self._entries: list[tuple[Any, int, QueuedPod]] = []

    def push(self, key: Any, queued: QueuedPod) -> None:
        heappush(self._entries, (key, queued.ticket, queued))

    def peek(self) -> tuple[Any, QueuedPod] | None:
        while self._entries:
            key, ticket, queued = self._entries[0]
            if queued.ticket == ticket:
                return key, queued
            heappop(self._entries)
        return None


class SchedulingQueue:
    """All pods without a node. Moving a pod gives it a new ticket, which invalidates what heaps hold of it."""

    def __init__(
        self, profiles: Iterable[Profile], initial: float = INITIAL_BACKOFF, longest: float = MAX_BACKOFF
    ) -> None:
        """`initial` and `longest` are the first and the longest back-off in seconds."""
        self._profiles = {profile.name: profile for profile in profiles}
        self._queue_sort = next(iter(self._profiles.values())).queue_sort
        self._initial, self._longest = initial, longest
        self._pods: dict[str, QueuedPod] = {}
        self._active = _Heap()
        self._backoff = _Heap()
        self._errors = _Heap()
        self._stale = _Heap()
        self._unschedulable: _Pools = {}
        self._gated: _Pools = {}
        self._tickets = count(1)
        self._deciding: QueuedPod | None = None
        self._missed: list[tuple[Event, NodeInfo | PodInfo | Doc]] = []
        """What happened while a pod was being decided on; the decision may not have seen it."""
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> QueuedPod | None:
        return self._pods.get(uid)

    def pods(self) -> Iterable[QueuedPod]:
        return self._pods.values()

    def counts(self) -> dict[str, int]:
        """How many pods are in each place."""
        return {place: number for place, number in self._counts.items() if number}

    def add(self, doc: Doc, now: float) -> None:
        """A pod without a node has appeared, or has been updated."""
        uid = doc["metadata"].get("uid", "")
        queued = self._pods.get(uid)
        if queued is None:
            queued = self._pods[uid] = QueuedPod(PodInfo(doc), "gated", now)
            self._counts["gated"] += 1
            self._enter(queued, now)
            return
        changed = _matters(queued.pod.doc, doc)
        queued.pod = PodInfo(doc) if changed else queued.pod
        queued.pod.doc, queued.pod.spec = doc, doc["spec"]
        if changed and queued.place != "flying":
            queued.since = now
            self._enter(queued, now)

    def remove(self, uid: str) -> None:
        """The pod is gone or has a node."""
        queued = self._pods.pop(uid, None)
        if queued is not None:
            self._end_decision(queued)
            queued.ticket = 0
            self._counts[queued.place] -= 1
            self._leave_pool(queued)

    def pop(self, now: float) -> QueuedPod | None:
        """The pod to try next: a ready one, else the one nearest to the end of its back-off. None when none is left."""
        self.flush(now)
        found = self._active.peek() or self._backoff.peek()
        if found is None:
            return None
        queued = found[1]
        self._move(queued, "flying")
        queued.attempts += 1
        self._deciding = queued
        self._missed.clear()
        return queued

    def decided(self, queued: QueuedPod) -> bool:
        """The pod is to have a node; whether it is still there to have it."""
        self._end_decision(queued)
        return self.get(queued.pod.uid) is queued

    def fail(self, queued: QueuedPod, diagnosis: Diagnosis, now: float) -> None:
        """No node fits: it waits for an event, if the one that helps has not come already."""
        self._leave_pool(queued)
        queued.diagnosis, queued.since = diagnosis, now
        self._move(queued, "unschedulable")
        if self._end_decision(queued):
            profile, plugins = self._profiles[scheduler_of(queued.pod.doc)], diagnosis.plugins
            if any(self._is_worth_it(profile, queued, plugins, *happened) for happened in self._missed):
                self._retry(queued, now)

    def _end_decision(self, queued: QueuedPod) -> bool:
        """Whether it was this pod that was being decided on."""
        if self._deciding is not queued:
            return False
        self._deciding = None
        return True

    def error(self, queued: QueuedPod, now: float) -> None:
        """Something went wrong that may go right next time."""
        self._end_decision(queued)
        queued.since = now
        self._move(queued, "error")

    def wake(self, event: Event, subject: NodeInfo | PodInfo | Doc, now: float) -> None:
        """Moves the pods that the event may have made schedulable."""
        if self._deciding is not None:
            self._missed.append((event, subject))
        for (name, rejected_by), pods in _filled(self._unschedulable):
            profile = self._profiles[name]
            if rejected_by and not profile.concerns(rejected_by, event):
                continue
            for queued in list(pods.values()):
                if self._is_worth_it(profile, queued, rejected_by, event, subject):
                    self._retry(queued, now)
        for (name, gate), pods in _filled(self._gated):
            profile = self._profiles[name]
            if profile.listens(gate, event):
                for queued in list(pods.values()):
                    if self._is_worth_it(profile, queued, gate, event, subject):
                        self._enter(queued, now)

    def activate(self, uid: str, now: float) -> None:
        """Has a pod that waits for an event or the end of its back-off tried now."""
        queued = self._pods.get(uid)
        if queued is not None and queued.place in ("unschedulable", "backoff", "error"):
            queued.since = now
            self._move(queued, "active")

    def _is_worth_it(
        self, profile: Profile, queued: QueuedPod, rejected_by: frozenset[str], event: Event, subject: Any
    ) -> bool:
        try:
            return not rejected_by or profile.wakes(rejected_by, queued.pod, event, subject)
        except Exception as error:
            blame(profile, error, queued.pod.key)
            return True

    def flush(self, now: float) -> None:
        """Moves the pods whose time has come."""
        for heap in (self._backoff, self._errors):
            while (found := heap.peek()) and found[0] <= now:
                self._move(found[1], "active")
        while (found := self._stale.peek()) and found[0] <= now:
            self._retry(found[1], now)

    def next_wake(self) -> float | None:
        """When `flush` will next have something to do, None when never."""
        times = [found[0] for heap in (self._backoff, self._errors, self._stale) if (found := heap.peek())]
        return min(times, default=None)

    def _enter(self, queued: QueuedPod, now: float) -> None:
        profile = self._profiles[scheduler_of(queued.pod.doc)]
        try:
            queued.gate = profile.gate(queued.pod)
        except Exception as error:
            queued.gate = blame(profile, error, queued.pod.key)
        if queued.gate is not None:
            self._move(queued, "gated")
        else:
            self._retry(queued, now)

    def _retry(self, queued: QueuedPod, now: float) -> None:
        self._move(queued, "backoff" if self._ready_at(queued) > now else "active")

    def _ready_at(self, queued: QueuedPod) -> float:
        """When the back-off after the attempts made so far is over."""
        return queued.since + (exponential(queued.attempts, self._initial, self._longest) if queued.attempts else 0.0)

    def _move(self, queued: QueuedPod, place: Place) -> None:
        uid = queued.pod.uid
        if uid not in self._pods:
            return
        self._counts[queued.place] -= 1
        self._counts[place] += 1
        self._leave_pool(queued)
        queued.place, queued.ticket = place, next(self._tickets)
        match place:
            case "active":
                self._active.push(self._queue_sort.sort_key(queued.pod, queued.since), queued)
            case "backoff":
                self._backoff.push(self._ready_at(queued), queued)
            case "error":
                self._errors.push(self._ready_at(queued), queued)
            case "gated":
                gate = queued.gate.plugin if queued.gate is not None else ""
                self._join(queued, self._gated, frozenset((gate,)))
            case "unschedulable":
                rejected_by = queued.diagnosis.plugins if queued.diagnosis else frozenset()
                self._join(queued, self._unschedulable, rejected_by)
                self._stale.push(queued.since + MAX_UNSCHEDULABLE, queued)

    def _join(self, queued: QueuedPod, pools: _Pools, plugins: frozenset[str]) -> None:
        """Adds it to the pods of its profile that those plugins keep waiting."""
        queued.pool = pools.setdefault((scheduler_of(queued.pod.doc), plugins), {})
        queued.pool[queued.pod.uid] = queued

    def _leave_pool(self, queued: QueuedPod) -> None:
        queued.pool.pop(queued.pod.uid, None)
        queued.pool = {}


def _filled(pools: _Pools) -> list[tuple[tuple[str, frozenset[str]], dict[str, QueuedPod]]]:
    """The pools that have pods; the others are dropped."""
    for key in [key for key, pods in pools.items() if not pods]:
        del pools[key]
    return list(pools.items())


def scheduler_of(pod: Doc) -> str:
    """The name of the scheduler (profile) that a pod is for."""
    return str(pod["spec"].get("schedulerName") or DEFAULT_SCHEDULER)


def _matters(old: Doc, new: Doc) -> bool:
    """Whether an update may change the verdict on the pod: its spec, its labels; of its status only its claims."""
    before, after = old["spec"], new["spec"]
    if (before is not after and before != after) or labels_of(old) != labels_of(new):
        return True
    return "resourceClaims" in after and _claims(old) != _claims(new)


def _claims(pod: Doc) -> Sequence[Doc]:
    """The claims that were made for the pod."""
    return (pod.get("status") or {}).get("resourceClaimStatuses") or ()
