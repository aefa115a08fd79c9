"""Who a server in a sandbox sees: pods come under their own addresses, through Services too."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from minik8s import PODS, Cluster
from minik8s.kubelet.runtime.feasibility import why_impossible

PROBLEM = anyio.run(why_impossible)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(serve=False, runtime="sandbox"),
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
]
ASK = """
import socket
def ask(kind, host, port, text):
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.settimeout(10)
        sock.connect((host, port))
        sock.send(text)
        return sock.recv(100).decode()
"""
SERVE = (
    ASK
    + """
import socketserver, threading
class Stream(socketserver.BaseRequestHandler):
    def handle(self):
        seen = self.client_address[0]
        if self.request.recv(100) == b"own":
            seen = ask(socket.SOCK_STREAM, "web.default", 80, b"x")
        self.request.send(seen.encode())
class Datagram(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(self.client_address[0].encode(), self.client_address)
stream = socketserver.ThreadingTCPServer(("", 8080), Stream)
datagram = socketserver.UDPServer(("", 8080), Datagram)
threading.Thread(target=datagram.serve_forever).start()
stream.serve_forever()
"""
)
TELL = (
    ASK
    + """
import os, sys
print(os.environ["POD_IP"])
for kind, host, port, text in (
    (socket.SOCK_STREAM, "web", 80, b"x"),
    (socket.SOCK_DGRAM, "web", 80, b"x"),
    (socket.SOCK_STREAM, sys.argv[1], 8080, b"x"),
    (socket.SOCK_STREAM, "web", 80, b"own"),
):
    print(ask(kind, host, port, text))
"""
)


def pod(name: str, *argv: str, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "python", "command": ["python3", "-c", *argv], **container}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [main]}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


async def test_servers_see_the_address_of_the_pod_that_asks(cluster: Cluster) -> None:
    """By a Service over TCP and UDP as by address, a pod is seen under its own; what asks itself is answered, too."""
    ports = [{"name": name, "protocol": name.upper(), "port": 80, "targetPort": 8080} for name in ("tcp", "udp")]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": ports},
    }
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    await cluster.apply([pod("web", SERVE, readinessProbe=probe), service])
    server = await cluster.wait_for(PODS, "web", "Ready")
    await cluster.address_of("default", "web", 80)
    await cluster.apply([pod("client", TELL, server["status"]["podIP"])])
    await cluster.wait_for(PODS, "client", lambda p: p["status"].get("phase") in ("Succeeded", "Failed"))
    async with cluster.client.logs(PODS, "client", namespace="default") as chunks:
        said = b"".join([chunk async for chunk in chunks]).decode().split()
    own = said[0]
    assert own != server["status"]["podIP"]
    assert said == [own, own, own, own, "10.244.0.1"], said
