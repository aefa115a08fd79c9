"""What a pod asks for, in the scheduler's integers, and what scoring assumes of it.

The rules are those of `api.pods`. Replicas write the same few texts, so results are cached by the encoded resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from minik8s.api.pods import in_units, pod_requests, quantities
from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import parse_quantity

Amounts = Mapping[str, int]
"""Resource name -> cpu in thousandths of a core, everything else in whole units."""
ASSUMED = {"cpu": parse_quantity("100m"), "memory": parse_quantity("200Mi")}
"""What scoring assumes of a container that requests none (util.DefaultMilliCPURequest, DefaultMemoryRequest)."""


def amounts(listed: Mapping[str, Any] | None) -> Amounts:
    """A resource list in the scheduler's integers."""
    return in_units(quantities(listed))


def pod_amounts(spec: Doc) -> tuple[Amounts, int, int]:
    """All that a pod requests, and the cpu and memory that scoring assumes of it. Shared: do not change."""
    return _cached(
        orjson.dumps(
            {
                "containers": [{"resources": c.get("resources")} for c in spec.get("containers") or ()],
                "initContainers": [
                    {"resources": c.get("resources"), "restartPolicy": c.get("restartPolicy")}
                    for c in spec.get("initContainers") or ()
                ],
                "overhead": spec.get("overhead"),
                "resources": spec.get("resources"),
            }
        )
    )


@lru_cache(maxsize=4096)
def _cached(spec: bytes) -> tuple[Amounts, int, int]:
    pod = {"spec": orjson.loads(spec)}
    assumed = in_units(pod_requests(pod, ASSUMED))
    return in_units(pod_requests(pod)), assumed.get("cpu", 0), assumed.get("memory", 0)
