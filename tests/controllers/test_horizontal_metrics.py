"""Metrics of adapters: which path is asked, what follows from the answer, and what is said when there is none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from minik8s.api.request import ApiRequest, ListResult
from minik8s.api.resources import BUILTIN
from minik8s.client.client import Client
from minik8s.controllers.horizontal_metrics import Metrics, Target, go_selector
from minik8s.controllers.horizontal_plan import Failure, Reading
from minik8s.machinery.errors import NotFound

NOW = datetime(2026, 1, 1, 1, tzinfo=UTC)
STAMP = "2026-01-01T00:59:50Z"
BLUE = {"matchLabels": {"colour": "blue"}}


class Adapter:
    """An API server that answers with one list, or one error, and remembers what it was asked."""

    def __init__(self, items: list[Any], error: Exception | None = None) -> None:
        self.items, self.error, self.asked = items, error, ""

    def _answer(self, request: ApiRequest) -> list[Any]:
        query = "&".join(f"{key}={value}" for key, value in sorted(request.options.items()))
        resource = request.resource
        assert resource is not None
        self.asked = resource.path(request.namespace, request.name, request.subresource) + (
            "?" + query if query else ""
        )
        if self.error is not None:
            raise self.error
        return self.items

    async def call(self, request: ApiRequest) -> Any:
        return {"kind": "MetricValueList", "items": self._answer(request)}

    async def list(self, request: ApiRequest) -> ListResult:
        return ListResult(self._answer(request), "", "", 0)


def pod(name: str, ready: bool = True) -> Any:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": [condition]}
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"containers": []}, "status": status}


def value(amount: str, name: str = "") -> Any:
    described = {"kind": "Pod", "namespace": "shop", "name": name}
    return {"describedObject": described, "metric": {"name": "hits"}, "timestamp": STAMP, "value": amount}


def read(adapter: Adapter, metric: Any, *, replicas: int = 2, present: int = 2, pods: Any = None) -> Any:
    hpa = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}
    running = [pod("a"), pod("b")] if pods is None else pods
    target = Target(hpa, running, "app=web", replicas, present, NOW)
    metrics = Metrics(Client(adapter), lambda: BUILTIN)  # type: ignore[arg-type]
    return anyio.run(metrics.read, target, metric)


def pods_metric(average: str = "10", selector: Any = None) -> Any:
    metric = {"name": "hits", **({"selector": selector} if selector else {})}
    return {"type": "Pods", "pods": {"metric": metric, "target": {"type": "AverageValue", "averageValue": average}}}


def object_metric(kind: str = "Ingress", version: str = "networking.k8s.io/v1", **target: str) -> Any:
    described = {"apiVersion": version, "kind": kind, "name": "main"}
    source = {"describedObject": described, "metric": {"name": "hits", "selector": BLUE}, "target": target}
    return {"type": "Object", "object": source}


def external_metric(selector: Any = None, **target: str) -> Any:
    metric = {"name": "queue", **({"selector": selector} if selector else {})}
    return {"type": "External", "external": {"metric": metric, "target": target}}


CUSTOM = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/shop"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop"


@pytest.mark.parametrize(
    ("metric", "items", "asked", "replicas", "current"),
    [
        (
            pods_metric(),
            [value("20", "a"), value("15500m", "b")],
            f"{CUSTOM}/pods/*/hits?labelSelector=app=web",
            4,
            {"averageValue": "17750m"},
        ),
        (
            pods_metric(selector=BLUE),
            [value("10", "a"), value("10", "b")],
            f"{CUSTOM}/pods/*/hits?labelSelector=app=web&metricLabelSelector=colour=blue",
            2,
            {"averageValue": "10"},
        ),
        (
            object_metric(value="10"),
            [value("31")],
            f"{CUSTOM}/ingresses.networking.k8s.io/main/hits?metricLabelSelector=colour=blue",
            7,
            {"value": "31"},
        ),
        (
            object_metric("Service", "v1", averageValue="10"),
            [value("31")],
            f"{CUSTOM}/services/main/hits?metricLabelSelector=colour=blue",
            4,
            {"averageValue": "15500m"},
        ),
        (
            object_metric("Namespace", "v1", value="100"),
            [value("105")],
            f"{CUSTOM}/metrics/hits?metricLabelSelector=colour=blue",
            2,
            {"value": "105"},
        ),
        (
            external_metric(averageValue="10"),
            [value("30"), value("1")],
            f"{EXTERNAL}/queue",
            4,
            {"averageValue": "15500m"},
        ),
        (
            external_metric(BLUE, value="10"),
            [value("5")],
            f"{EXTERNAL}/queue?labelSelector=colour=blue",
            1,
            {"value": "5"},
        ),
    ],
)
def test_answers(metric: Any, items: list[Any], asked: str, replicas: int, current: Any) -> None:
    """Each kind has its path and its arithmetic, and shows what it saw."""
    adapter = Adapter(items)
    reading = read(adapter, metric)
    assert isinstance(reading, Reading), reading
    assert adapter.asked == asked
    assert reading.replicas == replicas
    assert reading.status["type"] == metric["type"]
    assert reading.status[metric["type"].lower()]["current"] == current


def test_from_zero() -> None:
    """One value alone can wake a target that has no pods; the ready ones count when there are some."""
    one = external_metric(value="10")
    assert read(Adapter([value("31")]), one, replicas=0, present=0, pods=[]).replicas == 4
    assert read(Adapter([value("31")]), external_metric(averageValue="10"), present=0, pods=[]).replicas == 4
    assert read(Adapter([value("20")]), one, pods=[pod("a"), pod("b", ready=False)]).replicas == 2
    none = read(Adapter([value("20")]), one, pods=[])
    assert (
        none.message == "unable to calculate ready pods: no pods returned by selector while calculating replica count"
    )


GONE = NotFound.path()
FETCH = "unable to fetch metrics from"


@pytest.mark.parametrize(
    ("metric", "error", "reason", "message", "full"),
    [
        (
            pods_metric(),
            GONE,
            "FailedGetPodsMetric",
            f"unable to get metric hits: {FETCH} custom metrics API: "
            "no custom metrics API (custom.metrics.k8s.io) registered",
            "failed to get pods metric value: ",
        ),
        (
            pods_metric(),
            NotFound("the server could not find the metric hits for pods", name="hits"),
            "FailedGetPodsMetric",
            f"unable to get metric hits: {FETCH} custom metrics API: "
            "the server could not find the metric hits for pods",
            "failed to get pods metric value: ",
        ),
        (
            object_metric(value="1"),
            None,
            "FailedGetObjectMetric",
            "unable to get metric hits: Ingress on shop main/no metrics returned from custom metrics API",
            "failed to get object metric value: ",
        ),
        (
            object_metric("Thing", "example.com/v1", value="1"),
            None,
            "FailedGetObjectMetric",
            f"unable to get metric hits: Thing on shop main/{FETCH} custom metrics API: unable to map kind "
            'Thing.example.com to resource: no matches for kind "Thing" in group "example.com"',
            "failed to get object metric value: ",
        ),
        (
            external_metric(BLUE, averageValue="1"),
            GONE,
            "FailedGetExternalMetric",
            "unable to get external metric shop/queue/&LabelSelector{MatchLabels:map[string]string{colour: blue,},"
            f"MatchExpressions:[]LabelSelectorRequirement{{}},}}: {FETCH} external metrics API: the server could not "
            "find the requested resource (get queue.external.metrics.k8s.io)",
            "failed to get queue external metric value: failed to get queue external metric: ",
        ),
        (
            external_metric(value="1"),
            None,
            "FailedGetExternalMetric",
            "unable to get external metric shop/queue/nil: no metrics returned from external metrics API",
            "failed to get queue external metric value: failed to get external metric queue: ",
        ),
    ],
)
def test_no_answer(metric: Any, error: Any, reason: str, message: str, full: str) -> None:
    """Without an adapter, without the metric, or without a value: reason and text are upstream's."""
    failure = read(Adapter([], error), metric)
    assert isinstance(failure, Failure), failure
    assert (failure.reason, failure.message, failure.error) == (reason, message, full + message)


def test_selectors_as_go_prints_them() -> None:
    """Messages quote the selector as upstream's do."""
    expression = {"key": "tier", "operator": "In", "values": ["a", "b"]}
    assert go_selector({"matchExpressions": [expression]}).endswith(
        "MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:tier,Operator:In,Values:[a b],},},}"
    )
