"""Events of events.k8s.io/v1: repetitions become a series, whose count is written now and then."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import EVENTS, EVENTS_V1
from minik8s.client.series import FINISH_SECONDS, SeriesCorrelator
from minik8s.testing import builders


def event(time: float, *, reason: str = "FailedScheduling", revision: str = "1", **more: Any) -> Any:
    return {
        "metadata": {"name": f"web.{time:g}", "namespace": "ns"},
        "regarding": {"kind": "Pod", "name": "web", "resourceVersion": revision},
        "reason": reason,
        "action": "Scheduling",
        "note": "0/1 nodes are available",
        "type": "Warning",
        "eventTime": f"{time:g}",
        "reportingController": "s",
        "reportingInstance": "s-h",
        **more,
    }


def test_a_series() -> None:
    """The second of its kind makes a series of the first; later ones are only counted, whatever their note."""
    correlator = SeriesCorrelator()
    first = correlator.correlate(event(0), 0)
    assert first is not None
    assert (first.event["metadata"]["name"], first.patch) == ("web.0", None)
    assert not correlator.open
    second = correlator.correlate(event(10, note="other words"), 10)
    assert second is not None
    assert second.patch == {"series": {"count": 2, "lastObservedTime": "10"}}
    assert (second.event["metadata"]["name"], second.event["note"]) == ("web.0", "0/1 nodes are available")
    assert correlator.open
    assert correlator.correlate(event(20), 20) is None
    written = list(correlator.tick(20 + FINISH_SECONDS))
    assert [w.patch for w in written] == [{"series": {"count": 3, "lastObservedTime": "20"}}]
    assert not correlator.open
    anew = correlator.correlate(event(800), 800)
    assert anew is not None
    assert anew.patch is None


@pytest.mark.parametrize("change", [{"reason": "R"}, {"revision": "2"}, {"related": {"name": "x"}}, {"action": "a"}])
def test_another_event_is_no_repetition(change: Any) -> None:
    """Other reasons, actions, objects and states of objects are events of their own."""
    correlator = SeriesCorrelator()
    correlator.correlate(event(0), 0)
    other = correlator.correlate(event(1, **change), 1)
    assert other is not None
    assert other.patch is None


def test_a_long_series_is_refreshed() -> None:
    """Every half hour its count is written though it goes on; one that never was a series is forgotten."""
    correlator = SeriesCorrelator()
    correlator.correlate(event(0, reason="once"), 0)
    written = []
    for minute in range(61):
        correlator.correlate(event(minute * 60), minute * 60)
        if minute and minute % 6 == 0:
            written += [(minute, w.patch) for w in correlator.tick(minute * 60 + 1)]
    assert [(minute, patch["series"]["count"]) for minute, patch in written if patch] == [(30, 31), (60, 61)]


@pytest.mark.anyio
@pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False)
async def test_the_schedulers_events(cluster: Cluster) -> None:
    """They have upstream's fields, and are the same events through core/v1; attempts that fail alike are counted."""
    await cluster.apply([builders.pod("good"), builders.pod("bad", nodeSelector={"disk": "none"})])
    await cluster.wait_for(PODS, "good", "Ready")
    await cluster.settle()
    found = {e["reason"]: e for e in (await cluster.client.list(EVENTS_V1, namespace="default")).items}
    scheduled, failed = found["Scheduled"], found["FailedScheduling"]
    assert (scheduled["action"], failed["action"]) == ("Binding", "Scheduling")
    assert scheduled["reportingController"] == "default-scheduler"
    assert scheduled["reportingInstance"].startswith("default-scheduler-")
    assert scheduled["eventTime"].endswith("Z")
    assert scheduled["regarding"]["name"] == "good"
    assert scheduled["note"] == "Successfully assigned default/good to node-1"
    assert not scheduled.get("deprecatedCount")
    core = next(e for e in (await cluster.client.list(EVENTS, namespace="default")).items if e["reason"] == "Scheduled")
    assert (core["reportingComponent"], core["message"]) == ("default-scheduler", scheduled["note"])
    assert (core["eventTime"], core["involvedObject"]["name"]) == (scheduled["eventTime"], "good")
    assert not core.get("source")
    assert not core.get("lastTimestamp")
    await cluster.advance(minutes=45)
    events = (await cluster.client.list(EVENTS_V1, namespace="default")).items
    repeated = [e for e in events if e["reason"] == "FailedScheduling" and e.get("series")]
    assert sum(e["series"]["count"] for e in repeated) >= 5, "one attempt every five minutes"
    text = str(await cluster.why(PODS, "bad"))
    assert f"({repeated[-1]['series']['count']} times)" in text
