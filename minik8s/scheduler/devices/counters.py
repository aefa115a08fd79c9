"""Partitionable devices: devices that draw on the same counters, so that some exclude others.

A counter is the pool's; what its allocated devices draw, on whatever node, is not there for others.
"""

from __future__ import annotations

from collections import Counter

from minik8s.scheduler.devices.pools import Pool
from minik8s.scheduler.devices.slices import Device, PoolId
from minik8s.scheduler.devices.usage import Usage

Left = dict[tuple[str, str], int]
"""(counter set, counter) -> billionths that are left."""


class CounterBook:
    """The counters of the pools that a search has met, and what the search itself has drawn so far."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._left: dict[PoolId, Left] = {}

    def draw(self, pool: Pool, device: Device) -> bool:
        """Draws what the device consumes; False, and nothing drawn, if there is not enough left."""
        left = self._left.get(pool.id)
        if left is None:
            left = self._left[pool.id] = _left(pool, self._usage)
        needed = [((name, counter), n) for name, each in device.consumes.items() for counter, n in each.items()]
        if any(left[key] < amount for key, amount in needed):
            return False
        for key, amount in needed:
            left[key] -= amount
        return True

    def give_back(self, pool: Pool, device: Device) -> None:
        left = self._left[pool.id]
        for name, each in device.consumes.items():
            for counter, amount in each.items():
                left[name, counter] += amount


def _left(pool: Pool, usage: Usage) -> Left:
    """The pool's counters without what is drawn by devices that are in use."""
    used: Counter[tuple[str, str]] = Counter()
    for device in (*pool.devices, *pool.elsewhere):
        if device.consumes and usage.is_used(device.id):
            for name, each in device.consumes.items():
                for counter, amount in each.items():
                    used[name, counter] += amount
    return {
        (name, counter): amount - used[name, counter]
        for name, each in pool.counters.items()
        for counter, amount in each.items()
    }
