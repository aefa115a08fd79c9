"""Which pods leave a tainted node, and when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.controllers import tainteviction_plan as plan

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
def test_eviction_times(tolerations: Any, seconds: int | None) -> None:
    """At once if a taint is not tolerated, never if all are for ever, else when the shortest toleration ends."""
    pod = {"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}, "spec": {"tolerations": tolerations}}
    seen = {plan.identity(t): NOW for t in (A, B)}
    due = plan.eviction_time(pod, [A, B], seen)
    assert due == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_later_pods_count_from_their_own_start() -> None:
    """A pod that came after the taint has its full toleration."""
    pod = {
        "metadata": {"creationTimestamp": "2026-01-01T12:01:00Z"},
        "spec": {"tolerations": [{"operator": "Exists", "tolerationSeconds": 10}]},
    }
    assert plan.eviction_time(pod, [A], {plan.identity(A): NOW}) == NOW + timedelta(seconds=70)
