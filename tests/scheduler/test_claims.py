"""What a change of a claim means for waiting pods."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.claims import claim_event
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.framework import Event
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.dynamicresources import DynamicResources
from tests.scheduler.devices.builders import allocation, claim

HELD = claim(status={"allocation": allocation(("n", "a"))})
RESERVED = claim(status={"allocation": allocation(("n", "a")), "reservedFor": [{"uid": "u"}]})
NONE = Event(0)


@pytest.mark.parametrize(
    ("old", "new", "event"),
    [
        (None, claim(), Event.RESOURCE_CLAIM),
        (None, HELD, Event.RESOURCE_CLAIM),
        (claim(), claim(), NONE),
        (claim(), HELD, Event.RESOURCE_CLAIM),
        (HELD, RESERVED, Event.RESOURCE_CLAIM),
        (RESERVED, HELD, Event.RESOURCE_CLAIM),
        (RESERVED, claim(), Event.DEVICE_FREED),
        (HELD, None, Event.DEVICE_FREED),
        (claim(), None, NONE),
    ],
)
def test_events(old: Any, new: Any, event: Event) -> None:
    """It is there, it has changed, or it has given something back; what is not about its status is no news."""
    assert claim_event(old, new) == event


@pytest.mark.parametrize(
    ("uses", "event", "subject", "wakes"),
    [
        (["c"], Event.DEVICE, None, True),
        (["c"], Event.NODE_ADD, None, True),
        (["c"], Event.RESOURCE_CLAIM, claim(), True),
        (["c"], Event.RESOURCE_CLAIM, claim(name="d"), False),
        (["c"], Event.DEVICE_FREED, claim(name="d"), True),
        (["c", "none"], Event.RESOURCE_CLAIM, claim(), False),
        (["none"], Event.DEVICE_FREED, claim(name="d"), False),
    ],
)
def test_hints(pod: Any, uses: list[str], event: Event, subject: Any, wakes: bool) -> None:
    """A pod is tried again when it has all its claims and one of them changed, or any claim gave something back."""
    world = Inventory()
    world.set_claim(None, claim())
    plugin = DynamicResources(world)
    info = PodInfo(pod("p", namespace="default", resourceClaims=[{"name": n, "resourceClaimName": n} for n in uses]))
    assert plugin.hint(info, event, subject) == wakes
