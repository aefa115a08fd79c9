"""ServiceCIDRs: ready when they are there, and there while an address needs them."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import IP_ADDRESSES, SERVICE_CIDRS, SERVICES
from minik8s.controllers.service_cidr import FINALIZER, ServiceCIDRController, is_needed
from minik8s.machinery.errors import Invalid
from minik8s.machinery.meta import find_condition


def cidr(*nets: str) -> Any:
    return {"metadata": {"name": "x"}, "spec": {"cidrs": list(nets)}}


@pytest.mark.parametrize(
    ("mine", "others", "addresses", "needed"),
    [
        (cidr("10.1.0.0/24"), [], [], False),
        (cidr("10.1.0.0/24"), [], ["10.1.0.7"], True),
        (cidr("10.1.0.0/24"), [], ["10.2.0.7", "fd00::1"], False),
        (cidr("10.1.0.0/24"), [cidr("10.0.0.0/8")], ["10.1.0.7"], False),
        (cidr("10.1.0.0/24", "fd00::/112"), [cidr("10.0.0.0/8")], ["fd00::7"], True),
    ],
)
def test_who_is_needed(mine: Any, others: list[Any], addresses: list[str], needed: bool) -> None:
    """One that holds an address which no other holds."""
    assert is_needed(mine, others, addresses) == needed


def test_a_life(virtual: Any, start: Any) -> None:
    """It becomes ready, waits at its end for the addresses that need it, and goes some seconds later."""

    async def body(clock: Any) -> None:
        async with start(clock, ServiceCIDRController) as world:
            await world.quiet()
            assert world.manager.controllers == []  # the default one is ready without
            await world.add("servicecidrs", "more", spec={"cidrs": ["127.112.0.0/24"]})

            async def ready() -> Any:
                await world.quiet()
                found = await world.get("servicecidrs", "more")
                return found and find_condition(found["status"]["conditions"], "Ready")

            said = await ready()
            assert (said["status"], said["message"]) == ("True", "Kubernetes Service CIDR is ready")
            assert (await world.get("servicecidrs", "more"))["metadata"]["finalizers"] == [FINALIZER]
            labels = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
            parent = {"resource": "services", "namespace": "default", "name": "s"}
            ip = {"name": "127.112.0.9", "labels": labels}
            await world.client.create(IP_ADDRESSES, {"metadata": ip, "spec": {"parentRef": parent}})
            await world.client.delete(SERVICE_CIDRS, "more")
            said = await ready()
            assert (said["status"], said["reason"]) == ("False", "Terminating")
            await world.quiet(60)
            assert await ready()
            await world.client.delete(IP_ADDRESSES, "127.112.0.9")
            await world.until_gone("servicecidrs", "more")

    virtual(body)


def test_addresses_come_from_it(virtual: Any, start: Any) -> None:
    """A Service may have an address of a further ServiceCIDR while that is ready, and not before or after."""

    async def body(clock: Any) -> None:
        async with start(clock, ServiceCIDRController) as world:

            async def serve(name: str) -> None:
                spec = {"clusterIP": "127.112.0.9", "ports": [{"port": 80}]}
                await world.add("services", name, "default", spec=spec)

            with pytest.raises(Invalid, match="not in the valid range"):
                await serve("early")
            await world.add("servicecidrs", "more", spec={"cidrs": ["127.112.0.0/28"]})
            await world.quiet()
            await serve("web")
            assert (await world.get("ipaddresses", "127.112.0.9"))["spec"]["parentRef"]["name"] == "web"
            await world.client.delete(SERVICE_CIDRS, "more")
            await world.quiet()
            await world.client.delete(SERVICES, "web", namespace="default")
            with pytest.raises(Invalid, match="not in the valid range"):
                await serve("late")
            await world.until_gone("servicecidrs", "more")

    virtual(body)
