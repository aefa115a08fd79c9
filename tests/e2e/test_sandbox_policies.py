"""NetworkPolicies where pods have networks of their own, for connections that no Service is part of."""

from __future__ import annotations

import shutil
from typing import Any

import anyio
import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import NETWORK_POLICIES
from minik8s.kubelet.runtime import packetfilter
from minik8s.kubelet.runtime.feasibility import why_impossible

PROBLEM = anyio.run(why_impossible)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(serve=False, runtime="sandbox"),
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
    pytest.mark.skipif(not any(map(shutil.which, packetfilter.PROGRAMS)), reason="needs iptables"),
]
SERVE = """
import socket, threading
def stream():
    with socket.create_server(("", 8080)) as listener:
        while True:
            listener.accept()[0].sendall(b"stream")
def datagrams():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("", 8080))
        while True:
            sock.sendto(b"datagram", sock.recvfrom(9)[1])
threading.Thread(target=datagrams).start()
stream()
"""
ASK = """
import socket, sys
for target in sys.argv[1:]:
    kind, host, port = target.split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        try:
            sock.connect((host, int(port)))
            sock.send(b"x")
            print(sock.recv(99).decode())
        except TimeoutError:
            print("silence")
        except ConnectionResetError:
            print("reset")
"""


def pod(name: str, *argv: str, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "python", "command": ["python3", "-c", *argv], **container}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [main]}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def said(cluster: Cluster, obj: dict[str, Any]) -> list[str]:
    """Applies a pod, waits for its end, and answers what it said."""
    name = obj["metadata"]["name"]
    await cluster.apply(obj)
    await cluster.wait_for(PODS, name, lambda p: p["status"].get("phase") in ("Succeeded", "Failed"))
    async with cluster.client.logs(PODS, name, namespace="default") as chunks:
        return b"".join([chunk async for chunk in chunks]).decode().splitlines()


def policy(name: str, selected: dict[str, str], **spec: Any) -> Any:
    metadata = {"name": name, "namespace": "default"}
    return {"metadata": metadata, "spec": {"podSelector": {"matchLabels": selected}, **spec}}


async def test_connections_by_address(cluster: Cluster) -> None:
    """A pod that is not named hears nothing by address, over TCP or UDP; once the policy is gone it is answered."""
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    await cluster.apply(pod("web", SERVE, readinessProbe=probe))
    server = await cluster.wait_for(PODS, "web", "Ready")
    targets = [f"{kind}:{server['status']['podIP']}:8080" for kind in ("tcp", "udp")]
    friends = [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}]
    await cluster.client.create(NETWORK_POLICIES, policy("friends", {"app": "web"}, ingress=friends))
    await cluster.settle()
    assert await said(cluster, pod("friend", ASK, *targets)) == ["stream", "datagram"]
    assert await said(cluster, pod("stranger", ASK, *targets)) == ["silence", "silence"]
    found = await cluster.client.get(PODS, "web", namespace="default")
    assert found["status"]["containerStatuses"][0]["ready"], "its node's probes are let in"
    await cluster.client.delete(NETWORK_POLICIES, "friends", namespace="default")
    await cluster.settle()
    assert await said(cluster, pod("anybody", ASK, *targets)) == ["stream", "datagram"]


async def test_names_under_a_policy_for_egress(cluster: Cluster) -> None:
    """Who may ask cluster DNS, by the labels that it has upstream, and nobody else, finds names and reaches nothing."""
    dns = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    await cluster.apply(pod("web", SERVE, readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1}))
    server = await cluster.wait_for(PODS, "web", "Ready")
    restricted = policy("names", {"app": "asks"}, policyTypes=["Egress"], egress=[dns])
    await cluster.client.create(NETWORK_POLICIES, restricted)
    await cluster.address_of("kube-system", "kube-dns", 53)
    await cluster.settle()
    script = "import socket; print(socket.gethostbyname('kubernetes.default'))\n" + ASK
    lines = await said(cluster, pod("asks", script, f"tcp:{server['status']['podIP']}:8080"))
    assert lines == ["10.96.0.1", "silence"]


async def test_where_packets_cannot_be_filtered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who creates a policy is warned of what it is not asked about, and why."""
    monkeypatch.setattr(packetfilter, "PROGRAMS", ("no-such-program",))
    async with Cluster(serve=False, runtime="sandbox") as cluster:
        answer = await cluster.http.post(
            "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", json=policy("p", {})
        )
        assert answer.status_code == 201
        warning = answer.headers["warning"]
        assert "not those to pods and other hosts by address: it needs iptables" in warning
    async with Cluster(serve=False, runtime="subprocess") as cluster:
        answer = await cluster.http.post(
            "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", json=policy("p", {})
        )
        assert "traffic is not filtered" in answer.headers["warning"]
