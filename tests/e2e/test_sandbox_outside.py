"""Pods in sandboxes and the world outside of the cluster, of which this machine stands for all."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import closing
from pathlib import Path
from shutil import which
from typing import Any

import anyio
import anyio.to_thread
import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import NETWORK_POLICIES
from minik8s.kubelet.runtime import packetfilter, wayout
from minik8s.kubelet.runtime.feasibility import why_impossible

PROBLEM = anyio.run(why_impossible)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(serve=False, runtime="sandbox"),
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
]
with_program = pytest.mark.skipif(which(wayout.PROGRAM) is None, reason=f"needs {wayout.PROGRAM}")
ASK = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.split(":")
    try:
        with socket.create_connection((host, int(port)), 10) as sock:
            print(sock.recv(100).decode())
    except OSError as error:
        print(type(error).__name__, error.errno)
"""


def pod(name: str, *argv: str, **spec: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "python", "command": ["python3", "-c", *argv]}
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [main], **spec}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


async def said(cluster: Cluster, obj: dict[str, Any]) -> list[str]:
    """Applies a pod, waits for its end, and answers what it said."""
    name = obj["metadata"]["name"]
    await cluster.apply(obj)
    await cluster.wait_for(PODS, name, lambda p: p["status"].get("phase") in ("Succeeded", "Failed"))
    async with cluster.client.logs(PODS, name, namespace="default") as chunks:
        return b"".join([chunk async for chunk in chunks]).decode().splitlines()


class Greeter:
    """A server of this machine, on 127.0.0.1, that greets whoever connects."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    async def serve(self) -> None:
        async with await anyio.abc.SocketListener.from_socket(self.listener) as listener:
            await listener.serve(self.greet)

    async def greet(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"hello")


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@with_program
async def test_pods_reach_the_machine(cluster: Cluster) -> None:
    """Its servers on 127.0.0.1 answer by the names that other local clusters have for it; a closed port refuses."""
    greeter = Greeter()
    async with anyio.create_task_group() as group:
        group.start_soon(greeter.serve)
        names = ("host.minikube.internal", "host.docker.internal", "outside.default")
        targets = [f"{name}:{greeter.port}" for name in names]
        spec = {"type": "ExternalName", "externalName": "host.docker.internal"}
        await cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "outside", "namespace": "default"},
                "spec": spec,
            }
        )
        lines = await said(cluster, pod("asks", ASK, *targets, f"host.minikube.internal:{free_port()}"))
        assert lines == ["hello", "hello", "hello", "ConnectionRefusedError 111"]
        lines = await said(cluster, pod("node", ASK, targets[0], hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"))
        assert lines == ["hello"]
        group.cancel_scope.cancel()


@with_program
@pytest.mark.skipif(not any(map(which, packetfilter.PROGRAMS)), reason="needs iptables")
async def test_policies_for_hosts_outside(cluster: Cluster) -> None:
    """An address block lets pods out to what is in it, and to nothing else."""
    greeter = Greeter()
    network = cluster.nodes.network
    assert network is not None
    machine = network.plan.machine
    async with anyio.create_task_group() as group:
        group.start_soon(greeter.serve)
        for name, cidr in (("in", f"{machine}/32"), ("out", "192.0.2.0/24")):
            egress = [{"to": [{"ipBlock": {"cidr": cidr}}]}]
            spec = {"podSelector": {"matchLabels": {"app": name}}, "policyTypes": ["Egress"], "egress": egress}
            metadata = {"name": name, "namespace": "default"}
            await cluster.client.create(NETWORK_POLICIES, {"metadata": metadata, "spec": spec})
        await cluster.settle()
        ask, target = ASK.replace("10)", "1)"), f"{machine}:{greeter.port}"
        assert await said(cluster, pod("in", ask, target)) == ["hello"]
        assert await said(cluster, pod("out", ask, target)) == ["TimeoutError None"]
        group.cancel_scope.cancel()


@with_program
async def test_the_way_out_comes_back(cluster: Cluster) -> None:
    """When the program that is the way out dies another takes its place."""
    greeter = Greeter()
    network = cluster.nodes.network
    assert network is not None
    async with anyio.create_task_group() as group:
        group.start_soon(greeter.serve)
        os.kill(program_of(os.getpid()), signal.SIGKILL)
        script = """
import socket, sys, time
while True:
    try:
        with socket.create_connection(("host.minikube.internal", int(sys.argv[1])), 1) as sock:
            print(sock.recv(100).decode())
            break
    except OSError:
        time.sleep(0.05)
"""
        assert await said(cluster, pod("asks", script, str(greeter.port))) == ["hello"]
        group.cancel_scope.cancel()


def program_of(parent: int) -> int:
    """The process that is the way out of a cluster of this process."""
    for listing in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in listing.read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == wayout.PROGRAM:
                return int(pid)
    raise LookupError(wayout.PROGRAM)


async def test_without_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pods that ask for hosts outside are refused at once, by name and by address, and the cluster knows why."""
    monkeypatch.setattr(wayout, "PROGRAM", "no-such-program")
    async with Cluster(serve=False, runtime="sandbox") as cluster:
        assert cluster.nodes.network is not None
        assert "no-such-program" in cluster.nodes.network.why_closed
        lines = await said(cluster, pod("asks", ASK, "192.0.2.1:80", "10.244.0.130:80"))
        assert lines == ["OSError 101", "OSError 101"]
