"""Services of type LoadBalancer: who gets a balancer, at which address, and what is said and tidied up."""

from __future__ import annotations

import sys
from ipaddress import IPv4Network
from random import Random
from typing import Any

import anyio
import pytest

from minik8s import SERVICES, Cluster
from minik8s.api.resources import ENDPOINT_SLICES
from minik8s.controllers import service_lb_plan as plan
from minik8s.controllers.service_lb import ServiceLBController

NETWORK = IPv4Network("127.160.0.0/12")
PORTS = [{"port": 80, "targetPort": 8080}]


def service(kind: str = "LoadBalancer", **spec: Any) -> Any:
    return {"metadata": {"name": "web", "uid": "u"}, "spec": {"type": kind, "ports": PORTS, **spec}}


def at(*addresses: str) -> Any:
    return service() | {"status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}}


def annotated() -> Any:
    return service() | {"metadata": {"name": "web", "uid": "u", "annotations": {"a": "b"}}}


@pytest.mark.parametrize(
    ("old", "new", "wanted", "said"),
    [
        (service(), service(), False, None),
        (service(), at("127.160.0.9"), False, None),
        (service("ClusterIP"), service("NodePort"), False, None),
        (service("ClusterIP"), service(), True, ("Type", "ClusterIP -> LoadBalancer")),
        (service(), service("NodePort"), True, ("Type", "LoadBalancer -> NodePort")),
        (service(loadBalancerClass="x"), service(loadBalancerClass="x", sessionAffinity="ClientIP"), False, None),
        (service(), service(ports=[]), True, None),
        (service(), annotated(), True, None),
        (
            service(),
            service(loadBalancerSourceRanges=["10.0.0.0/8", "::/0"]),
            True,
            ("LoadBalancerSourceRanges", "[] -> [10.0.0.0/8 ::/0]"),
        ),
        (service(), service(loadBalancerIP="127.160.0.9"), True, ("LoadbalancerIP", " -> 127.160.0.9")),
        (service(), service(externalIPs=["1.1.1.1"]), True, ("ExternalIP", "Count: 0 -> 1")),
        (service(externalIPs=["1.1.1.1"]), service(externalIPs=["1.1.1.2"]), True, ("ExternalIP", "Added: 1.1.1.2")),
        (
            service(externalTrafficPolicy="Cluster"),
            service(externalTrafficPolicy="Local"),
            True,
            ("ExternalTrafficPolicy", "Cluster -> Local"),
        ),
    ],
)
def test_changes(old: Any, new: Any, wanted: bool, said: Any) -> None:
    """What wakes the balancer, and its event; the status never does."""
    assert plan.change(old, new) == (wanted, said)


def test_addresses() -> None:
    """One keeps its address, may ask for one of the network, and never gets one that is taken."""
    rng = Random(1)
    assert plan.choose(at("127.160.0.9"), (), NETWORK, rng) == "127.160.0.9"
    assert plan.choose(at("10.0.0.1"), (), NETWORK, rng).startswith("127.16")
    assert plan.choose(service(loadBalancerIP="127.161.0.1"), (), NETWORK, rng) == "127.161.0.1"
    small = IPv4Network("127.160.0.0/30")
    assert plan.choose(at("127.160.0.1"), ["127.160.0.1"], small, rng) == "127.160.0.2"
    for asked, taken in (("10.0.0.1", ()), ("127.160.0.1", ("127.160.0.1",)), ("", ("127.160.0.1", "127.160.0.2"))):
        with pytest.raises(LookupError):
            plan.choose(service(loadBalancerIP=asked), taken, small, rng)


def test_a_life(virtual: Any, start: Any) -> None:
    """Address, finalizer and events come with the type and go with it; a class and a foreign status are respected."""

    async def body(clock: Any) -> None:
        async with start(clock, ServiceLBController) as world:

            async def get(name: str) -> Any:
                await world.quiet()
                return await world.get("services", name, "default")

            async def patch(name: str, **parts: Any) -> None:
                await world.client.patch(SERVICES, name, parts, namespace="default")

            await world.add("services", "plain", "default", spec={"ports": PORTS})
            assert world.manager.controllers == []  # nobody needs it yet
            balanced = {"type": "LoadBalancer", "ports": PORTS}
            for name, more in (("web", {}), ("other", {}), ("foreign", {"loadBalancerClass": "example.com/lb"})):
                await world.add("services", name, "default", spec=balanced | more)
            web, other, foreign = await get("web"), await get("other"), await get("foreign")
            [first], [second] = web["status"]["loadBalancer"]["ingress"], other["status"]["loadBalancer"]["ingress"]
            assert first["ipMode"] == "VIP"
            assert first["ip"] != second["ip"]
            assert web["metadata"]["finalizers"] == [plan.FINALIZER]
            assert foreign["status"]["loadBalancer"] == {}
            assert "finalizers" not in foreign["metadata"]
            said = [e["reason"] for e in (await world.events("EnsuredLoadBalancer"))]
            assert len(said) == len(await world.events("EnsuringLoadBalancer")) == 2
            assert await world.events("UnAvailableLoadBalancer")  # there is no node

            theirs = {"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}}}
            await world.client.patch(SERVICES, "web", theirs, namespace="default", subresource="status")
            assert (await get("web"))["status"]["loadBalancer"]["ingress"][0]["ip"] == "203.0.113.1"

            await patch("web", spec={"type": "ClusterIP"})
            web = await get("web")
            assert web["status"]["loadBalancer"] == {}
            assert "finalizers" not in web["metadata"]
            await world.client.delete(SERVICES, "other", namespace="default")
            await world.until_gone("services", "other", "default")
            await world.quiet()
            for reason in ("DeletingLoadBalancer", "DeletedLoadBalancer"):
                assert len(await world.events(reason)) == 2

            await world.add("services", "asks", "default", spec=balanced | {"loadBalancerIP": "10.1.1.1"})
            assert (await get("asks"))["status"]["loadBalancer"] == {}
            assert "not in the range" in (await world.events("SyncLoadBalancerFailed"))[0]["message"]
            await patch("asks", spec={"loadBalancerIP": "127.160.1.1"})
            assert (await get("asks"))["status"]["loadBalancer"]["ingress"][0]["ip"] == "127.160.1.1"

    virtual(body)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more loopback addresses than one")
@pytest.mark.anyio
async def test_the_proxy_answers_there() -> None:
    """A real connection to the address in the status comes to the endpoint, with port and address kept apart."""
    async with (
        Cluster(nodes=0, serve=False, controllers=("service-lb-controller",)) as cluster,
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as group,
    ):
        assert cluster.config.controllers == ("service-lb",)

        async def hello(stream: Any) -> None:
            async with stream:
                await stream.send(b"hello")

        group.start_soon(listener.serve, hello)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        spec = {"type": "LoadBalancer", "ports": [{"port": 8080}], "allocateLoadBalancerNodePorts": False}
        await cluster.client.create(SERVICES, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
        slice_ = {
            "metadata": {
                "name": "web-1",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "", "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
        }
        await cluster.client.create(ENDPOINT_SLICES, slice_)
        balanced: Any = await cluster.wait_for(SERVICES, "web", lambda s: bool(plan.addresses_of(s)))
        assert "nodePort" not in balanced["spec"]["ports"][0]
        [address] = plan.addresses_of(balanced)
        with anyio.fail_after(20):
            while True:
                try:
                    stream = await anyio.connect_tcp(address, 8080)
                    break
                except OSError:
                    await anyio.sleep(0.01)
            async with stream:
                assert await stream.receive() == b"hello"
        group.cancel_scope.cancel()
