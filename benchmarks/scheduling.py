"""Decisions alone: what one pod costs on a large cluster, without an API server.

Plain pods, pods that are spread over zones, pods that keep away from each other, pods with the constraints that every
Deployment's pods get by default: their cost must stay flat as the cluster grows. And pods of which no two are alike to
the scheduler, the first ones of Deployments and those with a resource claim: each looks at as many nodes as upstream's
would, but at no others.
"""

from __future__ import annotations

import statistics
import time
from random import Random
from typing import Any

from benchmarks.report import Figure
from minik8s.machinery.selectors import LabelSelector
from minik8s.scheduler.binding import reserve
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Scheduling
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.plugins.podtopologyspread import HOSTNAME, PodTopologySpread
from minik8s.scheduler.plugins.registry import Tools, default_plugins
from minik8s.scheduler.profile import DEFAULT_SCHEDULER, Profile, Weighted

SIZES, PODS, RUNS, BUDGET = (1000, 5000), 1000, 3, 80
FIRSTS = 100
CLAIMS, DEVICES, DRIVER = 100, 8, "gpu.example.com"
ZONE = "topology.kubernetes.io/zone"
LABELS = {"matchLabels": {"app": "bench"}}
SPREAD = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": LABELS}
AWAY = [{"topologyKey": HOSTNAME, "labelSelector": LABELS}]
SHAPES: dict[str, dict[str, Any]] = {
    "plain pod": {},
    "pod spread over zones": {"topologySpreadConstraints": [SPREAD]},
    "pod away from its like": {
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": AWAY}}
    },
}


def measure() -> list[Figure]:
    figures = []
    for what, spec in SHAPES.items():
        for nodes in SIZES:
            figures.append(_figure(what, nodes, spec, _plugins()))
    selector = LabelSelector.from_object(LABELS)
    for nodes in SIZES:
        plugins = _plugins()
        spreading = Weighted(PodTopologySpread(lambda pod: selector), 2)
        plugins = [spreading if p.plugin.name == spreading.plugin.name else p for p in plugins]
        figures.append(_figure("pod of a Deployment", nodes, {}, plugins))
    for nodes in SIZES:
        cost = statistics.median(_run_firsts(nodes) for _ in range(RUNS))
        figures.append(Figure(f"first pod of a Deployment, {nodes} nodes", cost * 1e6, "us"))
    for nodes in SIZES:
        cost = statistics.median(_run_claims(nodes) for _ in range(RUNS))
        figures.append(Figure(f"pod with a claim, {nodes} nodes of {DEVICES} devices", cost * 1e6, "us"))
    return figures


def _plugins() -> list[Weighted]:
    """The default profile, as far as it can decide without volumes."""
    return default_plugins(Tools(devices=Inventory()))


def _figure(what: str, nodes: int, spec: dict[str, Any], plugins: list[Weighted]) -> Figure:
    cost = statistics.median(_run(nodes, spec, plugins) for _ in range(RUNS))
    return Figure(f"{what}, {nodes} nodes", cost * 1e6, "us", BUDGET, note=f"{1 / cost:,.0f} pods per CPU second")


def _run(nodes: int, spec: dict[str, Any], plugins: list[Weighted]) -> float:
    """CPU seconds per pod, each with a decision and its assumption."""
    cache = Cache()
    for number in range(nodes):
        cache.set_node(_node(f"node-{number}", zone=f"zone-{number % 3}"))
    scheduling = Scheduling(Profile(DEFAULT_SCHEDULER, plugins), cache, Random(1))
    waiting = [PodInfo(_pod(f"pod-{number}", spec)) for number in range(PODS)]
    start = time.process_time()
    for pod in waiting:
        decision = scheduling.decide(pod)
        assert isinstance(decision, Decision)
        cache.assume(pod, decision.node)
    return (time.process_time() - start) / PODS


def _run_firsts(nodes: int) -> float:
    """The same for Deployments of one pod, each with a name of its own, on nodes that have pods already."""
    cache = Cache()
    for number in range(nodes):
        cache.set_node(_node(f"node-{number}", zone=f"zone-{number % 3}"))
        old = _pod(f"old-{number}", {"nodeName": f"node-{number}"})
        cache.set_pod({**old, "metadata": {**old["metadata"], "labels": {"app": f"old-{number % 50}"}}})
    spreading = Weighted(PodTopologySpread(lambda pod: LabelSelector.from_map(pod.labels)), 2)
    plugins = [spreading if p.plugin.name == spreading.plugin.name else p for p in _plugins()]
    scheduling = Scheduling(Profile(DEFAULT_SCHEDULER, plugins), cache, Random(1))
    start = time.process_time()
    for number in range(FIRSTS):
        pod = _pod(f"pod-{number}", {})
        info = PodInfo({**pod, "metadata": {**pod["metadata"], "labels": {"app": f"app-{number}"}}})
        decision = scheduling.decide(info)
        assert isinstance(decision, Decision)
        cache.assume(info, decision.node)
    return (time.process_time() - start) / FIRSTS


def _run_claims(nodes: int) -> float:
    """The same for pods that want one of the devices that every node has."""
    cache, inventory = Cache(), Inventory()
    inventory.set_class(None, {"metadata": {"name": "gpu"}, "spec": {}})
    for number in range(nodes):
        cache.set_node(_node(f"node-{number}", zone=f"zone-{number % 3}"))
        inventory.set_slice(None, _slice(f"node-{number}"))
    for number in range(CLAIMS):
        inventory.set_claim(None, _claim(f"claim-{number}"))
    profile = Profile(DEFAULT_SCHEDULER, default_plugins(Tools(devices=inventory)))
    scheduling = Scheduling(profile, cache, Random(1))
    start = time.process_time()
    for number in range(CLAIMS):
        pod = PodInfo(
            _pod(f"pod-{number}", {"resourceClaims": [{"name": "g", "resourceClaimName": f"claim-{number}"}]})
        )
        decision = scheduling.decide(pod)
        assert isinstance(decision, Decision)
        cache.assume(pod, decision.node)
        assert reserve(profile, pod, decision, {}) is None
    return (time.process_time() - start) / CLAIMS


def _slice(node: str) -> dict[str, Any]:
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    devices = [{"name": f"gpu-{i}", "attributes": {"model": {"string": "a"}}} for i in range(DEVICES)]
    return {"metadata": {"name": node}, "spec": {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": devices}}


def _claim(name: str) -> dict[str, Any]:
    selector = {"cel": {"expression": f'device.attributes["{DRIVER}"].model == "a"'}}
    request = {"name": "r", "exactly": {"deviceClassName": "gpu", "selectors": [selector]}}
    metadata = {"name": name, "namespace": "default", "uid": name, "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"devices": {"requests": [request]}}}


def _node(name: str, *, zone: str) -> dict[str, Any]:
    labels = {HOSTNAME: name, ZONE: zone}
    status = {"allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}}
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}


def _pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": {"app": "bench"}}
    container = {"name": "main", "image": "nginx:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}, "status": {"phase": "Pending"}}
