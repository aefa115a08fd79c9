"""What a pod asks for, in the scheduler's integers, and what scoring assumes of it.

The rules are those of `api.pods`. Replicas write the same few texts, so results are cached by the encoded resources.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from minik8s.api.pods import in_units, pod_requests, quantities, raise_to
from minik8s.machinery.meta import Doc, find_condition
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


def resizes(pod: Doc) -> bool:
    """Whether an in-place resize is under way: some container has other resources than its spec asks for."""
    return bool(pod.get("status")) and effective_spec(pod) is not pod.get("spec")


def effective_spec(pod: Doc) -> Doc:
    """The pod's spec, with the requests of each container raised to what it was allocated and what it still has.

    Until a resize has been carried out, both figures count (helpers.go, UseStatusResources); one that the kubelet
    calls infeasible does not count at all. The same object while nothing is being resized.
    """
    spec: Doc = pod.get("spec") or {}
    status = pod.get("status") or {}
    changed: dict[str, Any] = {}
    for field, statuses in (("containers", "containerStatuses"), ("initContainers", "initContainerStatuses")):
        known = {c.get("name"): c for c in status.get(statuses) or () if "allocatedResources" in c or "resources" in c}
        if not known:
            continue
        containers = [_effective(c, known.get(c["name"]), pod) for c in spec.get(field) or ()]
        if any(new is not old for new, old in zip(containers, spec.get(field) or (), strict=True)):
            changed[field] = containers
    return {**spec, **changed} if changed else spec


def _effective(container: Doc, status: Doc | None, pod: Doc) -> Doc:
    if status is None:
        return container
    asked = (container.get("resources") or {}).get("requests") or {}
    allocated = status.get("allocatedResources") or asked
    actual = (status.get("resources") or {}).get("requests") or asked
    if asked == allocated == actual:
        return container
    pending = find_condition((pod.get("status") or {}).get("conditions"), "PodResizePending")
    total = quantities(actual)
    raise_to(total, quantities(allocated))
    if pending is None or pending.get("reason") != "Infeasible":
        raise_to(total, quantities(asked))
    if total == quantities(asked):
        return container
    requests = {name: str(amount) for name, amount in total.items()}
    return {**container, "resources": {**(container.get("resources") or {}), "requests": requests}}
