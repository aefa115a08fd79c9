"""Binding conditions: when an allocated claim is ready, failed, or late."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s.scheduler.devices.binding import has_conditions, is_ready, is_stuck
from tests.scheduler.devices.builders import DRIVER, allocation, claim

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def held(*conditions: Any, since: str = "2026-01-01T00:00:00Z", told: bool = True, plain: bool = False) -> Any:
    fields = {} if plain else {"bindingConditions": ["Ready"], "bindingFailureConditions": ["Broken"]}
    has = {**allocation(("n", "a"), **fields), "allocationTimestamp": since}
    device = {"driver": DRIVER, "pool": "n", "device": "a", "conditions": list(conditions)}
    return claim(status={"allocation": has, "devices": [device] if told else []})


READY = {"type": "Ready", "status": "True"}
BROKEN = {"type": "Broken", "status": "True", "reason": "R", "message": "M"}


@pytest.mark.parametrize(
    ("doc", "ready", "failure"),
    [
        (claim(), False, ""),
        (held(plain=True), True, ""),
        (held(told=False), False, ""),
        (held(), False, ""),
        (held({**READY, "status": "False"}), False, ""),
        (held(READY), True, ""),
        (held(READY, {**BROKEN, "status": "False"}), True, ""),
        (held(READY, BROKEN), False, 'device binding failed: claim=c, reason=R, message="M"'),
    ],
)
def test_readiness(doc: Any, ready: bool, failure: str) -> None:
    """All awaited conditions are true and no failure is; devices without conditions are ready."""
    assert is_ready(doc) == (ready, failure)


@pytest.mark.parametrize(
    ("doc", "stuck"),
    [
        (claim(), False),
        (held(plain=True), False),
        (held(READY), False),
        (held(BROKEN), True),
        (held(), True),
        (held(since="2026-01-01T00:09:00Z"), False),
    ],
)
def test_stuck(doc: Any, stuck: bool) -> None:
    """It has failed, or has not become ready in time: then other devices are tried."""
    assert is_stuck(doc, 599, NOW) == stuck


def test_what_has_to_be_waited_for() -> None:
    """Only devices with conditions."""
    assert has_conditions(held()["status"]["allocation"])
    assert not has_conditions(held(plain=True)["status"]["allocation"])
    assert not has_conditions(None)
