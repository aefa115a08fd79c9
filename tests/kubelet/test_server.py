"""What a kubelet says by HTTP through nodes/NAME/proxy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from minik8s import PODS, Cluster

pytestmark = [pytest.mark.anyio, pytest.mark.minik8s(serve=False, runtime="simulated")]
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": "nginx:1"}]},
}


async def get(cluster: Cluster, path: str, method: str = "GET") -> Any:
    return await cluster.http.request(method, f"/api/v1/nodes/node-1/proxy/{path}")


async def test_endpoints(cluster: Cluster) -> None:
    """Health, pods, metrics, usage and logs; what there is not is a clear 404, and nothing can be changed."""
    await cluster.apply(POD)
    await cluster.wait_for(PODS, "p", "Ready")
    assert (await get(cluster, "healthz")).text == "ok"
    for path in ("pods", "runningpods/"):
        [pod] = (await get(cluster, path)).json()["items"]
        assert (pod["metadata"]["name"], pod["status"]["phase"]) == ("p", "Running")
    metrics = (await get(cluster, "metrics")).text
    assert "kubelet_running_pods 1\n" in metrics
    assert 'kubelet_running_containers{container_state="running"} 1\n' in metrics
    [stats] = json.loads((await get(cluster, "stats/summary")).content)["pods"]
    assert stats["podRef"]["name"] == "p"
    assert stats["containers"][0]["memory"]["workingSetBytes"] == 16 << 20
    assert "simulated start of" in (await get(cluster, "containerLogs/default/p/c?tailLines=2")).text
    assert (await get(cluster, "exec/default/p/c")).status_code == 404
    assert (await get(cluster, "pods", "POST")).status_code == 405


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("containerLogs/default/zz/c", 404, 'pod "zz" does not exist'),
        ("containerLogs/default/p/zz", 404, 'container "zz" not found in pod "p"'),
        ("containerLogs/default/p/c?tailLines=x", 400, 'tailLines: Invalid value: "x": must be a non-negative number'),
    ],
)
async def test_logs_that_are_none(cluster: Cluster, path: str, code: int, message: str) -> None:
    """Pods and containers that are not here, and numbers that are none, are named."""
    await cluster.apply(POD)
    await cluster.wait_for(PODS, "p", "Ready")
    answer = await get(cluster, path)
    assert (answer.status_code, answer.json()["message"]) == (code, message)
