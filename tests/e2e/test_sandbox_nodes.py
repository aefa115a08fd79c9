"""Nodes in the pods' network of the sandbox: their addresses, their ports, and the pods that share their networks."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from minik8s import DEPLOYMENTS, NODES, PODS, SERVICES, Cluster
from tests.e2e.test_sandbox import FETCH, PROBLEM, pod, said, service, web

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(serve=False, runtime="sandbox"),
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
]


async def test_pods_with_hostnetwork(cluster: Cluster, free_tcp_port: int) -> None:
    """Such a pod has its node's address and name, reaches pods and Services, and answers on the machine as well."""
    await cluster.apply([web(1), service("web", port=80, targetPort=8080)])
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    await cluster.address_of("default", "web", 80)
    [found] = (await cluster.client.list(PODS, namespace="default")).items
    node = await cluster.client.get(NODES, "node-1")
    own = {entry["type"]: entry["address"] for entry in node["status"]["addresses"]}
    assert own == {"InternalIP": "10.244.0.2", "Hostname": "node-1"}
    volumes = [{"name": "data", "emptyDir": {}}]
    options: Any = {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet", "volumes": volumes}
    urls = f"http://{found['status']['podIP']}:8080 http://web"
    script = f"hostname; head -n 1 /etc/hosts; ls /data; python3 -c '{FETCH}' {urls}"
    container = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    name = found["metadata"]["name"]
    lines = await said(cluster, pod("asks", "sh", "-c", script, container=container, **options))
    assert lines == ["node-1", "# Kubernetes-managed hosts file (host network).", name, name]

    container = {"args": ["--host", "0.0.0.0", "--port", str(free_tcp_port)], "command": None}
    container["ports"] = [{"containerPort": free_tcp_port}]
    server = pod("server", image="minik8s/testserver", container=container, **options)
    await cluster.apply(server)
    server = await cluster.wait_for(PODS, "server", "Ready")
    assert server["status"]["podIP"] == server["status"]["hostIP"] == "10.244.0.2"
    async with httpx.AsyncClient(trust_env=False) as client:
        with anyio.fail_after(20):
            while True:
                try:
                    answer = await client.get(f"http://127.0.0.1:{free_tcp_port}/")
                    break
                except httpx.TransportError:  # it does not listen yet
                    await anyio.lowlevel.checkpoint()
    assert answer.json()["hostname"] == "node-1"
    url = f"http://10.244.0.2:{free_tcp_port}/"
    assert await said(cluster, pod("other", "python3", "-c", FETCH, url, image="python")) == ["node-1"]


@pytest.mark.minik8s(serve=False, runtime="sandbox", nodes=2)
async def test_ports_of_nodes_from_inside(cluster: Cluster, free_tcp_port: int) -> None:
    """Pods reach node ports at every node's address, of a Local policy where the pod is; host ports at its node's."""
    obj = web(1)
    obj["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": free_tcp_port}]
    await cluster.apply([obj, service("web", port=80, targetPort=8080), service("near", port=80, targetPort=8080)])
    for name, policy in (("web", "Cluster"), ("near", "Local")):
        spec = {"type": "NodePort", "externalTrafficPolicy": policy, "selector": {"app": "web"}}
        await cluster.client.patch(SERVICES, name, {"spec": spec}, namespace="default")
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    [found] = (await cluster.client.list(PODS, namespace="default")).items
    here = found["status"]["hostIP"]
    there = {"10.244.0.2": "10.244.0.3", "10.244.0.3": "10.244.0.2"}[here]
    ports = []
    for name in ("web", "near"):
        await cluster.address_of("default", name, 80)
        got = await cluster.client.get(SERVICES, name, namespace="default")
        ports.append(got["spec"]["ports"][0]["nodePort"])
    await cluster.settle()
    targets = [(host, port) for host in (here, there) for port in (*ports, free_tcp_port)]
    script = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.split(":")
    try:
        with socket.create_connection((host, int(port)), 10) as sock:
            sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            print("answers" if sock.recv(1) else "cut")
    except ConnectionRefusedError:
        print("refused")
"""
    argv = [f"{host}:{port}" for host, port in targets]
    lines = await said(cluster, pod("asks", "python3", "-c", script, *argv, image="python"))
    assert lines == ["answers"] * 4 + ["refused"] * 2


async def test_load_balancers_from_inside(cluster: Cluster) -> None:
    """A pod reaches a load balancer's address as the machine does; one without endpoints refuses it."""
    await cluster.apply([web(1), service("web", port=80, targetPort=8080), service("nobody", port=80)])
    hosts = []
    for name in ("web", "nobody"):
        await cluster.client.patch(SERVICES, name, {"spec": {"type": "LoadBalancer"}}, namespace="default")
        found = await cluster.wait_for(SERVICES, name, lambda s: s["status"]["loadBalancer"].get("ingress"))
        hosts.append(found["status"]["loadBalancer"]["ingress"][0]["ip"])
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    await cluster.address_of("default", "web", 80)
    await cluster.settle()
    [found] = (await cluster.client.list(PODS, namespace="default")).items
    script = f"""{FETCH}
import socket
try:
    socket.create_connection(({hosts[1]!r}, 80), 10)
except ConnectionRefusedError:
    print("refused")
"""
    lines = await said(cluster, pod("asks", "python3", "-c", script, f"http://{hosts[0]}/", image="python"))
    assert lines == [found["metadata"]["name"], "refused"]
    assert [host.partition(".")[0] for host in hosts] == ["127", "127"]
