"""Autoscalers at work in virtual time: usage is what the pods' annotations say."""

from __future__ import annotations

from typing import Any

from minik8s.api.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from minik8s.controllers.deployment import DeploymentController
from minik8s.controllers.horizontal import HorizontalController
from minik8s.controllers.replicaset import ReplicaSetController
from minik8s.machinery.meta import find_condition

CONTROLLERS = (HorizontalController, DeploymentController, ReplicaSetController)
LABELS = {"app": "web"}


def deployment_spec(cores: float, replicas: int = 1, requests: Any = None) -> Any:
    container = {"name": "web", "image": "busybox", "resources": {"requests": requests or {"cpu": "200m"}}}
    annotations = {"simulated.minik8s.dev/cpu-cores": str(cores)}
    template = {"metadata": {"labels": LABELS, "annotations": annotations}, "spec": {"containers": [container]}}
    return {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}


def autoscaler_spec(target: Any = 50, **more: Any) -> Any:
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}}
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "maxReplicas": 5,
        "metrics": [{"type": "Resource", "resource": metric}],
        **more,
    }


async def scaled_to(world: Any, replicas: int, seconds: float = 900) -> Any:
    async def reached() -> bool:
        found = await world.get("deployments", "web", "default")
        return bool(found["spec"]["replicas"] == replicas)

    await world.until(reached, seconds)


def test_up_to_the_maximum_and_down_again(virtual: Any, start: Any) -> None:
    """Pods over their target are joined by more, as fast as is allowed; when usage falls, the window is waited out."""

    async def body(clock: Any) -> None:
        async with start(clock, *CONTROLLERS, nodes=1) as world:
            await world.add("deployments", "web", "default", spec=deployment_spec(0.2))
            await world.add("horizontalpodautoscalers", "web", "default", spec=autoscaler_spec())
            await scaled_to(world, 5)
            sizes = [event["message"] for event in await world.events("SuccessfulRescale")]
            over = "reason: cpu resource utilization (percentage of request) above target"
            assert sizes[-1] == f"New size: 5; {over}"
            hpa = await world.get("horizontalpodautoscalers", "web", "default")
            current = hpa["status"]["currentMetrics"][0]["resource"]["current"]
            assert current["averageUtilization"] == 100
            assert find_condition(hpa["status"]["conditions"], "ScalingActive")["status"] == "True"
            calm = {"spec": {"template": deployment_spec(0.01)["template"]}}
            await world.client.patch(DEPLOYMENTS, "web", calm, namespace="default")
            began = clock.monotonic()
            await scaled_to(world, 1)
            assert clock.monotonic() - began >= 280, "scaling down waits for the stabilization window"

    virtual(body)


def test_bounds_without_metrics(virtual: Any, start: Any) -> None:
    """A target outside its bounds is brought back though no pod runs; without metrics nothing else happens."""

    async def body(clock: Any) -> None:
        async with start(clock, *CONTROLLERS) as world:
            await world.add("deployments", "web", "default", spec=deployment_spec(0.2, replicas=9))
            await world.add("horizontalpodautoscalers", "web", "default", spec=autoscaler_spec())
            await scaled_to(world, 5, 60)
            await world.quiet(60)
            hpa = await world.get("horizontalpodautoscalers", "web", "default")
            active = find_condition(hpa["status"]["conditions"], "ScalingActive")
            assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
            assert active["message"].endswith("no metrics returned from resource metrics API")
            assert await world.events("FailedComputeMetricsReplicas")

    virtual(body)


def test_targets_that_cannot_be_scaled(virtual: Any, start: Any) -> None:
    """A kind without scale and a name without object are said in condition and event; the autoscaler recovers."""

    async def body(clock: Any) -> None:
        async with start(clock, *CONTROLLERS, nodes=1) as world:
            for name, kind in (("a", "DaemonSet"), ("b", "Deployment")):
                target = {"apiVersion": "apps/v1", "kind": kind, "name": "web"}
                spec = autoscaler_spec(scaleTargetRef=target)
                await world.add("horizontalpodautoscalers", name, "default", spec=spec)
            await world.quiet()
            for name in ("a", "b"):
                hpa = await world.get("horizontalpodautoscalers", name, "default")
                able = find_condition(hpa["status"]["conditions"], "AbleToScale")
                assert (able["status"], able["reason"]) == ("False", "FailedGetScale")
            await world.client.delete(HORIZONTAL_POD_AUTOSCALERS, "a", namespace="default")
            await world.add("deployments", "web", "default", spec=deployment_spec(0.2))
            await scaled_to(world, 5)

    virtual(body)


def test_metrics_that_nobody_serves(virtual: Any, start: Any) -> None:
    """A pods metric asks an API that no adapter has registered; the condition names it."""

    async def body(clock: Any) -> None:
        async with start(clock, *CONTROLLERS, nodes=1) as world:
            await world.add("deployments", "web", "default", spec=deployment_spec(0.2))
            wish = {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}
            spec = autoscaler_spec(metrics=[{"type": "Pods", "pods": wish}])
            await world.add("horizontalpodautoscalers", "web", "default", spec=spec)
            await world.quiet(30)
            hpa = await world.get("horizontalpodautoscalers", "web", "default")
            active = find_condition(hpa["status"]["conditions"], "ScalingActive")
            assert active["reason"] == "FailedGetPodsMetric"
            assert "no custom metrics API (custom.metrics.k8s.io) registered" in active["message"]

    virtual(body)


def test_a_silent_metric_beside_one_that_speaks(virtual: Any, start: Any) -> None:
    """The one that speaks scales up; each pass says of the other that it is silent, and of no more than that."""

    async def body(clock: Any) -> None:
        async with start(clock, *CONTROLLERS, nodes=1) as world:
            await world.add("deployments", "web", "default", spec=deployment_spec(0.2))
            wish = {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}}
            spec = autoscaler_spec()
            spec["metrics"] = [{"type": "Pods", "pods": wish}, *spec["metrics"]]
            await world.add("horizontalpodautoscalers", "web", "default", spec=spec)
            await scaled_to(world, 5)
            before = len(await world.events("FailedComputeMetricsReplicas"))
            await world.quiet(60)
            [silent] = await world.events("FailedGetPodsMetric")
            assert silent["count"] > 3
            assert len(await world.events("FailedComputeMetricsReplicas")) == before

    virtual(body)


def test_two_autoscalers_of_the_same_pods(virtual: Any, start: Any) -> None:
    """Neither does anything, and both say who the other is; when one goes the other works."""

    async def body(clock: Any) -> None:
        async with start(clock, *CONTROLLERS, nodes=1) as world:
            await world.add("deployments", "web", "default", spec=deployment_spec(0.2))
            for name in ("a", "b"):
                await world.add("horizontalpodautoscalers", name, "default", spec=autoscaler_spec())
            await world.quiet(60)
            for name in ("a", "b"):
                hpa = await world.get("horizontalpodautoscalers", name, "default")
                active = find_condition(hpa["status"]["conditions"], "ScalingActive")
                text = "pods by selector app=web are controlled by multiple HPAs: [default/a default/b]"
                assert (active["reason"], active["message"]) == ("AmbiguousSelector", text)
            await world.client.delete(HORIZONTAL_POD_AUTOSCALERS, "a", namespace="default")
            await scaled_to(world, 5)

    virtual(body)
