"""What an autoscaler's metrics say now, asked of whoever serves them.

Resource metrics come from `metrics.k8s.io`, those of pods and objects from `custom.metrics.k8s.io`, all others from
`external.metrics.k8s.io`. The last two are what adapters serve; where none is registered the conditions say so, as in
any cluster without one. Paths and texts are upstream's (`pkg/controller/podautoscaler`, `k8s.io/metrics/pkg/client`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from minik8s.api.metrics import POD_METRICS
from minik8s.api.resource import Resource
from minik8s.client.client import Client
from minik8s.controllers import horizontal_plan as plan
from minik8s.controllers.horizontal_replicas import (
    Measure,
    NoReplicaCount,
    PodMetric,
    Proposal,
    Tolerance,
    by_average,
    by_share,
    by_utilization,
    by_value,
)
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, parse_time
from minik8s.machinery.quantity import from_milli, parse_quantity
from minik8s.machinery.selectors import LabelSelector, go_selector

CUSTOM = ("custom.metrics.k8s.io", "v1beta2")
EXTERNAL = ("external.metrics.k8s.io", "v1beta1")
DEFAULT_WINDOW = timedelta(minutes=1)
_RESOURCE_FIELDS = {"Resource": "resource", "ContainerResource": "containerResource"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@attrs.frozen
class Target:
    """What an autoscaler scales: its pods, by `selector`; `replicas` wanted so far and `present` in fact."""

    hpa: Doc
    pods: Sequence[Doc]
    selector: str
    replicas: int
    present: int
    now: datetime

    @property
    def namespace(self) -> str:
        return namespace_of(self.hpa)

    @property
    def tolerance(self) -> Tolerance:
        return tolerance_of(self.hpa["spec"])

    def measure(self, metrics: Mapping[str, PodMetric], resource: str = "", container: str = "") -> Measure:
        return Measure(self.pods, metrics, resource, self.replicas, self.tolerance, self.now, container)


@attrs.frozen
class Metrics:
    """Reads metrics through the API; `resources` are those that it serves, to name a kind's resource."""

    client: Client
    resources: Callable[[], Sequence[Resource[Any]]]

    async def read(self, target: Target, metric: Doc) -> plan.Reading | plan.Failure:
        """One metric of the spec as a proposal, or why there is none."""
        kind = metric["type"]
        match kind:
            case "Resource" | "ContainerResource":
                return await self._resource(target, kind, metric[_RESOURCE_FIELDS[kind]])
            case "Pods":
                read = self._pods(target, metric["pods"])
            case "Object":
                read = self._object(target, metric["object"])
            case "External":
                read = self._external(target, metric["external"])
            case _:
                return plan.Failure("InvalidMetricSourceType", f'unknown metric source type "{kind}"')
        try:
            return await read
        except (NoReplicaCount, ApiError) as error:
            return plan.Failure(f"FailedGet{kind}Metric", str(error), _in_full(kind, metric[kind.lower()], error))

    async def _resource(self, target: Target, kind: str, source: Doc) -> plan.Reading | plan.Failure:
        resource, container = source["name"], source.get("container") or ""
        try:
            metrics = await self._usage(target, resource, container)
            return _reading(kind, source, target.measure(metrics, resource, container))
        except NoReplicaCount as error:
            what = "utilization" if "averageUtilization" in source["target"] else "usage"
            text = f"failed to get {resource} {what}: {error}"
            described = "container" if container else "resource"
            return plan.Failure(
                f"FailedGet{kind}Metric", text, f"failed to get {resource} {described} metric value: {text}"
            )

    async def _usage(self, target: Target, resource: str, container: str) -> dict[str, PodMetric]:
        """What each pod uses, as metrics.k8s.io says it. Raises NoReplicaCount."""
        try:
            found = await self.client.list(POD_METRICS, namespace=target.namespace, label_selector=target.selector)
        except ApiError as error:
            why = f"unable to fetch metrics from resource metrics API: {error}"
            raise NoReplicaCount(f"unable to get metrics for resource {resource}: {why}") from None
        if not found.items:
            why = "no metrics returned from resource metrics API"
            raise NoReplicaCount(f"unable to get metrics for resource {resource}: {why}")
        usages = {name_of(item): pod_metric(item, resource, container) for item in found.items}
        return {name: metric for name, metric in usages.items() if metric is not None}

    async def _pods(self, target: Target, source: Doc) -> plan.Reading:
        name, selector = _identity(source)
        pods = Resource[Any](*CUSTOM, "pods", "MetricValueList", True)
        try:
            found = await self._custom(
                pods, "*", name, target.namespace, labelSelector=target.selector, metricLabelSelector=selector
            )
        except NoReplicaCount as error:
            raise NoReplicaCount(f"unable to get metric {name}: {error}") from None
        metrics = {item["describedObject"]["name"]: _custom_pod_metric(item) for item in found}
        proposal = by_average(target.measure(metrics), _milli(source["target"]["averageValue"]))
        entry = {"metric": source["metric"], "current": {"averageValue": _text(proposal)}}
        return plan.Reading(proposal.replicas, f"pods metric {name}", {"type": "Pods", "pods": entry})

    async def _object(self, target: Target, source: Doc) -> plan.Reading:
        name, _ = _identity(source)
        described, wish = source["describedObject"], source["target"]
        try:
            value = await self._object_value(target.namespace, source)
        except NoReplicaCount as error:
            where = f"{described['kind']} on {target.namespace} {described['name']}"  # as odd as upstream's
            raise NoReplicaCount(f"unable to get metric {name}: {where}/{error}") from None
        entry: Obj = {"describedObject": described, "metric": source["metric"]}
        if "value" in wish:
            proposal = by_value(target.pods, value, _milli(wish["value"]), target.replicas, target.tolerance)
            entry["current"] = {"value": _text(proposal)}
            title = f"{described['kind']} metric {name}"
        else:
            proposal = by_share(value, _milli(wish["averageValue"]), target.present, target.tolerance)
            entry["current"] = {"averageValue": _text(proposal)}
            title = f"external metric {name}({go_selector(source['metric'].get('selector'))})"
        return plan.Reading(proposal.replicas, title, {"type": "Object", "object": entry})

    async def _object_value(self, namespace: str, source: Doc) -> int:
        name, selector = _identity(source)
        described = source["describedObject"]
        group = (described.get("apiVersion") or "").rpartition("/")[0]
        if (group, described["kind"]) == ("", "Namespace"):  # its own: a reference leads to no other namespace
            metrics = Resource[Any](*CUSTOM, "metrics", "MetricValueList", True)
            found = await self._custom(metrics, name, "", namespace, metricLabelSelector=selector)
        else:
            plural = self._plural(group, described["kind"])
            of_kind = Resource[Any](*CUSTOM, plural, "MetricValueList", True)
            found = await self._custom(of_kind, described["name"], name, namespace, metricLabelSelector=selector)
        if len(found) != 1:
            why = f"the custom metrics API server returned {len(found)} results when we asked for exactly one"
            raise NoReplicaCount(f"unable to fetch metrics from custom metrics API: {why}")
        return _milli(found[0]["value"])

    def _plural(self, group: str, kind: str) -> str:
        """The resource of a kind with its group behind it, as the custom metrics API wants it."""
        for resource in self.resources():
            if (resource.group, resource.kind) == (group, kind):
                return f"{resource.plural}.{group}" if group else resource.plural
        full = f"{kind}.{group}" if group else kind
        why = f'unable to map kind {full} to resource: no matches for kind "{kind}" in group "{group}"'
        raise NoReplicaCount(f"unable to fetch metrics from custom metrics API: {why}")

    async def _external(self, target: Target, source: Doc) -> plan.Reading:
        name, _ = _identity(source)
        shown = go_selector(source["metric"].get("selector"))
        try:
            value = await self._external_value(target.namespace, source)
        except NoReplicaCount as error:
            raise NoReplicaCount(f"unable to get external metric {target.namespace}/{name}/{shown}: {error}") from None
        wish = source["target"]
        if "averageValue" in wish:
            proposal = by_share(value, _milli(wish["averageValue"]), target.present, target.tolerance)
            current = {"averageValue": _text(proposal)}
        else:
            proposal = by_value(target.pods, value, _milli(wish["value"]), target.replicas, target.tolerance)
            current = {"value": _text(proposal)}
        entry = {"metric": source["metric"], "current": current}
        return plan.Reading(
            proposal.replicas, f"external metric {name}({shown})", {"type": "External", "external": entry}
        )

    async def _external_value(self, namespace: str, source: Doc) -> int:
        """The sum of all its values."""
        name, selector = _identity(source)
        resource = Resource[Any](*EXTERNAL, name, "ExternalMetricValueList", True)
        try:
            found = await self.client.list(resource, namespace=namespace, label_selector=selector)
        except ApiError as error:
            why: object = error
            if _is_unserved(error):  # which upstream does not ask beforehand
                why = f"the server could not find the requested resource (get {name}.{EXTERNAL[0]})"
            raise NoReplicaCount(f"unable to fetch metrics from external metrics API: {why}") from None
        if not found.items:
            raise NoReplicaCount("no metrics returned from external metrics API")
        return sum(_milli(item["value"]) for item in found.items)

    async def _custom(
        self, resource: Resource[Any], name: str, subresource: str, namespace: str, **selectors: str
    ) -> Sequence[Doc]:
        options = {key: text for key, text in selectors.items() if text}
        try:
            found: Doc = await self.client.get(resource, name, namespace=namespace, subresource=subresource, **options)
        except ApiError as error:
            why: object = error
            if _is_unserved(error):
                why = f"no custom metrics API ({CUSTOM[0]}) registered"
            raise NoReplicaCount(f"unable to fetch metrics from custom metrics API: {why}") from None
        items: Sequence[Doc] = found.get("items") or ()
        if not items:
            raise NoReplicaCount("no metrics returned from custom metrics API")
        return items


def _is_unserved(error: ApiError) -> bool:
    """Whether the API server does not know the group at all: an adapter's own 404 names a metric."""
    texts = ("404 page not found", NotFound.path().message)
    return isinstance(error, NotFound) and not error.name and error.message.strip() in texts


def _identity(source: Doc) -> tuple[str, str]:
    """A metric's name and its selector as text."""
    metric = source["metric"]
    return metric["name"], str(LabelSelector.from_object(metric.get("selector")))


def _in_full(kind: str, source: Doc, error: Exception) -> str:
    """The error of a metric as the event about all metrics quotes it."""
    name = source["metric"]["name"]
    if kind != "External":
        return f"failed to get {kind.lower()} metric value: {error}"
    what = f"{name} external metric" if "averageValue" in source["target"] else f"external metric {name}"
    return f"failed to get {name} external metric value: failed to get {what}: {error}"


def _milli(amount: Any) -> int:
    return parse_quantity(amount).milli()


def _text(proposal: Proposal) -> str:
    return str(from_milli(proposal.average))


def _custom_pod_metric(item: Doc) -> PodMetric:
    seconds = item.get("windowSeconds")
    window = DEFAULT_WINDOW if seconds is None else timedelta(seconds=seconds)
    return PodMetric(_milli(item["value"]), parse_time(item["timestamp"]), window)


def pod_metric(item: Doc, resource: str, container: str) -> PodMetric | None:
    """A PodMetrics' usage of one resource, of all its containers or one; None when that is not in it."""
    total = 0
    parts = [part for part in item.get("containers") or () if not container or part["name"] == container]
    if container and not parts:
        where = f"container {container} not present in metrics for pod {namespace_of(item)}/{name_of(item)}"
        raise NoReplicaCount(f"unable to get metrics for resource {resource}: failed to get container metrics: {where}")
    for part in parts:
        amount = (part.get("usage") or {}).get(resource)
        if amount is None:
            return None
        total += parse_quantity(amount).milli()
    window = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(item.get("window") or "0s"))
    return PodMetric(total, parse_time(item["timestamp"]), timedelta(seconds=window)) if parts else None


def _reading(kind: str, source: Doc, measure: Measure) -> plan.Reading:
    """A resource metric as a proposal. Raises NoReplicaCount."""
    resource, target = source["name"], source["target"]
    if "averageUtilization" in target:
        proposal = by_utilization(measure, target["averageUtilization"])
        title = f"{resource} resource utilization (percentage of request)"
    else:
        proposal = by_average(measure, _milli(target["averageValue"]))
        title = f"{resource} resource"
    if kind == "ContainerResource":
        title = title.replace("resource", "container resource", 1)
    current: Obj = {"averageValue": _text(proposal)}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    entry: Obj = {"name": resource, "current": current}
    if kind == "ContainerResource":
        entry["container"] = source["container"]
    return plan.Reading(proposal.replicas, title, {"type": kind, _RESOURCE_FIELDS[kind]: entry})


def tolerance_of(spec: Doc) -> Tolerance:
    """The tolerances of the spec's behavior, or the controller's own."""
    behavior = spec.get("behavior") or {}
    given = {
        side: _milli(rules["tolerance"]) / 1000
        for side, field in (("up", "scaleUp"), ("down", "scaleDown"))
        if (rules := behavior.get(field) or {}).get("tolerance") is not None
    }
    return Tolerance(**given)
