"""How many replicas a metric asks for: usage over target, with care for pods that are not ready or say nothing.

Pure. Upstream: `pkg/controller/podautoscaler/replica_calculator.go`, whose texts these are. Amounts are milli-units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import attrs

from minik8s.api.pods import pod_requests
from minik8s.machinery.meta import Doc, find_condition, is_condition_true, is_terminating, name_of, parse_time
from minik8s.machinery.quantity import parse_quantity

TOLERANCE = 0.1
CPU_INITIALIZATION = timedelta(minutes=5)
READINESS_DELAY = timedelta(seconds=30)
"""Defaults of --horizontal-pod-autoscaler-{tolerance,cpu-initialization-period,initial-readiness-delay}."""


class NoReplicaCount(Exception):
    """A metric says nothing: the text is what the condition shows."""


@attrs.frozen
class PodMetric:
    """What a pod used, measured up to `timestamp` over `window`."""

    value: int
    timestamp: datetime
    window: timedelta


@attrs.frozen
class Tolerance:
    """How far usage may be off target, as a ratio, before anything is done."""

    down: float = TOLERANCE
    up: float = TOLERANCE

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@attrs.frozen
class Groups:
    """The pods of a target by what can be made of them; `ready` counts, the others are names."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


@attrs.frozen
class Proposal:
    """`replicas` wanted; `utilization` in percent of the requests, None where that has no meaning; `average` a pod."""

    replicas: int
    average: int
    utilization: int | None = None


def group_pods(pods: Iterable[Doc], metrics: Mapping[str, PodMetric], resource: str, now: datetime) -> Groups:
    """Sorts the pods. A pod that is starting counts only once its metric is of a time when it was ready."""
    ready = 0
    unready, missing, ignored = set(), set(), set()
    for pod in pods:
        name, phase = name_of(pod), (pod.get("status") or {}).get("phase")
        if is_terminating(pod) or phase == "Failed":
            ignored.add(name)
        elif phase == "Pending":
            unready.add(name)
        elif name not in metrics:
            missing.add(name)
        elif resource == "cpu" and _is_starting(pod, metrics[name], now):
            unready.add(name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def _is_starting(pod: Doc, metric: PodMetric, now: datetime) -> bool:
    status = pod.get("status") or {}
    condition, started = find_condition(status.get("conditions"), "Ready"), status.get("startTime")
    if condition is None or not started:
        return True
    since, began = parse_time(condition.get("lastTransitionTime") or started), parse_time(started)
    if began + CPU_INITIALIZATION > now:
        return condition["status"] == "False" or metric.timestamp < since + metric.window
    return condition["status"] == "False" and began + READINESS_DELAY > since


def requests_of(pods: Iterable[Doc], resource: str, container: str = "") -> dict[str, int]:
    """What each pod requests of a resource: itself, or its containers together, or one. Raises NoReplicaCount."""
    requests: dict[str, int] = {}
    for pod in pods:
        if not container and (pod["spec"].get("resources") or {}).get("requests"):
            requests[name_of(pod)] = _of_the_whole(pod, resource)
            continue
        total, found = 0, False
        for part in _long_running(pod):
            if container and part["name"] != container:
                continue
            found = True
            amount = ((part.get("resources") or {}).get("requests") or {}).get(resource)
            if amount is None:
                raise NoReplicaCount(
                    f"missing request for {resource} in container {part['name']} of Pod {name_of(pod)}"
                )
            total += parse_quantity(amount).milli()
        if container and not found:
            raise NoReplicaCount(f"container {container} not found in Pod {name_of(pod)}")
        requests[name_of(pod)] = total
    return requests


def _of_the_whole(pod: Doc, resource: str) -> int:
    """Of a pod with requests of its own."""
    amount = pod_requests(pod).get(resource)
    if amount is None:
        raise NoReplicaCount(f"missing pod-level request for {resource} in Pod {name_of(pod)}")
    return amount.milli()


def _long_running(pod: Doc) -> list[Doc]:
    """The containers that live as long as the pod: regular ones and sidecars."""
    spec = pod["spec"]
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *sidecars]


@attrs.frozen
class Measure:
    """One metric of one target, as it was read."""

    pods: Sequence[Doc]
    metrics: Mapping[str, PodMetric]
    resource: str
    current: int
    tolerance: Tolerance
    now: datetime
    container: str = ""


def by_utilization(measure: Measure, target: int) -> Proposal:
    """For a share of the requests, `target` in percent. Raises NoReplicaCount."""
    groups = _groups(measure)
    values = _values(measure, groups)
    requests = requests_of(measure.pods, measure.resource, measure.container)
    ratio, utilization, average = _utilization(values, requests, target)
    wanted = _settle(
        measure,
        groups,
        values,
        ratio,
        fallback={name: requests[name] * max(100, target) // 100 for name in groups.missing},
        again=lambda filled: _utilization(filled, requests, target)[0],
    )
    return Proposal(wanted, average, utilization)


def by_average(measure: Measure, target: int) -> Proposal:
    """For an amount a pod, `target` in milli-units. Raises NoReplicaCount."""
    groups = _groups(measure)
    values = _values(measure, groups)
    average = sum(values.values()) // len(values)
    wanted = _settle(
        measure,
        groups,
        values,
        average / target,
        fallback=dict.fromkeys(groups.missing, target),
        again=lambda filled: sum(filled.values()) / len(filled) / target,
    )
    return Proposal(wanted, average)


def by_value(pods: Sequence[Doc], value: int, target: int, current: int, tolerance: Tolerance) -> Proposal:
    """For one amount that all pods share the cause of; scales from and to zero. Raises NoReplicaCount."""
    ratio = value / target
    if current == 0:
        return Proposal(math.ceil(ratio), value)
    if tolerance.covers(ratio):
        return Proposal(current, value)
    if not pods:
        why = "no pods returned by selector while calculating replica count"
        raise NoReplicaCount(f"unable to calculate ready pods: {why}")
    ready = sum((pod.get("status") or {}).get("phase") == "Running" and is_condition_true(pod, "Ready") for pod in pods)
    return Proposal(math.ceil(ratio * ready), value)


def by_share(value: int, target: int, present: int, tolerance: Tolerance) -> Proposal:
    """For one amount that is divided among the `present` pods; `target` is each one's part."""
    if present == 0:
        return Proposal(math.ceil(value / target), value)
    wanted = present if tolerance.covers(value / (target * present)) else math.ceil(value / target)
    return Proposal(wanted, math.ceil(value / present))


def _groups(measure: Measure) -> Groups:
    if not measure.pods:
        raise NoReplicaCount("no pods returned by selector while calculating replica count")
    return group_pods(measure.pods, measure.metrics, measure.resource, measure.now)


def _values(measure: Measure, groups: Groups) -> dict[str, int]:
    """The metrics of the pods that count."""
    left_out = groups.ignored | groups.unready
    names = {name_of(pod) for pod in measure.pods}
    values = {n: m.value for n, m in measure.metrics.items() if n in names and n not in left_out}
    if not values:
        raise NoReplicaCount("did not receive metrics for targeted pods (pods might be unready)")
    return values


def _utilization(values: Mapping[str, int], requests: Mapping[str, int], target: int) -> tuple[float, int, int]:
    """(ratio to target, percent of the requests, average usage)."""
    requested = sum(requests.get(name, 0) for name in values)
    if not requested:
        raise NoReplicaCount("no metrics returned matched known pods")
    used = sum(values.values())
    percent = used * 100 // requested
    return percent / target, percent, used // len(values)


def _settle(
    measure: Measure,
    groups: Groups,
    values: Mapping[str, int],
    ratio: float,
    *,
    fallback: Mapping[str, int],
    again: Callable[[Mapping[str, int]], float],
) -> int:
    """The replicas for a ratio; pods without a metric are given the value that makes the change smaller."""
    current = measure.current
    more_soon = bool(groups.unready) and ratio > 1.0
    if not more_soon and not groups.missing:
        return current if measure.tolerance.covers(ratio) else math.ceil(ratio * groups.ready)
    filled = dict(values)
    if ratio < 1.0:
        filled.update(fallback)
    elif ratio > 1.0:
        filled.update(dict.fromkeys(groups.missing, 0))
    if more_soon:
        filled.update(dict.fromkeys(groups.unready, 0))
    changed = again(filled)
    crossed = (ratio < 1.0 < changed) or (changed < 1.0 < ratio)
    if measure.tolerance.covers(changed) or crossed:
        return current
    wanted = math.ceil(changed * len(filled))
    against = (changed < 1.0 and wanted > current) or (changed > 1.0 and wanted < current)
    return current if against else wanted
