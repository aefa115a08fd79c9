"""One pass of a HorizontalPodAutoscaler as a pure function: what its metrics propose, what its limits let through, and
what its status says about both.

Upstream: `pkg/controller/podautoscaler/horizontal.go` (reconcileAutoscaler).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import attrs

from minik8s.controllers.horizontal_limits import Memory, ScaleEvent, normalize
from minik8s.machinery.meta import Doc, Obj, rfc3339, set_condition

ABOVE_MAXIMUM = "Current number of replicas above Spec.MaxReplicas"
BELOW_MINIMUM = "Current number of replicas below Spec.MinReplicas"
ALL_BELOW = "All metrics below target"
DISABLED = "scaling is disabled since the replica count of the target is zero"
_REFUSED = "FailedUpdateScale"
GOT_SCALE = "the HPA controller was able to get the target's current scale"
Status = Literal["True", "False"]


@attrs.frozen
class Reading:
    """One metric of the spec, read: the replicas it asks for, its name for people, and its entry in the status."""

    replicas: int
    title: str
    status: Obj


@attrs.frozen
class Failure:
    """One metric that could not be read: `reason` and `message` of condition and event.

    `error` is the same with more about the metric, for the event about all of them; `event` another reason for it.
    """

    reason: str
    message: str
    error: str = attrs.field()
    event: str = ""

    @error.default
    def _error(self) -> str:
        return self.message


@attrs.frozen
class Condition:
    type: str
    status: Status
    reason: str
    message: str

    def on(self, conditions: Sequence[Doc] | None, now: datetime) -> list[Obj]:
        """The list with this condition in it."""
        new = {"type": self.type, "status": self.status, "reason": self.reason, "message": self.message}
        return set_condition(conditions, new, rfc3339(now))


@attrs.frozen
class Pass:
    """What follows from one look at a target.

    replicas    to be written to the scale, when `rescale` is set; else the present number
    reason      why, as the event says it
    metrics     what the status says of each metric of the spec, in its order: nothing of one that could not be read
    failed      no metric could be read, or one that may speak against scaling down: nothing is done
    silent      all that could not be read, each of which is reported
    """

    replicas: int
    conditions: tuple[Condition, ...]
    rescale: bool = False
    reason: str = ""
    metrics: tuple[Obj, ...] = ()
    failed: Failure | None = None
    silent: tuple[Failure, ...] = ()


def enabled(spec: Doc, current: int) -> Pass | None:
    """What is clear without any metric: a target that is switched off, or outside the bounds. None: ask the metrics."""
    got = Condition("AbleToScale", "True", "SucceededGetScale", GOT_SCALE)
    minimum, maximum = spec.get("minReplicas", 1), spec["maxReplicas"]
    if current == 0 and minimum != 0:
        return Pass(0, (got, Condition("ScalingActive", "False", "ScalingDisabled", DISABLED)))
    if current > maximum:
        return Pass(maximum, (got,), rescale=True, reason=ABOVE_MAXIMUM)
    if current < minimum:
        return Pass(minimum, (got,), rescale=True, reason=BELOW_MINIMUM)
    return None


def decide(spec: Doc, current: int, readings: Sequence[Reading | Failure], memory: Memory, now: datetime) -> Pass:
    """What the metrics make of it: the largest proposal counts, and no one scales down past a metric that is silent."""
    got = Condition("AbleToScale", "True", "SucceededGetScale", GOT_SCALE)
    read = [reading for reading in readings if isinstance(reading, Reading)]
    failures = [reading for reading in readings if isinstance(reading, Failure)]
    statuses = tuple(reading.status if isinstance(reading, Reading) else {"type": ""} for reading in readings)
    best = max(read, key=lambda reading: reading.replicas, default=None)
    if best is None or (failures and best.replicas < current):
        failed = failures[0]
        text = f"the HPA was unable to compute the replica count: {failed.message}"
        inactive = Condition("ScalingActive", "False", failed.reason, text)
        return Pass(current, (got, inactive), metrics=statuses, failed=failed, silent=tuple(failures))
    active = f"the HPA was able to successfully calculate a replica count from {best.title}"
    verdict = normalize(spec, current, best.replicas, memory, now)
    conditions = (
        Condition("AbleToScale", "True", *verdict.able),
        Condition("ScalingActive", "True", "ValidMetricFound", active),
        Condition("ScalingLimited", *verdict.limited),
    )
    reason = f"{best.title} above target" if best.replicas > current else ALL_BELOW
    rescale = verdict.replicas != current
    return Pass(verdict.replicas, conditions, rescale, reason, statuses, silent=tuple(failures))


def unselected(current: int, reason: str, condition: str, event: str = "", message: str = "") -> Pass:
    """Nothing is done where it is not clear which pods are meant; `event` and `message` if they differ."""
    got = Condition("AbleToScale", "True", "SucceededGetScale", GOT_SCALE)
    failed = Failure(reason, message or condition, event=event)
    return Pass(current, (got, Condition("ScalingActive", "False", reason, condition)), failed=failed)


def remember(memory: Memory, before: int, after: int, now: datetime) -> None:
    """Notes a change of size for the policies."""
    if after > before:
        memory.ups.append(ScaleEvent(after - before, now))
    elif after < before:
        memory.downs.append(ScaleEvent(before - after, now))


def rescaled(replicas: int) -> Condition:
    text = f"the HPA controller was able to update the target scale to {replicas}"
    return Condition("AbleToScale", "True", "SucceededRescale", text)


def refused(why: object) -> Condition:
    text = f"the HPA controller was unable to update the target scale: {why}"
    return Condition("AbleToScale", "False", _REFUSED, text)


def status_of(hpa: Doc, current: int, done: Pass, conditions: Sequence[Condition], now: datetime) -> Obj:
    """The status after a pass."""
    old = hpa.get("status") or {}
    unscaled = done.failed is not None or any(condition.reason == _REFUSED for condition in conditions)
    status: Obj = {
        **{key: value for key, value in old.items() if key != "currentMetrics"},
        "currentReplicas": current,
        "desiredReplicas": old.get("desiredReplicas", 0) if unscaled else done.replicas,
        "conditions": old.get("conditions") or [],
    }
    if generation := hpa["metadata"].get("generation"):
        status["observedGeneration"] = generation
    if done.metrics:
        status["currentMetrics"] = list(done.metrics)
    if done.rescale and not unscaled:
        status["lastScaleTime"] = rfc3339(now)
    for condition in conditions:
        status["conditions"] = condition.on(status["conditions"], now)
    return status
