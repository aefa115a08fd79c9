"""Pods in sandboxes: real addresses, ports of their own, Services and files where they belong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES, Cluster
from minik8s.kubelet.runtime.feasibility import why_impossible

PROBLEM = anyio.run(why_impossible)
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(serve=False, runtime="sandbox"),
    pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM),
]


def pod(name: str, *command: str, image: str = "busybox", container: Any = None, **spec: Any) -> dict[str, Any]:
    """A pod whose one container runs a command."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": image, "command": list(command), **(container or {})}],
            **spec,
        },
    }


def ended(pod: Any) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


async def said(cluster: Cluster, obj: dict[str, Any]) -> list[str]:
    """Applies a pod, waits for its end, and answers what it said."""
    name = obj["metadata"]["name"]
    await cluster.apply(obj)
    last = await cluster.wait_for(PODS, name, ended)
    async with cluster.client.logs(PODS, name, namespace="default") as chunks:
        lines = b"".join([chunk async for chunk in chunks]).decode().splitlines()
    assert last["status"]["phase"] == "Succeeded", (lines, last["status"])
    return lines


async def test_the_shell_of_busybox(cluster: Cluster) -> None:
    """By its path too it is a shell that knows `[[`, whatever the machine's own /bin/sh may be."""
    script = "if [[ -r /nowhere ]]; then echo there; else echo missing; fi"
    assert await said(cluster, pod("brackets", "/bin/sh", "-c", script)) == ["missing"]


def web(replicas: int) -> dict[str, Any]:
    """A Deployment whose replicas all bind 0.0.0.0:8080."""
    template = pod("web", image="minik8s/testserver")
    container = {
        "name": "web",
        "image": "minik8s/testserver",
        "args": ["--host", "0.0.0.0"],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 1},
    }
    spec = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": template["metadata"]["labels"]}, "spec": spec},
        },
    }


def service(name: str, **port: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [port]},
    }


async def cluster_ip(cluster: Cluster, name: str) -> str:
    found = await cluster.client.get(SERVICES, name, namespace="default")
    return str(found["spec"]["clusterIP"])


FETCH = """
import json, sys, urllib.request
for url in sys.argv[1:]:
    print(json.load(urllib.request.urlopen(url, timeout=10))["hostname"])
"""


async def test_replicas_share_a_port_behind_a_service(cluster: Cluster) -> None:
    """Three replicas bind 0.0.0.0:8080; Service and pod addresses reach them from a pod, the Service from the host."""
    await cluster.apply([web(3), service("web", port=8080)])
    await cluster.wait_for(DEPLOYMENTS, "web", lambda d: d["status"].get("readyReplicas") == 3)
    pods = (await cluster.client.list(PODS, namespace="default")).items
    names = {found["metadata"]["name"]: found["status"]["podIP"] for found in pods}
    assert all(address.startswith("10.244.") for address in names.values()), names
    host, port = await cluster.address_of("default", "web", 8080)
    assert host.startswith("127.")
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = [(await client.get(f"http://{host}:{port}/")).json()["hostname"] for _ in range(1)]
    assert set(answers) <= set(names)
    address = await cluster_ip(cluster, "web")
    assert address.startswith(("10.96.", "10.97.", "10.98.", "10.99.", "10.10", "10.11"))
    urls = [f"http://{address}:8080/"] * 6 + [f"http://{ip}:8080/" for ip in names.values()]
    seen = await said(cluster, pod("client", "python3", "-c", FETCH, *urls, image="python"))
    assert Counter(seen[:6]) == dict.fromkeys(names, 2), "the Service takes turns"
    assert seen[6:] == list(names), "each pod has its own address"


async def test_a_pod_reaches_itself_and_is_refused_elsewhere(cluster: Cluster) -> None:
    """Within a pod 127.0.0.1 is the pod's own; a port nobody has is refused at once, by Services and pods alike."""
    script = """
import socket
listener = socket.create_server(("0.0.0.0", 80))
print(socket.create_connection(("127.0.0.1", 80), 10).getpeername()[0])
for host, port in (("10.96.0.77", 80), ("10.244.0.1", 1)):
    try:
        socket.create_connection((host, port), 10)
    except ConnectionRefusedError:
        print("refused")
"""
    lines = await said(cluster, pod("alone", "python3", "-c", script, image="python"))
    assert lines == ["127.0.0.1", "refused", "refused"]


async def test_datagrams_through_a_service(cluster: Cluster) -> None:
    """A pod's datagrams to a ClusterIP reach the pod behind it, and its answers come back from that address."""
    echo = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", 5353))
print("bound", flush=True)
while True:
    data, client = sock.recvfrom(100)
    sock.sendto(data.upper(), client)
"""
    ready = {"exec": {"command": ["grep", "-q", ":14E9 ", "/proc/net/udp"]}}
    server = pod("echo", "python3", "-c", echo, image="python", container={"readinessProbe": ready})
    await cluster.apply([server, service("echo", port=53, targetPort=5353, protocol="UDP")])
    await cluster.wait_for(PODS, "echo", "Ready")
    address = await cluster_ip(cluster, "echo")
    await cluster.address_of("default", "echo", 53)
    ask = f"""
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(1)
for _ in range(20):
    sock.sendto(b"hello", ("{address}", 53))
    try:
        data, sender = sock.recvfrom(100)
    except (TimeoutError, ConnectionRefusedError):
        continue
    print(data.decode(), sender[0])
    break
"""
    assert await said(cluster, pod("ask", "python3", "-c", ask, image="python")) == [f"HELLO {address}"]


async def test_files_lie_at_their_true_paths(cluster: Cluster, tmp_path: Path) -> None:
    """Volumes are mounted where the pod says, read-only where it says so; the host's files stay as they are."""
    await cluster.client.create(
        CONFIG_MAPS, {"metadata": {"name": "cm", "namespace": "default"}, "data": {"key": "value"}}
    )
    (tmp_path / "given").write_text("from the host\n")
    script = """
set -e
cat /etc/app/key; echo
cat /srv/data/given
echo back > /srv/data/taken
if echo x 2>/dev/null > /srv/fixed/taken; then echo writable; else echo read-only; fi
echo shadow > /etc/minik8s-shadow; cat /etc/minik8s-shadow
hostname; cat /etc/hostname; tail -n 4 /etc/hosts; cat /etc/resolv.conf
echo bye > /dev/termination-log
ls /var/run/secrets/kubernetes.io/serviceaccount
"""
    mounts = [
        {"name": "cm", "mountPath": "/etc/app"},
        {"name": "host", "mountPath": "/srv/data"},
        {"name": "host", "mountPath": "/srv/fixed", "readOnly": True},
    ]
    volumes = [{"name": "cm", "configMap": {"name": "cm"}}, {"name": "host", "hostPath": {"path": str(tmp_path)}}]
    aliases = [{"ip": "10.1.2.3", "hostnames": ["one", "two"]}]
    reader = pod("reader", "sh", "-c", script, container={"volumeMounts": mounts}, volumes=volumes, hostAliases=aliases)
    reader["spec"] |= {"hostname": "box", "subdomain": "sub"}
    lines = await said(cluster, reader)
    found = await cluster.client.get(PODS, "reader", namespace="default")
    status = found["status"]
    assert lines == [
        "value",
        "from the host",
        "read-only",
        "shadow",
        "box",
        "box",
        f"{status['podIP']}\tbox.sub.default.svc.cluster.local\tbox",
        "",
        "# Entries added by HostAliases.",
        "10.1.2.3\tone\ttwo",
        "search default.svc.cluster.local svc.cluster.local cluster.local",
        "nameserver 10.96.0.10",
        "options ndots:5",
        "ca.crt",
        "namespace",
        "token",
    ]
    assert await anyio.Path(tmp_path / "taken").read_text() == "back\n"
    assert status["containerStatuses"][0]["state"]["terminated"]["message"] == "bye\n"
    assert not await anyio.Path("/etc/minik8s-shadow").exists()


async def test_users_and_read_only_roots(cluster: Cluster) -> None:
    """runAsUser and runAsGroup are what the process is, and its files are its own; a read-only root takes nothing."""
    script = """
id -u; id -g
for file in /etc/x /x /usr/x; do
    if (echo x > $file) 2>/dev/null; then echo writable; else echo read-only; fi
done
echo x > /data/x && stat -c %u /data/x
grep CapEff /proc/self/status
"""
    container = {
        "securityContext": {"runAsUser": 1234, "runAsGroup": 99, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "emptyDir": {}}]
    lines = await said(cluster, pod("user", "sh", "-c", script, container=container, volumes=volumes))
    assert lines == ["1234", "99", "read-only", "read-only", "read-only", "1234", "CapEff:\t0000000000000000"]


async def test_names_and_parameters_of_a_pods_own(cluster: Cluster) -> None:
    """setHostnameAsFQDN, dnsConfig and sysctls are what a pod finds; parameters of others are refused."""
    security = {"sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "40000 41000"}]}
    options = {
        "subdomain": "sub",
        "setHostnameAsFQDN": True,
        "securityContext": security,
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.96.0.10"], "searches": ["default.svc.cluster.local"]},
    }
    script = "hostname; hostname -s; grep sub /etc/hosts; cat /etc/resolv.conf /proc/sys/net/ipv4/ip_local_port_range"
    lines = await said(cluster, pod("full", "sh", "-c", script, **options))
    status = (await cluster.client.get(PODS, "full", namespace="default"))["status"]
    assert lines == [
        "full.sub.default.svc.cluster.local",
        "full",
        f"{status['podIP']}\tfull.sub.default.svc.cluster.local\tfull",
        "search default.svc.cluster.local",
        "nameserver 10.96.0.10",
        "40000\t41000",
    ]
    security = {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
    await cluster.apply(pod("greedy", "true", securityContext=security))
    refused = await cluster.wait_for(PODS, "greedy", ended)
    assert refused["status"]["reason"] == "SysctlForbidden"


@pytest.mark.minik8s(serve=True)
async def test_a_pod_talks_to_the_api_server(cluster: Cluster) -> None:
    """With its service account's token and CA, at the address that its environment names."""
    script = """
import json, os, ssl, urllib.request
at = "/var/run/secrets/kubernetes.io/serviceaccount/"
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
headers = {"Authorization": "Bearer " + open(at + "token").read(), "Content-Type": "application/json"}
request = urllib.request.Request(url + "/apis/authentication.k8s.io/v1/selfsubjectreviews", body, headers)
answer = urllib.request.urlopen(request, timeout=10, context=ssl.create_default_context(cafile=at + "ca.crt"))
print(json.load(answer)["status"]["userInfo"]["username"])
"""
    await cluster.address_of("default", "kubernetes", 443)
    lines = await said(cluster, pod("caller", "python3", "-c", script, image="python"))
    assert lines == ["system:serviceaccount:default:default"]


async def test_proxy_subresources(cluster: Cluster) -> None:
    """pods/proxy and services/proxy reach pods in networks of their own; a closed port is told as upstream tells it."""
    await cluster.apply(web(1))
    await cluster.apply(service("web", port=80, targetPort=8080))
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    [found] = (await cluster.client.list(PODS, namespace="default")).items
    name = found["metadata"]["name"]
    prefix = "/api/v1/namespaces/default"
    for path in (f"{prefix}/pods/{name}:8080/proxy/", f"{prefix}/services/web:80/proxy/"):
        with anyio.fail_after(20):
            while (answer := await cluster.http.get(path)).status_code == 503:  # the EndpointSlice comes a moment later
                await anyio.lowlevel.checkpoint()
        assert answer.json()["hostname"] == name
    refused = await cluster.http.get(f"{prefix}/pods/{name}:81/proxy/")
    where = f"dial tcp {found['status']['podIP']}:81"
    assert refused.json()["message"] == f"error trying to reach service: {where}: connect: connection refused"


async def test_names(cluster: Cluster) -> None:
    """A pod finds Services by their names, short and whole, and reaches them; a name that is none is not found."""
    await cluster.apply(web(1))
    service = await cluster.client.create(
        SERVICES,
        {
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    await cluster.address_of("default", "web", 80)
    script = """
import socket, urllib.request
print(socket.gethostbyname("web"), socket.gethostbyname("web.default.svc.cluster.local"))
print(urllib.request.urlopen("http://web.default", timeout=20).status)
try:
    socket.gethostbyname("nobody.default.svc.cluster.local")
except socket.gaierror:
    print("not found")
"""
    address = service["spec"]["clusterIP"]
    lines = await said(cluster, pod("asks", "python", "-c", script, image="python"))
    assert lines == [f"{address} {address}", "200", "not found"]
