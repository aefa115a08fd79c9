"""The pods that wait for a node, by what they wait for.

    gated          a PreEnqueue plugin keeps it out; leaves when the pod changes
    active         ready for an attempt, in the order of the QueueSort plugin
    backoff        may be tried again, but not yet: 1 s after its first failure, doubling to 10 s
    unschedulable  found no node; leaves on an event that a plugin which rejected it cares about, or after 5 minutes

Upstream: `backend/queue/scheduling_queue.go`. Like there, an idle scheduler takes pods out of back-off early
(SchedulerPopFromBackoffQ), except after an error. Nothing here sleeps: `next_wake` says when `flush` has work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count
from typing import Any, Literal

import attrs

from minik8s.client.backoff import exponential
from minik8s.machinery.meta import Doc, labels_of
from minik8s.scheduler.diagnosis import Diagnosis
from minik8s.scheduler.framework import Event, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.profile import Profile

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

    @property
    def backoff(self) -> float:
        """Seconds to wait after the attempts made so far."""
        return exponential(self.attempts, INITIAL_BACKOFF, MAX_BACKOFF) if self.attempts else 0.0

    @property
    def ready_at(self) -> float:
        """When the back-off is over."""
        return self.since + self.backoff


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

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._pods: dict[str, QueuedPod] = {}
        self._active = _Heap()
        self._backoff = _Heap()
        self._errors = _Heap()
        self._stale = _Heap()
        self._unschedulable: dict[str, QueuedPod] = {}
        self._tickets = count(1)
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
            queued.ticket = 0
            self._counts[queued.place] -= 1
            self._unschedulable.pop(uid, None)

    def pop(self, now: float) -> QueuedPod | None:
        """The pod to try next: a ready one, else the one nearest to the end of its back-off. None when none is left."""
        self.flush(now)
        found = self._active.peek() or self._backoff.peek()
        if found is None:
            return None
        queued = found[1]
        self._move(queued, "flying")
        queued.attempts += 1
        return queued

    def fail(self, queued: QueuedPod, diagnosis: Diagnosis, now: float) -> None:
        """No node fits: it waits for an event."""
        queued.diagnosis, queued.since = diagnosis, now
        self._move(queued, "unschedulable")

    def error(self, queued: QueuedPod, now: float) -> None:
        """Something went wrong that may go right next time."""
        queued.since = now
        self._move(queued, "error")

    def wake(self, event: Event, subject: NodeInfo | PodInfo | Doc, now: float) -> None:
        """Moves the pods that the event may have made schedulable."""
        for queued in list(self._unschedulable.values()):
            rejected_by = queued.diagnosis.plugins if queued.diagnosis else frozenset()
            if not rejected_by or self._profile.wakes(rejected_by, queued.pod, event, subject):
                self._retry(queued, now)

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
        queued.gate = self._profile.gate(queued.pod)
        if queued.gate is not None:
            self._move(queued, "gated")
        else:
            self._retry(queued, now)

    def _retry(self, queued: QueuedPod, now: float) -> None:
        self._move(queued, "backoff" if queued.ready_at > now else "active")

    def _move(self, queued: QueuedPod, place: Place) -> None:
        uid = queued.pod.uid
        if uid not in self._pods:
            return
        self._counts[queued.place] -= 1
        self._counts[place] += 1
        queued.place, queued.ticket = place, next(self._tickets)
        self._unschedulable.pop(uid, None)
        match place:
            case "active":
                self._active.push(self._profile.queue_sort.sort_key(queued.pod, queued.since), queued)
            case "backoff":
                self._backoff.push(queued.ready_at, queued)
            case "error":
                self._errors.push(queued.ready_at, queued)
            case "unschedulable":
                self._unschedulable[uid] = queued
                self._stale.push(queued.since + MAX_UNSCHEDULABLE, queued)


def _matters(old: Doc, new: Doc) -> bool:
    """Whether an update may change the verdict on the pod: its spec, its labels; not its status."""
    before, after = old["spec"], new["spec"]
    return (before is not after and before != after) or labels_of(old) != labels_of(new)
