"""The DNS server against real sockets: dnspython's own client asks."""

from __future__ import annotations

import socket
from random import Random
from typing import Any

import anyio
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from anyio import to_thread

from minik8s import SERVICES, Cluster
from minik8s.api.resources import ENDPOINT_SLICES
from minik8s.client.informer import Informers
from minik8s.dns.server import DnsServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.minik8s(nodes=0, serve=False, proxy=False, controllers=(), scheduler=False, dns=True),
]
SECONDS = 20


async def ask(cluster: Cluster, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    import dns.query

    host, port = cluster.dns_address
    query = dns.message.make_query(name, kind)
    function: Any = dns.query.tcp if tcp else dns.query.udp
    return await to_thread.run_sync(lambda: function(query, host, port=port, timeout=SECONDS))


def data(message: dns.message.Message) -> list[str]:
    return [record.to_text() for rrset in message.answer for record in rrset]


async def add_service(cluster: Cluster, name: str, **spec: Any) -> Any:
    body: Any = {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80}], **spec}}
    return await cluster.client.create(SERVICES, body)


@pytest.mark.parametrize("tcp", [False, True])
async def test_services(cluster: Cluster, tcp: bool) -> None:
    """A Service is known as soon as it is there; the server's own Service has the tenth address."""
    service = await add_service(cluster, "web")
    await cluster.settle()
    answer = await ask(cluster, "web.default.svc.cluster.local", tcp=tcp)
    assert data(answer) == [service["spec"]["clusterIP"]]
    assert answer.flags & dns.flags.AA
    assert data(await ask(cluster, "kube-dns.kube-system.svc.cluster.local", tcp=tcp)) == ["127.96.0.10"]
    missing = await ask(cluster, "none.default.svc.cluster.local", tcp=tcp)
    assert missing.rcode() == dns.rcode.NXDOMAIN


async def test_long_answers_go_over_tcp(cluster: Cluster) -> None:
    """An answer that no datagram holds is marked as cut, and whole over TCP."""
    await add_service(cluster, "many", clusterIP="None")
    endpoints = [{"addresses": [f"10.244.{n // 250}.{n % 250 + 1}"]} for n in range(300)]
    labels = {"kubernetes.io/service-name": "many"}
    metadata: Any = {"name": "many-1", "namespace": "default", "labels": labels}
    await cluster.client.create(
        ENDPOINT_SLICES, {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 80}]}
    )
    await cluster.settle()
    cut = await ask(cluster, "many.default.svc.cluster.local")
    assert cut.flags & dns.flags.TC
    assert data(cut) == []
    assert len(data(await ask(cluster, "many.default.svc.cluster.local", tcp=True))) == 300


async def test_other_names(cluster: Cluster) -> None:
    """Names outside of the cluster are this machine's resolver's affair, and an ExternalName's answer is whole."""
    answer = await ask(cluster, "localhost")
    assert data(answer) == ["127.0.0.1"]
    assert not answer.flags & dns.flags.AA
    await add_service(cluster, "far", type="ExternalName", externalName="localhost")
    await cluster.settle()
    assert data(await ask(cluster, "far.default.svc.cluster.local")) == ["localhost.", "127.0.0.1"]
    assert data(await ask(cluster, "far.default.svc.cluster.local", "CNAME")) == ["localhost."]


async def test_what_is_not_there(cluster: Cluster) -> None:
    """Answers without records say for how long that is true, and whether the name has other records."""
    for name, kind, code in (("kube-dns.kube-system", "MX", dns.rcode.NOERROR), ("a.b", "A", dns.rcode.NXDOMAIN)):
        answer = await ask(cluster, f"{name}.svc.cluster.local", kind)
        assert answer.rcode() == code
        assert [rrset.to_text()[:40] for rrset in answer.authority] == ["cluster.local. 5 IN SOA ns.dns.cluster.l"]
    assert (await ask(cluster, "cluster.local", "AXFR", tcp=True)).rcode() == dns.rcode.REFUSED


async def test_addresses_take_turns(cluster: Cluster) -> None:
    """Who always takes the first address of a headless Service gets to each of them."""
    await add_service(cluster, "pair", clusterIP="None")
    metadata: Any = {"name": "pair-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "pair"}}
    endpoints: Any = [{"addresses": [f"10.244.0.{n}"]} for n in (1, 2, 3)]
    await cluster.client.create(
        ENDPOINT_SLICES, {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 80}]}
    )
    await cluster.settle()
    answers = [data(await ask(cluster, "pair.default.svc.cluster.local")) for _ in range(3)]
    assert sorted(answer[0] for answer in answers) == ["10.244.0.1", "10.244.0.2", "10.244.0.3"]


async def test_answers_that_come_at_once(cluster: Cluster) -> None:
    """Answers out of the caches and answers for which others were asked do not get in each other's way."""
    informers = Informers(cluster.client, cluster.clock, Random(1))
    server = DnsServer(cluster.client, informers, "127.96.0.11", hosts={"near.example": "192.0.2.1"})
    names = ["near.example", "kube-dns.kube-system.svc.cluster.local"] * 20
    questions = [dns.message.make_query(name, "A") for name in names]
    async with anyio.create_task_group() as group:
        group.start_soon(informers.run)
        group.start_soon(server.run)
        await server.ready.wait()
        async with await anyio.create_udp_socket(family=socket.AF_INET, local_host="127.0.0.1") as client:
            for question in questions:
                await client.sendto(question.to_wire(), *server.address)
            with anyio.fail_after(SECONDS):
                answers = [dns.message.from_wire((await client.receive())[0]) for _ in questions]
        group.cancel_scope.cancel()
    assert {answer.id for answer in answers} == {question.id for question in questions}
    assert {tuple(data(answer)) for answer in answers} == {("192.0.2.1",), ("127.96.0.10",)}


@pytest.mark.parametrize("datagram", [b"", b"\0", b"x" * 600, b"\0" * 12, bytes(range(64))])
async def test_what_is_no_question(cluster: Cluster, datagram: bytes) -> None:
    """Garbage is dropped or refused, and the next question is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(datagram, cluster.dns_address)
    stream = await anyio.connect_tcp(*cluster.dns_address)
    async with stream:
        await stream.send(len(datagram).to_bytes(2, "big") + datagram)
    assert data(await ask(cluster, "kube-dns.kube-system.svc.cluster.local")) == ["127.96.0.10"]


@pytest.mark.minik8s(dns=False)
async def test_without_dns(cluster: Cluster) -> None:
    """A cluster without DNS says so."""
    with pytest.raises(RuntimeError, match="runs no DNS"):
        _ = cluster.dns_address
