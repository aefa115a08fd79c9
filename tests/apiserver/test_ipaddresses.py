"""IPAddress objects stand for ClusterIPs: they come, change and go with their Services."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.anyio

ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"


def service(name: str = "s", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def names(server: Any) -> list[str]:
    return [item["metadata"]["name"] for item in (await server.ok("GET", ADDRESSES))["items"]]


async def test_the_default_range(server: Any) -> None:
    """A new cluster has its ServiceCIDR, which is ready, and the address of the `kubernetes` Service."""
    (cidr,) = (await server.ok("GET", CIDRS))["items"]
    assert (cidr["metadata"]["name"], cidr["spec"]) == ("kubernetes", {"cidrs": ["127.96.0.0/16"]})
    (ready,) = cidr["status"]["conditions"]
    assert (ready["type"], ready["status"]) == ("Ready", "True")
    assert await names(server) == ["127.96.0.1"]


async def test_addresses_follow_services(server: Any) -> None:
    """Created with the Service, gone when it becomes external or is deleted; headless ones have none."""
    created = await server.ok("POST", "services", service())
    ip = created["spec"]["clusterIP"]
    address = await server.ok("GET", f"{ADDRESSES}/{ip}")
    assert address["spec"] == {"parentRef": {"resource": "services", "namespace": "default", "name": "s"}}
    assert address["metadata"]["labels"] == {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    external = {"spec": {"type": "ExternalName", "externalName": "example.com"}}
    await server.ok("PATCH", "services/s", external, type="application/merge-patch+json")
    assert await names(server) == ["127.96.0.1"]
    await server.ok("POST", "services", service("headless", clusterIP="None"))
    second = await server.ok("POST", "services", service("two"))
    assert await names(server) == sorted(["127.96.0.1", second["spec"]["clusterIP"]])
    await server.ok("DELETE", "services/two")
    assert await names(server) == ["127.96.0.1"]


async def test_a_dry_run_leaves_none(server: Any) -> None:
    """What is not stored has no address."""
    await server.ok("POST", "services?dryRun=All", service())
    assert await names(server) == ["127.96.0.1"]


async def test_a_reserved_address(server: Any) -> None:
    """An address that somebody has reserved by an object is not given to a Service until that is deleted."""
    parent = {"resource": "gateways", "group": "example.com", "name": "g", "namespace": "default"}
    reserved = {"metadata": {"name": "127.96.0.50"}, "spec": {"parentRef": parent}}
    await server.ok("POST", ADDRESSES, reserved)
    await server.refused(
        "POST", "services", 422, "Invalid",
        'Service "s" is invalid: spec.clusterIPs: Invalid value: ["127.96.0.50"]: failed to allocate IP 127.96.0.50: '
        "provided IP is already allocated",
        service(clusterIP="127.96.0.50"),
    )  # fmt: skip
    await server.ok("DELETE", f"{ADDRESSES}/127.96.0.50")
    await server.ok("POST", "services", service(clusterIP="127.96.0.50"))
