"""Reading a Pod: what it asks for, which service class it is in, whether it is ready or over.

The scheduler, the kubelet, quota and several controllers ask the same questions and must get the same answers, so
the rules stand here once. Upstream: k8s.io/component-helpers `resource`, pkg/apis/core/v1/helper/qos.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal

from minik8s.machinery.meta import Doc, Obj, is_condition_true, rfc3339
from minik8s.machinery.quantity import Quantity, parse_quantity

QOSClass = Literal["Guaranteed", "Burstable", "BestEffort"]
ResourceAmounts = dict[str, Quantity]

HostPort = tuple[str, str, int]
"""(protocol, host IP, port); the IP ANY_ADDRESS is every address of the node."""

ANY_ADDRESS = "0.0.0.0"
TERMINAL = ("Succeeded", "Failed")
"""The phases that a pod never leaves."""
_NOTHING: Mapping[str, Quantity] = {}
_QOS_RESOURCES = ("cpu", "memory")
_POD_LEVEL = ("cpu", "memory")
_HUGEPAGES = "hugepages-"


def phase_of(pod: Doc) -> str:
    """The pod's phase, "" while it has none."""
    return (pod.get("status") or {}).get("phase") or ""


def is_pod_ready(pod: Doc) -> bool:
    """Whether the condition Ready is True."""
    return is_condition_true(pod, "Ready")


def is_terminal(pod: Doc) -> bool:
    """Whether the pod has ended for good: phase Succeeded or Failed."""
    return phase_of(pod) in TERMINAL


def is_sidecar(container: Doc) -> bool:
    """Whether an init container keeps running beside the app containers (restartPolicy Always)."""
    return container.get("restartPolicy") == "Always"


def host_ports(spec: Doc) -> tuple[HostPort, ...]:
    """Every port that a pod of this spec occupies on its node."""
    return tuple(
        (port.get("protocol") or "TCP", port.get("hostIP") or ANY_ADDRESS, port["hostPort"])
        for container in running_containers(spec)
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def ports_collide(left: HostPort, right: HostPort) -> bool:
    """Whether two host ports cannot be held at once."""
    if left[0] != right[0] or left[2] != right[2]:
        return False
    return left[1] == right[1] or ANY_ADDRESS in (left[1], right[1])


def disruption_target(reason: str, message: str, now: datetime) -> Obj:
    """The condition DisruptionTarget, which tells Jobs that the pod's failure was not its own."""
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": rfc3339(now),
    }


def running_containers(spec: Doc) -> Iterator[Mapping[str, Any]]:
    """Containers that run at the same time: sidecars, then app containers."""
    yield from filter(is_sidecar, spec.get("initContainers") or ())
    yield from spec.get("containers") or ()


def pod_requests(pod: Doc, assumed: Mapping[str, Quantity] = _NOTHING) -> ResourceAmounts:
    """What the pod needs on a node, by resource: containers and sidecars side by side, or the largest init
    container with the sidecars started before it, or the pod's own figure; plus the runtime's overhead.

    `assumed` is for containers that request none of a resource (upstream's NonMissingContainerRequests).
    """
    return _pod_resources(pod["spec"], "requests", assumed)


def pod_limits(pod: Doc) -> ResourceAmounts:
    """The pod's limits by the same rules; overhead counts only where there is a limit."""
    return _pod_resources(pod["spec"], "limits")


def container_amounts(container: Doc, part: Literal["requests", "limits"]) -> ResourceAmounts:
    """A container's requests or limits as quantities."""
    return quantities((container.get("resources") or {}).get(part))


def memory_limit(resources: Mapping[str, Any]) -> int | None:
    """How many bytes a container or pod may hold, None for no limit."""
    listed = (resources.get("limits") or {}).get("memory")
    return None if listed is None else parse_quantity(listed).value()


def quantities(listed: Mapping[str, Any] | None) -> ResourceAmounts:
    """A resource list, parsed."""
    return {name: parse_quantity(amount) for name, amount in (listed or {}).items()}


def in_units(amounts: Mapping[str, Quantity]) -> dict[str, int]:
    """Amounts as the scheduler and the kubelet count them: cpu in thousandths of a core, all else in whole units."""
    return {name: amount.milli() if name == "cpu" else amount.value() for name, amount in amounts.items()}


def container_totals(
    spec: Doc, part: Literal["requests", "limits"], assumed: Mapping[str, Quantity] = _NOTHING
) -> ResourceAmounts:
    """What all containers of a pod spec need together, without pod-level figures and overhead."""
    total: ResourceAmounts = {}
    for container in spec.get("containers") or ():
        add(total, {**assumed, **container_amounts(container, part)})
    sidecars: ResourceAmounts = {}
    peak: ResourceAmounts = {}
    for container in spec.get("initContainers") or ():
        amounts = {**assumed, **container_amounts(container, part)}
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


def _pod_resources(
    spec: Doc, part: Literal["requests", "limits"], assumed: Mapping[str, Quantity] = _NOTHING
) -> ResourceAmounts:
    total = container_totals(spec, part, assumed)
    if spec.get("resources"):
        for name, amount in container_amounts(spec, part).items():
            if name in _POD_LEVEL or name.startswith(_HUGEPAGES):
                total[name] = amount
    overhead = quantities(spec.get("overhead"))
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
