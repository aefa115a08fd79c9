"""Nodes and pods that live by stages, in a cluster whose time jumps."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import EVENTS, NODES
from minik8s.config import ClusterConfig
from minik8s.machinery.meta import find_condition

pytestmark = pytest.mark.anyio

HEAD = "apiVersion: kwok.x-k8s.io/v1alpha1\nkind: Stage\nmetadata: {name: NAME}\nspec:\n  resourceRef: {kind: KIND}\n"
NODE_UP = (
    HEAD.replace("KIND", "Node").replace("NAME", "node-up")
    + """
  selector:
    matchExpressions:
    - {key: '.status.conditions[] | select(.type == "Ready") | .status', operator: NotIn, values: ["True"]}
  next:
    statusTemplate: |
      conditions:
      {{ range NodeConditions }}
      - {type: {{ .type }}, status: {{ .status | Quote }}, reason: {{ .reason }}, lastHeartbeatTime: {{ Now | Quote }}}
      {{ end }}
      addresses:
      - {type: Hostname, address: {{ NodeName | Quote }}}
"""
)
START = (
    HEAD.replace("KIND", "Pod").replace("NAME", "start")
    + """
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.podIP, operator: DoesNotExist}
  delay: {durationMilliseconds: 5000}
  next:
    event: {reason: Staged, message: 'on {{ .spec.nodeName }}'}
    statusTemplate: |
      phase: Running
      podIP: {{ PodIPWith .spec.nodeName false | Quote }}
      conditions:
      - {type: Ready, status: "True", lastTransitionTime: {{ Now | Quote }}}
      containerStatuses:
      {{ range .spec.containers }}
      - {name: {{ .name | Quote }}, image: {{ .image | Quote }}, ready: true, restartCount: 0,
         state: {running: {startedAt: {{ Now | Quote }}}}}
      {{ end }}
"""
)
RESTART = (
    HEAD.replace("KIND", "Pod").replace("NAME", "restart")
    + """
  selector:
    matchLabels: {crash: "yes"}
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    - {key: .status.podIP, operator: Exists}
  delay:
    durationMilliseconds: 60000
    durationFrom: {expressionFrom: '.metadata.annotations["crash-after"]'}
  immediateNextStage: true
  next:
    statusTemplate: |
      {{ $before := .status.containerStatuses }}
      containerStatuses:
      {{ range $index, $container := .spec.containers }}
      - name: {{ $container.name }}
        image: {{ $container.image }}
        ready: true
        restartCount: {{ add1 (index $before $index).restartCount }}
        state: {running: {startedAt: {{ Now | Quote }}}}
      {{ end }}
"""
)
GO = (
    HEAD.replace("KIND", "Pod").replace("NAME", "go")
    + """
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: Exists}
  next: {finalizers: {empty: true}, delete: true}
"""
)
BROKEN = (
    HEAD.replace("KIND", "Pod").replace("NAME", "broken")
    + """
  selector:
    matchLabels: {broken: "yes"}
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
  next: {statusTemplate: "phase: {{ index .status.none 0 }}"}
"""
)


def pod(name: str, *, finalizers: tuple[str, ...] = (), annotations: Any = None, **labels: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "labels": labels, "finalizers": list(finalizers)}
    spec = {"containers": [{"name": "c", "image": "i"}]}
    return {"metadata": {**metadata, "annotations": annotations or {}}, "spec": spec}


def cluster(*stages: str, **options: Any) -> Cluster:
    common: dict[str, Any] = {"runtime": "simulated", "serve": False, "proxy": False, "clock": "virtual", "seed": 1}
    return Cluster(stages=stages, freeze=True, strict=True, **{**common, **options})


async def test_a_pods_life() -> None:
    """It starts when the delay is over, crashes again and again, and goes, finalizers and all, when it is deleted."""
    async with cluster(START, RESTART, GO, nodes=2) as one:
        await one.client.create(PODS, pod("steady"))
        await one.client.create(
            PODS, pod("crashing", finalizers=("a.b/c",), annotations={"crash-after": "10s"}, crash="yes")
        )
        await one.advance(seconds=4)
        assert (await one.client.get(PODS, "steady", namespace="default"))["status"]["phase"] == "Pending"
        await one.advance(seconds=2)
        steady = await one.client.get(PODS, "steady", namespace="default")
        assert steady["status"]["phase"] == "Running"
        assert find_condition(steady["status"]["conditions"], "PodScheduled") is not None
        await one.advance(seconds=35)
        crashing = await one.client.get(PODS, "crashing", namespace="default")
        assert crashing["status"]["containerStatuses"][0]["restartCount"] == 3
        assert crashing["status"]["podIP"] != steady["status"]["podIP"]
        for name in ("steady", "crashing"):
            await one.client.delete(PODS, name, namespace="default")
        await one.settle()
        assert (await one.client.list(PODS)).items == []
        told = [event["message"] for event in (await one.client.list(EVENTS)).items if event["reason"] == "Staged"]
        assert sorted(told) == sorted(f"on {p['spec']['nodeName']}" for p in (steady, crashing))


async def test_nodes_by_stages() -> None:
    """A node is ready by its stage, keeps its size, and its Lease is renewed as ever; pods have a kubelet as before."""
    async with cluster(NODE_UP) as one:
        node = await one.client.get(NODES, "node-1")
        assert node["status"]["addresses"] == [{"type": "Hostname", "address": "node-1"}]
        assert node["status"]["allocatable"]["cpu"] == "8"
        await one.advance(minutes=30)
        node = await one.client.get(NODES, "node-1")
        ready = find_condition(node["status"]["conditions"], "Ready")
        assert ready is not None
        assert (ready["status"], ready["lastHeartbeatTime"]) == ("True", "2026-01-01T00:00:00Z")
        await one.client.create(PODS, pod("p"))
        await one.settle()
        assert (await one.client.get(PODS, "p", namespace="default"))["status"]["phase"] == "Running"


async def test_a_template_that_fails() -> None:
    """It is told to the log and tried again when the object changes; others are not kept up."""
    async with cluster(START, BROKEN, GO) as one:
        await one.client.create(PODS, pod("p"))
        await one.client.create(PODS, pod("q", broken="yes"))
        await one.advance(seconds=20)
        assert (await one.client.get(PODS, "p", namespace="default"))["status"]["phase"] == "Running"
        await one.client.delete(PODS, "q", namespace="default")
        await one.advance(seconds=20)
        assert [p["metadata"]["name"] for p in (await one.client.list(PODS)).items] == ["p"]


def test_only_what_is_simulated_follows_a_script() -> None:
    """Another runtime refuses stages."""
    with pytest.raises(ValueError, match="'stages' needs runtime='simulated'"):
        ClusterConfig(stages=[START])
