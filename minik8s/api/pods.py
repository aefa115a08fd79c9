"""Reading a Pod: what it asks for, which service class it is in, whether it is ready or over.

The scheduler, the kubelet, quota and several controllers ask the same questions and must get the same answers, so
the rules stand here once. Upstream: k8s.io/component-helpers `resource`, pkg/apis/core/v1/helper/qos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from minik8s.machinery.meta import Doc, is_condition_true
from minik8s.machinery.quantity import Quantity, parse_quantity

QOSClass = Literal["Guaranteed", "Burstable", "BestEffort"]
ResourceAmounts = dict[str, Quantity]

_QOS_RESOURCES = ("cpu", "memory")
_POD_LEVEL = ("cpu", "memory")
_HUGEPAGES = "hugepages-"


def is_pod_ready(pod: Doc) -> bool:
    """Whether the condition Ready is True."""
    return is_condition_true(pod, "Ready")


def is_terminal(pod: Doc) -> bool:
    """Whether the pod has ended for good: phase Succeeded or Failed."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_sidecar(container: Doc) -> bool:
    """Whether an init container keeps running beside the app containers (restartPolicy Always)."""
    return container.get("restartPolicy") == "Always"


def host_ports(pod: Doc) -> list[tuple[str, str, int]]:
    """(host IP, protocol, port) of every port the pod occupies on its node; the IP is "" for all addresses."""
    return [
        (port.get("hostIP") or "", port.get("protocol") or "TCP", port["hostPort"])
        for container in running_containers(pod["spec"])
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def running_containers(spec: Doc) -> Iterator[Mapping[str, Any]]:
    """Containers that run at the same time: sidecars, then app containers."""
    yield from filter(is_sidecar, spec.get("initContainers") or ())
    yield from spec.get("containers") or ()


def pod_requests(pod: Doc) -> ResourceAmounts:
    """What the pod needs on a node, by resource: containers and sidecars side by side, or the largest init
    container with the sidecars started before it, or the pod's own figure; plus the runtime's overhead."""
    return _pod_resources(pod["spec"], "requests")


def pod_limits(pod: Doc) -> ResourceAmounts:
    """The pod's limits by the same rules; overhead counts only where there is a limit."""
    return _pod_resources(pod["spec"], "limits")


def container_amounts(container: Doc, part: Literal["requests", "limits"]) -> ResourceAmounts:
    """A container's requests or limits as quantities."""
    listed = (container.get("resources") or {}).get(part) or {}
    return {name: parse_quantity(amount) for name, amount in listed.items()}


def container_totals(spec: Doc, part: Literal["requests", "limits"]) -> ResourceAmounts:
    """What all containers of a pod spec need together, without pod-level figures and overhead."""
    total: ResourceAmounts = {}
    for container in spec.get("containers") or ():
        add(total, container_amounts(container, part))
    sidecars: ResourceAmounts = {}
    peak: ResourceAmounts = {}
    for container in spec.get("initContainers") or ():
        amounts = container_amounts(container, part)
        if is_sidecar(container):
            add(total, amounts)
            add(sidecars, amounts)
            raise_to(peak, sidecars)
        else:
            add(amounts, sidecars)
            raise_to(peak, amounts)
    raise_to(total, peak)
    return total


def add(total: ResourceAmounts, more: Mapping[str, Quantity]) -> None:
    """Adds `more` to `total`, resource by resource."""
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def raise_to(total: ResourceAmounts, floor: Mapping[str, Quantity]) -> None:
    """Raises each resource of `total` to at least its amount in `floor`."""
    for name, amount in floor.items():
        if name not in total or total[name] < amount:
            total[name] = amount


def _pod_resources(spec: Doc, part: Literal["requests", "limits"]) -> ResourceAmounts:
    total = container_totals(spec, part)
    if spec.get("resources"):
        for name, amount in container_amounts(spec, part).items():
            if name in _POD_LEVEL or name.startswith(_HUGEPAGES):
                total[name] = amount
    overhead = {name: parse_quantity(amount) for name, amount in (spec.get("overhead") or {}).items()}
    if part == "limits":
        overhead = {name: amount for name, amount in overhead.items() if total.get(name)}
    add(total, overhead)
    return total


def qos_class(pod: Doc) -> QOSClass:
    """The service class that a pod's cpu and memory figures put it in."""
    spec = pod["spec"]
    sources = (
        [spec] if spec.get("resources") else [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    )
    requests: ResourceAmounts = {}
    limits: ResourceAmounts = {}
    all_limited = True
    for source in sources:
        limited = _qos_amounts(source, "limits")
        all_limited = all_limited and len(limited) == len(_QOS_RESOURCES)
        add(limits, limited)
        add(requests, _qos_amounts(source, "requests"))
    if not requests and not limits:
        return "BestEffort"
    return "Guaranteed" if all_limited and requests == limits else "Burstable"


def _qos_amounts(source: Doc, part: Literal["requests", "limits"]) -> ResourceAmounts:
    listed = (source.get("resources") or {}).get(part)
    if not listed:
        return {}
    amounts = {name: parse_quantity(listed[name]) for name in _QOS_RESOURCES if name in listed}
    return {name: amount for name, amount in amounts.items() if amount}
