"""Scales workloads by what their pods use: the controller of HorizontalPodAutoscalers.

Every 15 seconds, and at once when its spec changes, an autoscaler is looked at; the deciding is in `horizontal_plan`
and its neighbours. Usage comes from `metrics.k8s.io`, whoever serves it. Custom and external metrics are those of
adapters, which are not supported: the conditions say so, as in any cluster without an adapter. Upstream:
`pkg/controller/podautoscaler`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any, ClassVar

from minik8s.api.metrics import POD_METRICS
from minik8s.api.resource import Resource
from minik8s.api.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from minik8s.client.lister import Key
from minik8s.controllers import horizontal_plan as plan
from minik8s.controllers.horizontal_limits import DOWNSCALE_WINDOW, Memory
from minik8s.controllers.horizontal_replicas import (
    Measure,
    NoReplicaCount,
    PodMetric,
    Proposal,
    Tolerance,
    by_average,
    by_utilization,
)
from minik8s.controllers.runtime import Context, Reconciler, Requeue
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj, evolve, name_of, namespace_of, parse_time
from minik8s.machinery.quantity import from_milli, parse_quantity
from minik8s.machinery.selectors import LabelSelector

SYNC_SECONDS = 15.0
"""--horizontal-pod-autoscaler-sync-period."""
LONGEST_MEMORY = timedelta(seconds=3600)
"""The longest window and period that validation allows."""
_FIELDS = {"Resource": "resource", "ContainerResource": "containerResource"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


class HorizontalController(Reconciler[Any]):
    name: ClassVar[str] = "horizontalpodautoscaling"
    component: ClassVar[str] = "horizontal-pod-autoscaler"
    resource: ClassVar[Resource[Any]] = HORIZONTAL_POD_AUTOSCALERS

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.informers(PODS).lister
        self._memories: dict[Key, Memory] = {}
        self._specs: dict[Key, Any] = {}

    def _on_object(self, old: Any, new: Any) -> None:
        """Status updates, its own among them, are no reason to look before the time."""
        if new is not None and old is not None and old["spec"] == new["spec"]:
            return
        super()._on_object(old, new)

    async def deleted(self, namespace: str, name: str) -> None:
        self._memories.pop((namespace, name), None)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        memory = self._memories.setdefault((namespace_of(obj), name_of(obj)), Memory())
        memory.forget(self.clock.now() - max(LONGEST_MEMORY, timedelta(seconds=DOWNSCALE_WINDOW)))
        try:
            target, scale = await self._scale(obj)
        except (ApiError, LookupError) as error:
            await self._no_scale(obj, error)
            return Requeue(SYNC_SECONDS)
        current = (scale.get("spec") or {}).get("replicas") or 0
        done = plan.enabled(obj["spec"], current)
        if done is None:
            readings = await self._read(obj, scale, current)
            done = plan.decide(obj["spec"], current, readings, memory, self.clock.now())
        await self._carry_out(obj, target, scale, done, memory)
        return Requeue(SYNC_SECONDS)

    async def _carry_out(self, obj: Doc, target: Resource[Any], scale: Doc, done: plan.Pass, memory: Memory) -> None:
        current = (scale.get("spec") or {}).get("replicas") or 0
        conditions = list(done.conditions)
        if done.failed is not None:
            self.recorder.event(obj, "Warning", done.failed.reason, done.failed.message)
            total = len(obj["spec"].get("metrics") or ())
            text = f"invalid metrics ({done.invalid} invalid out of {total}), first error is: {done.failed.message}"
            self.recorder.event(obj, "Warning", "FailedComputeMetricsReplicas", text)
        elif done.rescale:
            conditions.append(await self._rescale(obj, target, scale, done, memory))
        now = self.clock.now()
        status = plan.status_of(obj, (scale.get("status") or {}).get("replicas", current), done, conditions, now)
        await self.write_status(obj, status)

    async def _rescale(
        self, obj: Doc, target: Resource[Any], scale: Doc, done: plan.Pass, memory: Memory
    ) -> plan.Condition:
        said = f"New size: {done.replicas}; reason: {done.reason}"
        try:
            changed = evolve(scale, "spec", "replicas", value=done.replicas)
            await self.client.update(target, changed, subresource="scale")
        except ApiError as error:
            self.recorder.event(obj, "Warning", "FailedRescale", f"{said}; error: {error}")
            text = f"the HPA controller was unable to update the target scale: {error}"
            return plan.Condition("AbleToScale", "False", "FailedUpdateScale", text)
        self.recorder.event(obj, "Normal", "SuccessfulRescale", said)
        plan.remember(memory, scale["spec"].get("replicas") or 0, done.replicas, self.clock.now())
        return plan.rescaled(done.replicas)

    async def _scale(self, obj: Doc) -> tuple[Resource[Any], Doc]:
        """The target's resource and its Scale. Raises ApiError, or LookupError for a kind that has none."""
        reference = obj["spec"]["scaleTargetRef"]
        group = (reference.get("apiVersion") or "").rpartition("/")[0]
        for resource in self.context.resources():
            if (resource.group, resource.kind) == (group, reference["kind"]) and resource.subresource("scale"):
                found: Any = await self.client.get(
                    resource, reference["name"], namespace=namespace_of(obj), subresource="scale"
                )
                return resource, found
        raise LookupError(
            f'unable to determine resource for scale target reference: no matches for kind "{reference["kind"]}" '
            f'in group "{group}"'
        )

    async def _no_scale(self, obj: Doc, error: Exception) -> None:
        text = f"the HPA controller was unable to get the target's current scale: {error}"
        condition = plan.Condition("AbleToScale", "False", "FailedGetScale", text)
        self.recorder.event(obj, "Warning", "FailedGetScale", str(error))
        conditions = condition.on((obj.get("status") or {}).get("conditions"), self.clock.now())
        await self.write_status(obj, {**(obj.get("status") or {}), "conditions": conditions})

    async def _read(self, obj: Doc, scale: Doc, current: int) -> list[plan.Reading | plan.Failure]:
        selector_text = (scale.get("status") or {}).get("selector") or ""
        if not selector_text:
            return [plan.Failure("InvalidSelector", "selector is required")]
        try:
            selector = LabelSelector.parse(selector_text)
        except ApiError as error:
            return [plan.Failure("InvalidSelector", error.message)]
        pods = self.pods.select(selector, namespace_of(obj))
        return [
            await self._metric(obj, metric, pods, selector_text, current) for metric in obj["spec"].get("metrics") or ()
        ]

    async def _metric(
        self, obj: Doc, metric: Doc, pods: list[Any], selector: str, current: int
    ) -> plan.Reading | plan.Failure:
        kind = metric["type"]
        if kind not in _FIELDS:
            return unavailable(metric)
        source = metric[_FIELDS[kind]]
        resource, container, target = source["name"], source.get("container") or "", source["target"]
        try:
            metrics = await self._usage(namespace_of(obj), selector, resource, container)
            tolerance = tolerance_of(obj["spec"])
            measure = Measure(pods, metrics, resource, current, tolerance, self.clock.now(), container)
            return reading(kind, source, target, measure)
        except NoReplicaCount as error:
            what = "utilization" if "averageUtilization" in target else "usage"
            return plan.Failure(f"FailedGet{kind}Metric", f"failed to get {resource} {what}: {error}")

    async def _usage(self, namespace: str, selector: str, resource: str, container: str) -> dict[str, PodMetric]:
        """What each pod uses, as metrics.k8s.io says it. Raises NoReplicaCount."""
        try:
            found = await self.client.list(POD_METRICS, namespace=namespace, label_selector=selector)
        except ApiError as error:
            why = f"unable to fetch metrics from resource metrics API: {error}"
            raise NoReplicaCount(f"unable to get metrics for resource {resource}: {why}") from None
        if not found.items:
            why = "no metrics returned from resource metrics API"
            raise NoReplicaCount(f"unable to get metrics for resource {resource}: {why}")
        usages = {name_of(item): pod_metric(item, resource, container) for item in found.items}
        return {name: metric for name, metric in usages.items() if metric is not None}


def pod_metric(item: Doc, resource: str, container: str) -> PodMetric | None:
    """A PodMetrics' usage of one resource, of all its containers or one; None when that is not in it."""
    total = 0
    parts = [part for part in item.get("containers") or () if not container or part["name"] == container]
    for part in parts:
        amount = (part.get("usage") or {}).get(resource)
        if amount is None:
            return None
        total += parse_quantity(amount).milli()
    window = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(item.get("window") or "0s"))
    return PodMetric(total, parse_time(item["timestamp"]), timedelta(seconds=window)) if parts else None


def reading(kind: str, source: Doc, target: Doc, measure: Measure) -> plan.Reading:
    """A resource metric as a proposal. Raises NoReplicaCount."""
    resource = source["name"]
    if "averageUtilization" in target:
        proposal = by_utilization(measure, target["averageUtilization"])
        title = f"{resource} resource utilization (percentage of request)"
    else:
        proposal = by_average(measure, parse_quantity(target["averageValue"]).milli())
        title = f"{resource} resource"
    if kind == "ContainerResource":
        title = title.replace("resource", "container resource", 1)
    entry: Obj = {"name": resource, "current": _current(proposal)}
    if kind == "ContainerResource":
        entry["container"] = source["container"]
    return plan.Reading(proposal.replicas, title, {"type": kind, _FIELDS[kind]: entry})


def _current(proposal: Proposal) -> Obj:
    current: Obj = {"averageValue": str(from_milli(proposal.average))}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    return current


def tolerance_of(spec: Doc) -> Tolerance:
    """The tolerances of the spec's behavior, or the controller's own."""
    behavior = spec.get("behavior") or {}
    given = {
        side: parse_quantity(rules["tolerance"]).milli() / 1000
        for side, field in (("up", "scaleUp"), ("down", "scaleDown"))
        if (rules := behavior.get(field) or {}).get("tolerance") is not None
    }
    return Tolerance(**given)


def unavailable(metric: Doc) -> plan.Failure:
    """What a metric of an API that nobody serves comes to."""
    kind = metric["type"]
    api = "external" if kind == "External" else "custom"
    name = ((metric.get(kind.lower()) or {}).get("metric") or {}).get("name", "")
    text = (
        f"failed to get {kind.lower()} metric value: unable to get metric {name}: unable to fetch metrics from {api} "
        f"metrics API: no {api} metrics API ({api}.metrics.k8s.io) registered"
    )
    return plan.Failure(f"FailedGet{kind}Metric", text)
