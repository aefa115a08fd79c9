"""Events: what is written, what is counted up, what is combined, and what is never written."""

from __future__ import annotations

from random import Random
from typing import Any

import anyio

from minik8s.api.resources import EVENTS
from minik8s.client.correlation import Correlator, cut
from minik8s.client.events import QUEUE_LENGTH, EventRecorder, Recorders
from minik8s.machinery.errors import Forbidden, NotFound

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "ns", "uid": "u1", "resourceVersion": "7"},
}
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "uid": "u2"}}


class Writes:
    """A client that remembers what it was told to write. `failures` are raised first, one per call."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.created: list[Any] = []
        self.patched: list[Any] = []

    def as_agent(self, user_agent: str) -> Writes:
        return self

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    async def create(self, resource: Any, obj: Any) -> None:
        assert resource is EVENTS
        self._fail()
        self.created.append(obj)

    async def patch(self, resource: Any, name: str, patch: Any, *, namespace: str, type: str) -> None:
        self._fail()
        self.patched.append((name, namespace, patch, type))


def record(virtual: Any, writes: Writes, scenario: Any) -> Recorders:
    """Runs `scenario(recorder, clock)` and lets everything be written."""
    made: list[Recorders] = []

    async def body(clock: Any) -> None:
        recorders = Recorders(writes, clock, Random(1))  # type: ignore[arg-type]
        made.append(recorders)
        async with anyio.create_task_group() as group:
            group.start_soon(recorders.run)
            await scenario(recorders.recorder("test-controller", "host"), clock)
            while not recorders.idle:
                await clock.sleep(1)
            group.cancel_scope.cancel()

    virtual(body)
    return made[0]


def test_fields(virtual: Any) -> None:
    """An event says what, about whom, by whom and when, in core/v1's fields."""

    async def scenario(recorder: EventRecorder, clock: Any) -> None:
        recorder.event(POD, "Normal", "Pulled", "got it", field_path="spec.containers{c}")
        recorder.event(NODE, "Warning", "Odd", "hm")

    writes = Writes()
    record(virtual, writes, scenario)
    event, about_node = writes.created
    name = event["metadata"].pop("name")
    assert name.startswith("web.")
    assert len(name) == len("web.") + 16
    assert event == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "ns"},
        "involvedObject": {
            "kind": "Pod",
            "namespace": "ns",
            "name": "web",
            "uid": "u1",
            "apiVersion": "v1",
            "resourceVersion": "7",
            "fieldPath": "spec.containers{c}",
        },
        "reason": "Pulled",
        "message": "got it",
        "source": {"component": "test-controller", "host": "host"},
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "test-controller",
        "reportingInstance": "host",
    }
    assert about_node["metadata"]["namespace"] == "default"


def test_repetitions_are_counted(virtual: Any) -> None:
    """The same event again raises the count of the first; if that is gone a new one goes on counting."""

    async def scenario(recorder: EventRecorder, clock: Any) -> None:
        for _ in range(3):
            recorder.event(POD, "Warning", "BackOff", "again")
            await clock.sleep(10)
        writes.failures.append(NotFound("it has expired"))
        recorder.event(POD, "Warning", "BackOff", "again")

    writes = Writes()
    record(virtual, writes, scenario)
    name = writes.created[0]["metadata"]["name"]
    counted = [(patch["count"], patch["lastTimestamp"]) for _, _, patch, _ in writes.patched]
    assert counted == [(2, "2026-01-01T00:00:10Z"), (3, "2026-01-01T00:00:20Z")]
    assert {(patched[0], patched[1], patched[3]) for patched in writes.patched} == {(name, "ns", "strategic")}
    assert writes.created[1]["count"] == 4
    assert writes.created[1]["firstTimestamp"] == "2026-01-01T00:00:00Z"


def test_names_differ_when_time_stands_still(virtual: Any) -> None:
    """Two events of one moment have two names."""

    async def scenario(recorder: EventRecorder, clock: Any) -> None:
        recorder.event(POD, "Normal", "A", "a")
        recorder.event(POD, "Normal", "B", "b")

    writes = Writes()
    record(virtual, writes, scenario)
    assert len({event["metadata"]["name"] for event in writes.created}) == 2


def test_recording_never_fails(virtual: Any) -> None:
    """What the server refuses is dropped, an absent server is waited for, and a full queue takes no more."""

    async def scenario(recorder: EventRecorder, clock: Any) -> None:
        recorder.event(POD, "Normal", "Refused", "x")
        recorder.event(NODE, "Normal", "Late", "x")
        await clock.sleep(100)
        for number in range(QUEUE_LENGTH + 5):
            recorder.event({}, "Normal", "Many", str(number))

    writes = Writes(Forbidden("no"), OSError("nobody there"))
    recorders = record(virtual, writes, scenario)
    assert writes.created[0]["reason"] == "Late"
    assert (recorders.statistics.refused, recorders.statistics.dropped) == (1, 5)


def event(message: str, reason: str = "R", name: str = "web") -> Any:
    about = {"kind": "Pod", "namespace": "ns", "name": name, "uid": name, "apiVersion": "v1"}
    return {
        "metadata": {"name": f"{name}.{message}"},
        "involvedObject": about,
        "type": "Normal",
        "reason": reason,
        "message": message,
        "firstTimestamp": "t",
        "lastTimestamp": "t",
        "count": 1,
    }


def test_similar_events_are_combined() -> None:
    """From the tenth different message within ten minutes on there is one combined event, which is counted up."""
    correlator = Correlator()
    results = [correlator.correlate(event(str(number)), now=number) for number in range(12)]
    texts = [result.event["message"] for result in results if result]
    assert texts[:9] == [str(number) for number in range(9)]
    assert texts[9:] == [f"(combined from similar events): {number}" for number in (9, 10, 11)]
    patches = [result.patch for result in results if result]
    assert patches[:10] == [None] * 10
    assert [patch["count"] for patch in patches[10:] if patch] == [2, 3]
    later = correlator.correlate(event("12"), now=700)
    assert later is not None
    assert later.event["message"] == "12"


def test_a_source_has_a_budget() -> None:
    """25 events about an object, then one every five minutes; other objects are not affected."""
    correlator = Correlator()
    written = [correlator.correlate(event("m", reason=str(n)), now=0) is not None for n in range(30)]
    assert written == [True] * 25 + [False] * 5
    assert correlator.correlate(event("m", name="other"), now=0) is not None
    assert correlator.correlate(event("m", reason="late"), now=299) is None
    assert correlator.correlate(event("m", reason="late"), now=601) is not None


def test_messages_are_cut() -> None:
    """At most 1024 bytes, never half a character."""
    assert cut("short") == "short"
    assert cut("x" * 2000) == "x" * 1024
    assert cut("x" + "ä" * 1000) == "x" + "ä" * 511
