"""metrics.k8s.io: what nodes and pods use now. Nothing of it is stored; it is measured when somebody asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from minik8s.api.resource import Resource
from minik8s.machinery.meta import Obj, rfc3339
from minik8s.machinery.quantity import Quantity

if TYPE_CHECKING:
    from minik8s.api import types

GROUP_VERSION = "metrics.k8s.io/v1beta1"
NODE_METRICS: Resource[types.NodeMetrics] = Resource(
    "metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", False, verbs=("get", "list"), singular=""
)
POD_METRICS: Resource[types.PodMetrics] = Resource(
    "metrics.k8s.io", "v1beta1", "pods", "PodMetrics", True, verbs=("get", "list"), singular=""
)
METRICS = (NODE_METRICS, POD_METRICS)


@attrs.frozen
class ContainerUsage:
    """What a container uses: cores on average over the `window` (seconds) that ended `at`, and bytes of memory."""

    cores: float
    memory: int
    at: datetime
    window: float


def usage_of(cores: float, memory: int) -> Obj:
    """`{"cpu": "1500000n", "memory": "2048Ki"}`, in the units of a metrics server."""
    return {"cpu": str(Quantity(round(cores * 1_000_000_000))), "memory": f"{memory // 1024}Ki"}


def pod_metrics(name: str, namespace: str, labels: Mapping[str, str], usages: Mapping[str, ContainerUsage]) -> Obj:
    """A PodMetrics object; `usages` by container name, at least one."""
    latest = max(usages.values(), key=lambda usage: usage.at)
    return {
        "kind": POD_METRICS.kind,
        "apiVersion": GROUP_VERSION,
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": rfc3339(latest.at), "labels": labels},
        "timestamp": rfc3339(latest.at),
        "window": f"{latest.window:.3f}s",
        "containers": [{"name": n, "usage": usage_of(u.cores, u.memory)} for n, u in sorted(usages.items())],
    }


def node_metrics(name: str, labels: Mapping[str, str], usages: Sequence[ContainerUsage], at: datetime) -> Obj:
    """A NodeMetrics object: the sum of what runs there."""
    window = max((usage.window for usage in usages), default=0.0)
    return {
        "kind": NODE_METRICS.kind,
        "apiVersion": GROUP_VERSION,
        "metadata": {"name": name, "creationTimestamp": rfc3339(at), "labels": labels},
        "timestamp": rfc3339(at),
        "window": f"{window:.3f}s",
        "usage": usage_of(sum(usage.cores for usage in usages), sum(usage.memory for usage in usages)),
    }
