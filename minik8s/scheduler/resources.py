"""What a pod asks for, in the scheduler's integers: cpu in thousandths of a core, all else in whole units.

A pod's demand is the larger of what its containers need together and what the hungriest moment of its init
containers needs (`component-helpers/resource`, PodRequests). Replicas write the same few texts, so the sum is cached
by the encoded resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import parse_quantity

Amounts = Mapping[str, int]
DEFAULT_CPU = 100
DEFAULT_MEMORY = 200 * 1024 * 1024
"""What scoring assumes of a container that requests nothing (util.DefaultMilliCPURequest, DefaultMemoryRequest)."""


def amounts(quantities: Mapping[str, Any] | None) -> dict[str, int]:
    """A resource list in the scheduler's integers."""
    return {name: amount(name, text) for name, text in (quantities or {}).items()}


def amount(name: str, text: Any) -> int:
    quantity = parse_quantity(text)
    return quantity.milli() if name == "cpu" else quantity.value()


def pod_amounts(spec: Doc) -> tuple[Amounts, int, int]:
    """All that a pod requests, and the cpu and memory that scoring assumes of it. Shared: do not change."""
    return _cached(
        orjson.dumps(
            [
                [c.get("resources") for c in spec.get("containers") or ()],
                [[c.get("resources"), c.get("restartPolicy")] for c in spec.get("initContainers") or ()],
                spec.get("overhead"),
                spec.get("resources"),
            ]
        )
    )


@lru_cache(maxsize=4096)
def _cached(key: bytes) -> tuple[Amounts, int, int]:
    containers, init_containers, overhead, pod_level = orjson.loads(key)
    mains = [_requests(resources) for resources in containers]
    inits = [(_requests(resources), policy == "Always") for resources, policy in init_containers]
    own = _requests(pod_level)
    extra = amounts(overhead)
    requests = _total(_combine(mains, inits) | own, extra)
    assumed = _combine(map(_assume, mains), [(_assume(r), sidecar) for r, sidecar in inits])
    assumed = _total({"cpu": assumed["cpu"], "memory": assumed["memory"]} | own, extra)
    return requests, assumed["cpu"], assumed["memory"]


def _requests(resources: Doc | None) -> dict[str, int]:
    return amounts((resources or {}).get("requests"))


def _assume(requests: dict[str, int]) -> dict[str, int]:
    return {"cpu": DEFAULT_CPU, "memory": DEFAULT_MEMORY} | requests


def _combine(mains: Iterable[dict[str, int]], inits: Iterable[tuple[dict[str, int], bool]]) -> dict[str, int]:
    """Containers and sidecars together, or one init container beside the sidecars started before it."""
    total: dict[str, int] = {}
    for requests in mains:
        total = _total(total, requests)
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for requests, is_sidecar in inits:
        moment = _total(sidecars, requests)
        if is_sidecar:
            sidecars = moment
            total = _total(total, requests)
        peak = {name: max(peak.get(name, 0), moment.get(name, 0)) for name in peak.keys() | moment.keys()}
    return {name: max(total.get(name, 0), peak.get(name, 0)) for name in total.keys() | peak.keys()}


def _total(left: Amounts, right: Amounts) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left.keys() | right.keys()}
