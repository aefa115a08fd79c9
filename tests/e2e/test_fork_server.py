"""What becomes of pods when the process that starts containers is killed."""

from __future__ import annotations

import os
import signal
from typing import Any

import anyio
import httpx
import pytest

from minik8s import DEPLOYMENTS, PODS, Cluster
from minik8s.kubelet.runtime.feasibility import why_impossible

PROBLEM = anyio.run(why_impossible)
pytestmark = pytest.mark.anyio
RUNTIMES = [
    pytest.param("subprocess", marks=pytest.mark.minik8s(serve=False, runtime="subprocess")),
    pytest.param(
        "sandbox",
        marks=[
            pytest.mark.minik8s(serve=False, runtime="sandbox"),
            pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
        ],
    ),
]


def once(name: str) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox", "command": ["sleep", "1000"]}
    spec = {"restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


WEB: Any = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "minik8s/testserver",
                        "args": ["--host", "$(POD_IP)"],
                        "env": [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
                        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
                    }
                ]
            },
        },
    },
}
SERVICE: Any = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]},
}


def restarted(deployment_pods: list[Any]) -> bool:
    return all(
        status["restartCount"] == 1 and status["ready"]
        for pod in deployment_pods
        for status in pod["status"]["containerStatuses"]
    )


@pytest.mark.parametrize("runtime", RUNTIMES)
async def test_pods_survive_the_fork_server(cluster: Cluster, runtime: str) -> None:
    """Containers are told to have been killed: those to be restarted are, under the same address, and answer again."""
    await cluster.apply([WEB, SERVICE, once("once")])
    await cluster.wait_for(DEPLOYMENTS, "web", lambda d: d["status"].get("readyReplicas") == 2)
    await cluster.wait_for(PODS, "once", "Ready")
    before = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in await web_pods(cluster)}
    spawner = cluster.nodes._spawner
    assert spawner is not None
    os.kill(spawner.pid, signal.SIGKILL)
    failed = await cluster.wait_for(PODS, "once", lambda pod: pod["status"]["phase"] == "Failed")
    assert failed["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137
    with anyio.fail_after(40):
        while not restarted(await web_pods(cluster)):
            await anyio.lowlevel.checkpoint()
    assert {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in await web_pods(cluster)} == before
    await cluster.settle()
    host, port = await cluster.address_of("default", "web", 8080)
    async with httpx.AsyncClient(trust_env=False, headers={"connection": "close"}) as client:
        seen = {(await client.get(f"http://{host}:{port}/")).json()["hostname"] for _ in range(2)}
    assert seen == set(before)


async def web_pods(cluster: Cluster) -> list[Any]:
    return (await cluster.client.list(PODS, namespace="default", label_selector="app=web")).items
