"""Warm-up: a server that has just started is slow for reasons that are not its own, and figures of it would be too.

Small writes and reads of ConfigMaps in a namespace of their own, in batches, until the medians of two batches in a row
agree. A cluster that never gets there is no place to measure, and the run says so instead of printing a figure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from minik8s.api.resources import CONFIG_MAPS, NAMESPACES
from minik8s.bench.histogram import Histogram
from minik8s.bench.scenario import WarmUp
from minik8s.bench.world import REAL, World


class NotWarm(Exception):
    """The latency of small requests did not come to rest."""


async def warm_up(wanted: WarmUp, world: World) -> dict[str, Any]:
    """Warms the cluster up; answers the medians of the batches, in seconds. Raises NotWarm, ApiError, OSError."""
    namespace = f"{world.prefix}-warm-up"
    world.progress.step("warming up", 0)
    await world.plain.create(NAMESPACES, {"metadata": {"name": namespace}})
    world.namespaces.add(namespace)
    medians: list[float] = []
    while not is_steady(medians, wanted.tolerance):
        if len(medians) >= wanted.attempts:
            raise NotWarm(
                f"the median of {wanted.requests} small requests went on changing by more than "
                f"{wanted.tolerance:.0%} from batch to batch for {wanted.attempts} batches "
                f"(last: {', '.join(f'{median * 1e3:.2f} ms' for median in medians[-3:])})"
            )
        medians.append(await _batch(wanted.requests, world, namespace))
        world.progress.say(f"median {medians[-1] * 1e3:.2f} ms")
    await world.plain.delete(NAMESPACES, namespace)
    return {"batches": len(medians), "requests": wanted.requests, "medians": medians}


def is_steady(medians: list[float], tolerance: float) -> bool:
    """Whether the last two agree; three are the least, because the first is of a cold start."""
    last = list(pairwise(medians))[-1:] if len(medians) >= 3 else []
    return any(abs(one - other) <= tolerance * min(one, other) for one, other in last)


async def _batch(count: int, world: World, namespace: str) -> float:
    latency, client = Histogram(), world.plain
    for index in range(max(1, count // 3)):
        name = f"warm-{index}"
        for call in (
            lambda name=name: client.create(CONFIG_MAPS, {"metadata": {"name": name}}, namespace=namespace),
            lambda name=name: client.get(CONFIG_MAPS, name, namespace=namespace),
            lambda name=name: client.delete(CONFIG_MAPS, name, namespace=namespace),
        ):
            began = REAL.monotonic()
            await call()
            latency.record(REAL.monotonic() - began)
    return latency.percentile(50)
