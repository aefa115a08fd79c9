"""One scheduling decision on a large cluster: CPU per pod, without the writes that carry it out."""

from __future__ import annotations

import statistics
import time
from random import Random
from typing import Any

from benchmarks.report import Figure
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Scheduling
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.defaults import default_plugins
from minik8s.scheduler.profile import DEFAULT_SCHEDULER, Profile

NODES, PODS, RUNS = 5000, 2000, 5
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}


def measure() -> list[Figure]:
    alike = statistics.median(_run({}) for _ in range(RUNS))
    spread = {"topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": {"app": "bench"}}}]}
    scratch = statistics.median(_run(spread, pods=20) for _ in range(RUNS))
    return [
        Figure(f"schedule one pod on {NODES} nodes", alike * 1e6, "us", 80),
        Figure(f"the same with a topology spread over {NODES} nodes", scratch * 1e6, "us", note="decided from scratch"),
    ]


def _run(spec: dict[str, Any], pods: int = PODS) -> float:
    """CPU seconds per pod, each with a decision and its assumption."""
    cache = Cache()
    for number in range(NODES):
        cache.set_node(_node(f"node-{number}", zone=f"zone-{number % 3}"))
    scheduling = Scheduling(Profile(DEFAULT_SCHEDULER, default_plugins()), cache, Random(1))
    waiting = [PodInfo(_pod(f"pod-{number}", spec)) for number in range(pods)]
    start = time.process_time()
    for pod in waiting:
        decision = scheduling.decide(pod)
        assert isinstance(decision, Decision)
        cache.assume(pod, decision.node)
    return (time.process_time() - start) / pods


def _node(name: str, *, zone: str) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, "zone": zone}
    status = {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}}
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}


def _pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": {"app": "bench"}}
    container = {"name": "main", "image": "nginx:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}, "status": {"phase": "Pending"}}
