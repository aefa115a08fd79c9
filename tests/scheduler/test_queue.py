"""Where waiting pods wait, and what lets them go."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.diagnosis import Diagnosis
from minik8s.scheduler.framework import Code, Event, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.plugins.registry import default_plugins
from minik8s.scheduler.profile import Profile, Weighted
from minik8s.scheduler.queue import SchedulingQueue

NO_CPU = Diagnosis(1, {"Insufficient cpu": 1}, frozenset(("NodeResourcesFit",)))


@pytest.fixture
def queue() -> SchedulingQueue:
    return SchedulingQueue([Profile("default-scheduler", default_plugins())])


def place(queue: SchedulingQueue, name: str) -> str:
    queued = queue.get(f"uid-{name}")
    assert queued is not None
    return queued.place


def test_higher_priority_first_then_older(queue: SchedulingQueue, pod: Any) -> None:
    """PrioritySort orders the active queue."""
    for now, (name, priority) in enumerate([("old", 0), ("new", 0), ("vip", 5)]):
        queue.add(pod(name, priority=priority), float(now))
    popped = [queue.pop(3.0) for _ in range(3)]
    assert [q.pod.key for q in popped if q] == ["ns/vip", "ns/old", "ns/new"]
    assert queue.pop(3.0) is None


def test_what_happens_during_a_decision_is_not_lost(queue: SchedulingQueue, node: Any, pod: Any) -> None:
    """A pod that is refused waits for nothing when what would help has come since it was popped."""
    small, large = NodeInfo("small"), NodeInfo("large")
    small.set_node(node("small", cpu="1"))
    large.set_node(node("large"))
    for name, during, found in (("a", small, "unschedulable"), ("b", large, "backoff")):
        queue.add(pod(name, requests={"cpu": "2"}), 0.0)
        queued = queue.pop(0.0)
        assert queued is not None
        queue.wake(Event.NODE_ADD, during, 0.0)
        queue.fail(queued, NO_CPU, 0.0)
        assert place(queue, name) == found
        queue.remove(f"uid-{name}")
    queue.add(pod("c", requests={"cpu": "2"}), 0.0)
    decided = queue.pop(0.0)
    assert decided is not None
    assert queue.decided(decided)
    queue.wake(Event.NODE_ADD, large, 0.0)
    queue.fail(decided, NO_CPU, 0.0)
    assert place(queue, "c") == "unschedulable"
    queue.remove("uid-c")
    assert not queue.decided(decided)


def test_gated_pods_stay_out_until_the_gate_goes(queue: SchedulingQueue, pod: Any) -> None:
    """A scheduling gate keeps the pod from being tried; its removal is an update like any other."""
    queue.add(pod("p", schedulingGates=[{"name": "g"}]), 0.0)
    assert queue.pop(0.0) is None
    queued = queue.get("uid-p")
    assert queued is not None
    assert queued.gate is not None
    assert queued.gate.message == "waiting for scheduling gates: [g]"
    queue.add(pod("p"), 1.0)
    assert queue.pop(1.0) is queued


def test_unschedulable_pods_wait_for_an_event_that_concerns_them(queue: SchedulingQueue, node: Any, pod: Any) -> None:
    """A node without room does not wake a pod that lacked cpu; one with room does."""
    queue.add(pod("p", requests={"cpu": "2"}), 0.0)
    queued = queue.pop(0.0)
    assert queued is not None
    queue.fail(queued, NO_CPU, 0.0)
    small, large = NodeInfo("small"), NodeInfo("large")
    small.set_node(node("small", cpu="1"))
    large.set_node(node("large"))
    queue.wake(Event.NODE_ADD, small, 5.0)
    queue.wake(Event.NODE_LABEL, large, 5.0)
    assert place(queue, "p") == "unschedulable"
    queue.wake(Event.NODE_ADD, large, 5.0)
    assert place(queue, "p") == "active"


def test_backoff_doubles_from_one_to_ten_seconds(queue: SchedulingQueue, pod: Any) -> None:
    """After the n-th failure a pod waits 1, 2, 4, 8, 10, 10 seconds."""
    queue.add(pod("p"), 0.0)
    waits, now = [], 0.0
    for _ in range(6):
        queued = queue.pop(now)
        assert queued is not None
        queue.error(queued, now)
        wake = queue.next_wake()
        assert wake is not None
        waits.append(wake - now)
        assert queue.pop(wake - 0.01) is None
        now = wake
    assert waits == [1, 2, 4, 8, 10, 10]


def test_idle_scheduler_takes_pods_out_of_backoff(queue: SchedulingQueue, pod: Any) -> None:
    """A woken pod in back-off is tried at once when nothing else is ready, and after what is ready otherwise."""
    queue.add(pod("p"), 0.0)
    queued = queue.pop(0.0)
    assert queued is not None
    queue.fail(queued, Diagnosis(0), 0.0)
    queue.wake(Event.POD_DELETE, PodInfo(pod("gone")), 0.1)
    assert place(queue, "p") == "backoff"
    queue.add(pod("q"), 0.2)
    assert [q.pod.key for q in (queue.pop(0.2), queue.pop(0.2)) if q] == ["ns/q", "ns/p"]


def test_unschedulable_pods_are_tried_again_after_five_minutes(queue: SchedulingQueue, pod: Any) -> None:
    """Should an event have been missed, a pod does not wait for ever."""
    queue.add(pod("p"), 0.0)
    queued = queue.pop(0.0)
    assert queued is not None
    queue.fail(queued, NO_CPU, 0.0)
    assert queue.pop(299.0) is None
    assert queue.next_wake() == 300.0
    assert queue.pop(300.0) is queued


def test_status_updates_do_not_requeue(queue: SchedulingQueue, pod: Any) -> None:
    """The condition that the scheduler itself writes must not start another attempt; a new label may."""
    queue.add(pod("p"), 0.0)
    queued = queue.pop(0.0)
    assert queued is not None
    queue.fail(queued, NO_CPU, 0.0)
    queue.add({**pod("p"), "status": {"conditions": [{"type": "PodScheduled"}]}}, 20.0)
    assert place(queue, "p") == "unschedulable"
    queue.add(pod("p", labels={"a": "b"}), 20.0)
    assert place(queue, "p") != "unschedulable"


def test_removed_pods_are_not_tried(queue: SchedulingQueue, pod: Any) -> None:
    """Deletion takes a pod out wherever it waits."""
    queue.add(pod("p"), 0.0)
    assert queue.counts() == {"active": 1}
    queue.remove("uid-p")
    assert queue.pop(0.0) is None
    assert len(queue) == 0
    assert queue.counts() == {}


class Key:
    """Keeps pods out until it has turned; only a node's labels can make it turn."""

    name, local = "Key", True
    events = Event.NODE_LABEL
    turned = False

    def pre_enqueue(self, pod: PodInfo) -> Status | None:
        return None if self.turned else Status(Code.UNRESOLVABLE, ("locked",), self.name)

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        return bool(subject.labels)


def test_a_gate_may_open_by_itself(pod: Any) -> None:
    """A plugin that keeps a pod out is asked again after an event that it waits for, and only then."""
    key = Key()
    queue = SchedulingQueue([Profile("default-scheduler", [*default_plugins(), Weighted(key)])])
    queue.add(pod("p"), 0.0)
    unlabelled, labelled = NodeInfo("a"), NodeInfo("b")
    labelled.set_node({"metadata": {"name": "b", "labels": {"x": "y"}}})
    for event, subject, turned, found in [
        (Event.NODE_LABEL, labelled, False, "gated"),
        (Event.NODE_ADD, labelled, True, "gated"),
        (Event.NODE_LABEL, unlabelled, True, "gated"),
        (Event.NODE_LABEL, labelled, True, "active"),
    ]:
        key.turned = turned
        queue.wake(event, subject, 1.0)
        assert place(queue, "p") == found
    assert queue.counts() == {"active": 1}


def test_a_pod_gets_its_claims(queue: SchedulingQueue, pod: Any) -> None:
    """Of a pod's status only the claims that were made for it are worth another attempt."""
    waiting = pod("p", resourceClaims=[{"name": "g", "resourceClaimTemplateName": "t"}])
    queue.add(waiting, 0.0)
    queued = queue.pop(0.0)
    assert queued is not None
    queue.fail(queued, NO_CPU, 0.0)
    queue.add({**waiting, "status": {"phase": "Pending", "conditions": [{"type": "x"}]}}, 5.0)
    assert place(queue, "p") == "unschedulable"
    made = {"phase": "Pending", "resourceClaimStatuses": [{"name": "g", "resourceClaimName": "c"}]}
    queue.add({**waiting, "status": made}, 5.0)
    assert place(queue, "p") != "unschedulable"
