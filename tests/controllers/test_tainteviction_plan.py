"""Which pods leave a tainted node, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.controllers import tainteviction_plan as plan
from minik8s.machinery.meta import parse_time

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
A = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}
B = {"key": "b", "value": "v", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("tolerations", "seconds"),
    [
        ([], 0),
        ([{"key": A["key"], "operator": "Exists"}], 0),
        ([{"operator": "Exists"}], None),
        ([{"key": A["key"], "operator": "Exists", "tolerationSeconds": 300}, {"key": "b", "value": "v"}], 300),
        ([{"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}], 60),
        ([{"operator": "Exists", "tolerationSeconds": -5}], 0),
        ([{"operator": "Exists", "effect": "NoSchedule"}], 0),
    ],
)
def test_departures(tolerations: Any, seconds: int | None) -> None:
    """At once if a taint is not tolerated, never if all are for ever, else when the shortest toleration ends.

    All count from when the pod's stay began, not from its creation.
    """
    pod = {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"tolerations": tolerations}}
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert plan.departure(pod, [A, B], None, NOW) == expected


def tolerant(*seconds: int | None) -> Any:
    """A pod that tolerates A, and B, for so long."""
    pairs = zip((A, B), seconds, strict=False)
    tolerations = [{"key": t["key"], "operator": "Exists", "tolerationSeconds": s} for t, s in pairs]
    return {"metadata": {}, "spec": {"tolerations": tolerations}}


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (tolerant(600, 600), 60),
        (tolerant(600, 5), 60),
        (tolerant(None, None), None),
        (tolerant(600), 10),
    ],
)
def test_a_time_that_was_set_stands(pod: Any, expected: int | None) -> None:
    """Other limits do not move it, as upstream; no limit cancels it, and a taint not tolerated brings it forward."""
    set_before = NOW + timedelta(seconds=60)
    since = NOW + timedelta(seconds=10)
    due = plan.departure(pod, [A, B], set_before, since)
    assert due == (None if expected is None else NOW + timedelta(seconds=expected))


@pytest.mark.parametrize(
    ("bound", "added", "expected"),
    [
        ("2026-01-01T11:00:00Z", "2026-01-01T11:30:00Z", "2026-01-01T11:30:00Z"),
        ("2026-01-01T11:40:00Z", "2026-01-01T11:30:00Z", "2026-01-01T11:40:00Z"),
        ("2026-01-01T13:00:00Z", "2026-01-01T11:30:00Z", "2026-01-01T12:00:00Z"),
        ("2026-01-01T11:40:00Z", None, "2026-01-01T12:00:00Z"),
        (None, "2026-01-01T11:40:00Z", "2026-01-01T12:00:00Z"),
    ],
)
def test_what_the_objects_say_of_the_start(bound: Any, added: Any, expected: str) -> None:
    """The later of binding and taint; now where one of them is not said or lies ahead."""
    conditions = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": bound}] if bound else []
    pod = {"metadata": {}, "spec": {}, "status": {"conditions": conditions}}
    taint = {**A, "timeAdded": added} if added else A
    assert plan.stated_start(pod, [taint], NOW) == parse_time(expected)
