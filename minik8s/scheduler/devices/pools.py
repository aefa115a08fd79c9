"""The devices that one node can reach, by pool.

A driver publishes a pool as several slices, and replaces it by slices of a higher generation. Only the newest counts,
and nothing is taken from a pool of which slices are missing, or that contradicts itself. Upstream: `GatherPools`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from minik8s.scheduler.devices.slices import Counters, Device, PoolId, Slice


@attrs.frozen(eq=False)
class Pool:
    """`elsewhere` are devices of the pool that the node does not reach, but that draw on the same counters."""

    id: PoolId
    devices: tuple[Device, ...] = ()
    elsewhere: tuple[Device, ...] = ()
    counters: Counters = attrs.field(factory=dict)
    is_incomplete: bool = False
    why_invalid: str = ""

    @property
    def is_usable(self) -> bool:
        return not self.is_incomplete and not self.why_invalid


def gather_pools(
    slices: Iterable[Slice], siblings: Mapping[PoolId, Iterable[Slice]], node: str, labels: Mapping[str, str]
) -> list[Pool]:
    """The pools of a node out of the `slices` that may concern it; `siblings` has all slices of each pool.

    Pools with devices that make their pods wait (binding conditions) come last, otherwise the order is by name.
    """
    found: dict[PoolId, list[Slice]] = {}
    for one in slices:
        if one.reaches(node, labels):
            found.setdefault(one.pool, []).append(one)
    pools = [pool for key in sorted(found) if (pool := _pool(key, found[key], list(siblings[key]))) is not None]
    return sorted(pools, key=lambda pool: any(device.doc.get("bindingConditions") for device in pool.devices))


def _pool(key: PoolId, reached: list[Slice], siblings: list[Slice]) -> Pool | None:
    """None when a newer generation has nothing for this node."""
    newest = max(one.generation for one in siblings)
    current = sorted((one for one in reached if one.generation == newest), key=lambda one: one.name)
    if not current:
        return None
    everything = [one for one in siblings if one.generation == newest]
    if len(everything) != current[0].count:
        return Pool(key, is_incomplete=True)
    devices = tuple(device for one in current for device in one.devices)
    here = {id(one) for one in current}
    elsewhere = tuple(device for one in everything if id(one) not in here for device in one.devices if device.consumes)
    counters = {name: counters for one in everything for name, counters in one.counters.items()}
    why = _contradiction(everything, devices, elsewhere, counters)
    return Pool(key, why_invalid=why) if why else Pool(key, devices, elsewhere, counters)


def _contradiction(
    everything: list[Slice], devices: tuple[Device, ...], elsewhere: tuple[Device, ...], counters: Counters
) -> str:
    """What makes a pool unusable, "" when nothing does."""
    seen: set[str] = set()
    for device in devices:
        if device.id.device in seen:
            return f"duplicate device name {device.id.device}"
        seen.add(device.id.device)
    names = [name for one in everything for name in one.counter_names]
    for index, name in enumerate(names):
        if name in names[:index]:
            return f"duplicate counter set name {name}"
    for device in (*devices, *elsewhere):
        for name, consumed in device.consumes.items():
            if name not in counters:
                return f"counter set {name} not found"
            for counter in consumed:
                if counter not in counters[name]:
                    return f"counter {counter} not found in counter set {name}"
    return ""
