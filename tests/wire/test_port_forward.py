"""kubectl port-forward and the Python clients' stream helpers against real processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from minik8s import PODS
from minik8s.blocking import BlockingCluster

pytestmark = pytest.mark.modern_kubectl
CLIENT_NODE = "@kubernetes/client-node@1.4.0"
SERVER = """
import hashlib, http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self): self.answer(b"x" * int(self.path.strip("/")))
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())
class Server(http.server.ThreadingHTTPServer): request_queue_size = 100
Server((os.environ["POD_IP"], 8080), Handler).serve_forever()
"""


def leaves_sockets(test: Any) -> Any:
    """Marks a test of a client that leaves its sockets to the garbage collector."""
    return pytest.mark.usefixtures("aiohttp_leftovers")(
        pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")(test)
    )


@pytest.fixture(scope="module")
def wire_cluster() -> Iterator[BlockingCluster]:
    """One cluster for the module, whose containers are processes."""
    with BlockingCluster(nodes=1, freeze=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def web(wire_cluster: BlockingCluster) -> str:
    """A pod with a web server, and a Service before it, in the namespace default; their name."""
    container = {"name": "c", "image": "python", "command": [sys.executable, "-c", SERVER]}
    container |= {"ports": [{"name": "http", "containerPort": 8080}]}
    container |= {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1}}
    meta = {"name": "w", "labels": {"app": "w"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}
    spec = {"selector": {"app": "w"}, "ports": [{"port": 80, "targetPort": "http"}]}
    wire_cluster.apply([pod, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}])
    wire_cluster.wait_for(PODS, "w", "Ready")
    return "w"


@contextmanager
def forwarded(kubectl: Any, *args: str, count: int = 1) -> Iterator[list[int]]:
    """Local ports that kubectl forwards."""
    command = [str(kubectl.binary), "port-forward", "--address=127.0.0.1", "--namespace=default", *args]
    with subprocess.Popen(command, env=kubectl.env, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        ports: list[int] = []
        while len(ports) < count and (line := process.stdout.readline()):
            ports += [int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", line)]
        try:
            yield ports
        finally:
            process.terminate()


def fetch(port: int, size: int, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{size}", data, timeout=60) as response:
        body: bytes = response.read()
    return body


@pytest.mark.parametrize("transport", ["websocket", "spdy"])
@pytest.mark.parametrize("target", ["pod/w", "service/w"])
def test_kubectl_port_forward(kubectl_admin: Any, web: str, transport: str, target: str) -> None:
    """Requests side by side and megabytes each way go through one port-forward, to a pod or by a Service to its pod."""
    kubectl_admin.env["KUBECTL_PORT_FORWARD_WEBSOCKETS"] = "true" if transport == "websocket" else "false"
    with forwarded(kubectl_admin, target, ":8080" if target == "pod/w" else ":80") as [port]:
        sizes: list[int] = []
        threads = [threading.Thread(target=lambda: sizes.append(len(fetch(port, 100_000)))) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sizes == [100_000] * 20
        assert len(fetch(port, 20_000_000)) == 20_000_000
        data = os.urandom(5 << 20)
        assert fetch(port, 0, data).decode() == hashlib.sha256(data).hexdigest()


def test_several_ports(kubectl_admin: Any, web: str) -> None:
    """One command forwards several ports; a closed one fails alone, with the reason."""
    with forwarded(kubectl_admin, "pod/w", ":8080", ":8080", count=2) as ports:
        assert [fetch(port, 3) for port in ports] == [b"xxx"] * 2


@leaves_sockets
def test_official_client(wire_cluster: BlockingCluster, web: str) -> None:
    """`kubernetes`: exec with input and exit code, and a socket to a port, through its own stream helpers."""
    kubernetes = pytest.importorskip("kubernetes")
    from kubernetes.stream import portforward, stream

    with kubernetes.config.new_client_from_config(str(wire_cluster.kubeconfig)) as api_client:
        api = kubernetes.client.CoreV1Api(api_client)
        call = api.connect_get_namespaced_pod_exec
        assert stream(call, "w", "default", command=["echo", "hi"], stdout=True, stderr=True) == "hi\n"
        script = "read x; echo got $x; echo oh >&2; exit 5"
        options: dict[str, Any] = {"command": ["sh", "-c", script], "stdin": True, "stdout": True, "stderr": True}
        session = stream(call, "w", "default", _preload_content=False, **options)
        session.write_stdin("abc\n")
        session.run_forever(timeout=30)
        assert (session.read_stdout(), session.read_stderr(), session.returncode) == ("got abc\n", "oh\n", 5)
        session.close()
        forward = portforward(api.connect_get_namespaced_pod_portforward, "w", "default", ports="8080")
        socket = forward.socket(8080)
        socket.setblocking(True)
        socket.sendall(b"GET /3 HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := socket.recv(4096):
            answer += data
        assert answer.endswith(b"\r\n\r\nxxx")
        assert forward.error(8080) is None
        socket.close()


@pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning")
@leaves_sockets
def test_kr8s(wire_cluster: BlockingCluster, web: str) -> None:
    """`kr8s`: exec and port-forward, the latter without any subprotocol."""
    kr8s = pytest.importorskip("kr8s")
    api = kr8s.api(kubeconfig=str(wire_cluster.kubeconfig))
    pod = kr8s.objects.Pod.get("w", namespace="default", api=api)
    result = pod.exec(["sh", "-c", "echo out; echo err >&2"])
    assert (result.stdout, result.stderr, result.returncode) == (b"out\n", b"err\n", 0)
    assert pod.exec(["sh", "-c", "exit 3"], check=False).returncode == 3
    with pod.portforward(remote_port=8080, local_port=None) as port:
        assert fetch(port, 3) == b"xxx"
        assert len(fetch(port, 1_000_000)) == 1_000_000


@leaves_sockets
def test_asyncio_client(wire_cluster: BlockingCluster, web: str) -> None:
    """`kubernetes_asyncio`: its WsApiClient reads a command's output, and its exit code from the error channel."""
    kubernetes = pytest.importorskip("kubernetes_asyncio")
    from kubernetes_asyncio.stream import WsApiClient

    async def main() -> None:
        await kubernetes.config.load_kube_config(str(wire_cluster.kubeconfig))
        async with WsApiClient() as sockets:
            call = kubernetes.client.CoreV1Api(api_client=sockets).connect_get_namespaced_pod_exec
            options: dict[str, Any] = {"stdout": True, "stderr": True, "stdin": True, "tty": False}
            options["_preload_content"] = False
            async with await call("w", "default", command=["sh", "-c", "read x; echo $x; exit 3"], **options) as socket:
                await socket.send_str("\x00abc\n")
                received = [message.data async for message in socket]
            assert received[0] == b"\x01abc\n"
            assert sockets.parse_error_data(received[1][1:]) == 3

    asyncio.run(main())


def test_javascript_client(wire_cluster: BlockingCluster, web: str, npm_package: Callable[[str], Path]) -> None:
    """`@kubernetes/client-node`: exec, the end of its input, and port-forward; `client_node_streams.mjs` says how."""
    folder = npm_package(CLIENT_NODE)
    script = Path(__file__).with_name("client_node_streams.mjs")
    shutil.copy(script, folder)
    env = {**os.environ, "KUBECONFIG": str(wire_cluster.kubeconfig)}
    command = ["node", script.name, "default", "w"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
