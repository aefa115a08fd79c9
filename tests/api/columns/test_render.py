"""The renderings that columns share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.api.columns import render

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-2, "<invalid>"), (-1.5, "0s"), (-0.5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (150, "2m30s"),
        (10 * MINUTE - 1, "9m59s"), (10 * MINUTE, "10m"), (180 * MINUTE - 1, "179m"), (180 * MINUTE, "3h"),
        (3 * HOUR + 5 * MINUTE, "3h5m"), (8 * HOUR, "8h"), (48 * HOUR - 1, "47h"), (48 * HOUR, "2d"),
        (50 * HOUR, "2d2h"), (192 * HOUR, "8d"), (2 * 365 * DAY - 1, "729d"), (2 * 365 * DAY, "2y"),
        (3 * 365 * DAY + 4 * DAY, "3y4d"), (8 * 365 * DAY, "8y"), (20 * 365 * DAY + DAY, "20y"),
    ],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    """Each range of durations has its own pair of units."""
    assert render.duration(seconds) == text


def test_since() -> None:
    """An age is counted from a timestamp; an absent one is unknown, a broken one invalid."""
    now = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    assert render.since("2026-01-01T00:00:00Z", now) == "5m"
    assert render.since("2026-01-01T00:00:00.000000Z", now) == "5m"
    assert render.since(None, now) == "<unknown>"
    assert render.since("yesterday", now) == "<invalid>"


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (None, "<none>"),
        ({}, "<none>"),
        ({"matchLabels": {"b": "1", "a": "2"}}, "a=2,b=1"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["y", "x"]}]}, "a notin (x,y)"),
        ({"matchExpressions": [{"key": "a", "operator": "Bad"}]}, "<error>"),
    ],
)
def test_selector(selector: dict[str, Any] | None, text: str) -> None:
    """A label selector prints its requirements."""
    assert render.selector(selector) == text


def test_lists_and_maps() -> None:
    """Maps are sorted, long lists clipped, IPv6 addresses bracketed, load balancers deduplicated."""
    assert render.labels({"b": "1", "a": ""}) == "a=,b=1"
    assert render.labels(None) == "<none>"
    assert render.clipped(["a", "b", "c", "d", "e"]) == "a,b,c + 2 more..."
    assert render.clipped(["a", "b", "c"]) == "a,b,c"
    assert render.clipped([], empty="*") == "*"
    assert render.host_port("fd00::1", 80) == "[fd00::1]:80"
    assert render.load_balancer({"ingress": [{"hostname": "b"}, {"ip": "a", "hostname": "x"}, {"ip": "a"}]}) == "a,b"
