"""Policies and host ports where pods have networks of their own."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import NETWORK_POLICIES
from minik8s.kubelet.runtime.feasibility import why_impossible

PROBLEM = anyio.run(why_impossible)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(serve=False, runtime="sandbox"),
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
]
ASK = """
import socket, sys
name = socket.gethostbyname("web")
try:
    with socket.create_connection((name, 80), 10) as sock:
        sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        print("open" if sock.recv(100) else "cut")
except ConnectionError:
    print("refused")
"""


def pod(name: str, container: dict[str, Any]) -> dict[str, Any]:
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", **container}]}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def asked(cluster: Cluster, name: str) -> str:
    """What a pod that asks the Service hears."""
    await cluster.apply([pod(name, {"image": "python", "command": ["python3", "-c", ASK]})])
    await cluster.wait_for(PODS, name, lambda p: p["status"].get("phase") in ("Succeeded", "Failed"))
    async with cluster.client.logs(PODS, name, namespace="default") as chunks:
        return b"".join([chunk async for chunk in chunks]).decode().strip()


async def test_policies_and_host_ports(cluster: Cluster, free_tcp_port: int) -> None:
    """Of two pods that ask a Service by name, the one that a policy does not name is reset; the host's port answers."""
    server = {
        "image": "minik8s/testserver",
        "args": ["--host", "0.0.0.0"],
        "ports": [{"name": "http", "containerPort": 8080, "hostPort": free_tcp_port}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    policy: Any = {
        "metadata": {"name": "only-friends", "namespace": "default"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": "friend"}}}, {"ipBlock": {"cidr": "127.0.0.0/8"}}],
                    "ports": [{"port": "http"}],
                }
            ],
        },
    }
    await cluster.apply([pod("web", server), service])
    await cluster.wait_for(PODS, "web", "Ready")
    await cluster.address_of("default", "web", 80)
    await cluster.client.create(NETWORK_POLICIES, policy)
    await cluster.settle()
    assert await asked(cluster, "friend") == "open"
    assert await asked(cluster, "stranger") == "refused"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{free_tcp_port}/")).status_code == 200
