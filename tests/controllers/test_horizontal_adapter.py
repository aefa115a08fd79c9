"""An autoscaler asks a metrics adapter that an APIService has registered, over HTTPS and through the API server."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from minik8s import DEPLOYMENTS, SERVICES, Cluster
from minik8s.api.resources import API_SERVICES, ENDPOINT_SLICES, HORIZONTAL_POD_AUTOSCALERS
from minik8s.apiserver.aggregation.availability import check_all
from minik8s.apiserver.pki import Authority, server_context
from minik8s.apiserver.server import listen, serve

API = "/apis/external.metrics.k8s.io/v1beta1"


class Adapter:
    """An adapter with one external metric."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append((scope["path"], scope["query_string"].decode()))
        document: Any = {"kind": "APIResourceList", "groupVersion": API[6:], "resources": []}
        if scope["path"] == f"{API}/namespaces/default/queue":
            item = {"metricName": "queue", "timestamp": "2026-01-01T00:00:00Z", "value": "35"}
            document = {"kind": "ExternalMetricValueList", "apiVersion": API[6:], "metadata": {}, "items": [item]}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})


async def register(cluster: Cluster, port: int, bundle: bytes) -> None:
    """A Service that leads to the adapter, and the APIService that leads to that."""
    name = {"name": "adapter", "namespace": "default"}
    await cluster.client.create(SERVICES, {"metadata": name, "spec": {"ports": [{"port": 443}]}})
    labels = {"kubernetes.io/service-name": "adapter"}
    ends = {"endpoints": [{"addresses": ["127.0.0.1"]}], "ports": [{"name": "", "port": port}], "addressType": "IPv4"}
    await cluster.client.create(ENDPOINT_SLICES, {"metadata": {**name, "labels": labels}, **ends})
    spec = {
        "group": "external.metrics.k8s.io",
        "version": "v1beta1",
        "service": {**name, "port": 443},
        "caBundle": base64.b64encode(bundle).decode(),
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
    }
    await cluster.client.create(API_SERVICES, {"metadata": {"name": "v1beta1.external.metrics.k8s.io"}, "spec": spec})
    await check_all(cluster._context)


@pytest.mark.anyio
async def test_an_adapter_is_asked(tmp_path: Any) -> None:
    """The metric decides the size; the adapter is asked with upstream's path and selector."""
    adapter, now = Adapter(), datetime.now(UTC)
    authority = Authority.create(now)
    sock = listen("127.0.0.1", 0)
    tls = server_context(authority.issue_serving(now, ["adapter.default.svc"]), tmp_path)
    names = ("serviceaccount", "deployment", "replicaset", "horizontalpodautoscaling")
    async with (
        serve(adapter, sock, tls),  # type: ignore[arg-type]
        Cluster(nodes=0, serve=False, proxy=False, runtime="simulated", controllers=names) as cluster,
    ):
        await register(cluster, sock.getsockname()[1], authority.pem)
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
        spec: Any = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": "web", "namespace": "default"}
        await cluster.client.create(DEPLOYMENTS, {"metadata": metadata, "spec": spec})
        await cluster.wait_for(DEPLOYMENTS, "web", lambda d: (d.get("status") or {}).get("replicas") == 1)
        metric = {"name": "queue", "selector": {"matchLabels": {"colour": "blue"}}}
        wish = {"metric": metric, "target": {"type": "AverageValue", "averageValue": "10"}}
        scaling = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 9,
            "metrics": [{"type": "External", "external": wish}],
        }
        await cluster.client.create(HORIZONTAL_POD_AUTOSCALERS, {"metadata": metadata, "spec": scaling})
        await cluster.wait_for(DEPLOYMENTS, "web", lambda d: d["spec"]["replicas"] == 4)
        assert (f"{API}/namespaces/default/queue", "labelSelector=colour%3Dblue") in adapter.asked
        hpa: Any = await cluster.wait_for(
            HORIZONTAL_POD_AUTOSCALERS, "web", lambda h: bool((h.get("status") or {}).get("currentMetrics"))
        )
        assert hpa["status"]["currentMetrics"][0]["external"]["current"]["averageValue"] == "35"
