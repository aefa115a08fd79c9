"""Endpoints made by hand have EndpointSlices as well."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from minik8s.controllers.endpointslicemirroring import EndpointSliceMirroringController
from minik8s.controllers.endpointslicemirroring_plan import MANAGER, plan_mirror, should_mirror

PORTS = [{"name": "http", "port": 80, "protocol": "TCP"}]


def endpoints(*subsets: Any, **metadata: Any) -> Any:
    given = {"name": "web", "namespace": "default", "uid": "e", "labels": {"team": "a"}, **metadata}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": given, "subsets": list(subsets)}


def subset(*ips: str, ports: Any = PORTS, **parts: Any) -> Any:
    return {"addresses": [{"ip": ip} for ip in ips], "ports": ports, **parts}


def stored(slice_: Any, name: str) -> Any:
    return {**slice_, "metadata": {**slice_["metadata"], "name": name}}


def test_what_is_mirrored() -> None:
    """One slice a subset and family; readiness, nodes, targets and host names are taken over; marks of ours are not."""
    annotations = {"a": "b", "endpoints.kubernetes.io/last-change-trigger-time": "t"}
    pod = {"kind": "Pod", "name": "p", "uid": "u"}
    full = {"ip": "10.0.0.2", "nodeName": "n1", "hostname": "h", "targetRef": pod}
    waiting = {"notReadyAddresses": [full]}
    plan = plan_mirror(endpoints(subset("10.0.0.1", "fd00::01", **waiting), annotations=annotations), ())
    four, six = plan.create
    assert (four["addressType"], six["addressType"]) == ("IPv4", "IPv6")
    ready, other = four["endpoints"]
    assert ready == {"addresses": ["10.0.0.1"], "conditions": {"ready": True}}
    expected = {"addresses": ["10.0.0.2"], "conditions": {"ready": False}, "targetRef": pod}
    assert other == expected | {"nodeName": "n1", "hostname": "h"}
    assert six["endpoints"][0]["addresses"] == ["fd00::1"]
    metadata = four["metadata"]
    assert metadata["annotations"] == {"a": "b"}
    managed = {"endpointslice.kubernetes.io/managed-by": MANAGER, "kubernetes.io/service-name": "web"}
    assert metadata["labels"] == {"team": "a", **managed}
    assert metadata["ownerReferences"][0]["kind"] == "Endpoints"


def test_limits() -> None:
    """No more than so many addresses a subset, and none that is no address; both are counted."""
    plan = plan_mirror(endpoints(subset("10.0.0.1", "x", "10.0.0.2", "10.0.0.3")), (), limit=2)
    assert [e["addresses"] for e in plan.create[0]["endpoints"]] == [["10.0.0.1"], ["10.0.0.2"]]
    assert (plan.invalid, plan.skipped) == (1, 2)


def test_changes() -> None:
    """What is the same is left alone; a change keeps the slice, other ports take it over, and surplus ones go."""
    [first] = plan_mirror(endpoints(subset("10.0.0.1")), ()).create
    same = plan_mirror(endpoints(subset("10.0.0.1")), [stored(first, "web-1"), stored(first, "web-2")])
    assert (same.create, same.update) == ([], [])
    assert [s["metadata"]["name"] for s in same.delete] == ["web-2"]
    for other in (endpoints(subset("10.0.0.2")), endpoints(subset("10.0.0.1"), labels={"x": "y"})):
        changed = plan_mirror(other, [stored(first, "web-1")])
        assert [s["metadata"]["name"] for s in changed.update] == ["web-1"]
        assert (changed.create, changed.delete) == ([], [])
    ports = plan_mirror(endpoints(subset("10.0.0.1", ports=[{"port": 81}])), [stored(first, "web-1")])
    assert [s["ports"][0]["port"] for s in ports.update] == [81]
    assert plan_mirror(endpoints(), [stored(first, "web-1")]).delete
    going = endpoints(subset("10.0.0.1"), deletionTimestamp="2024-01-01T00:00:00Z")
    assert plan_mirror(going, ()).create == []


@pytest.mark.parametrize(
    ("metadata", "mirrored"),
    [
        ({}, True),
        ({"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}, False),
        ({"labels": {"endpointslice.kubernetes.io/skip-mirror": "false"}}, True),
        ({"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}, False),
    ],
)
def test_who_asks_not_to_be(metadata: Any, mirrored: bool) -> None:
    """A label says so, and so does an old leader election."""
    assert should_mirror(endpoints(**metadata)) == mirrored


def test_a_life(virtual: Any, start: Any) -> None:
    """A mirror comes when there are Endpoints and a Service without a selector, follows both and goes with either."""

    async def body(clock: Any) -> None:
        async with start(clock, EndpointSliceMirroringController) as world:

            async def mirrors() -> list[Any]:
                await world.quiet()
                found = (await world.client.list(ENDPOINT_SLICES, namespace="default")).items
                return [s for s in found if s["metadata"]["labels"].get("kubernetes.io/service-name") == "web"]

            async def patch(resource: Any, patch: Any) -> None:
                await world.client.patch(resource, "web", patch, namespace="default")

            await world.quiet()
            assert world.manager.controllers == []
            await world.add("endpoints", "web", "default", subsets=[subset("10.0.0.1")])
            assert await mirrors() == []
            await world.add("services", "web", "default", spec={"ports": [{"port": 80}]})
            [mirror] = await mirrors()
            assert mirror["metadata"]["name"].startswith("web-")
            await patch(ENDPOINTS, {"subsets": [subset("10.0.0.9")]})
            [changed] = await mirrors()
            assert changed["endpoints"][0]["addresses"] == ["10.0.0.9"]
            assert changed["metadata"]["uid"] == mirror["metadata"]["uid"]
            await world.client.delete(ENDPOINT_SLICES, changed["metadata"]["name"], namespace="default")
            assert len(await mirrors()) == 1
            await patch(SERVICES, {"spec": {"selector": {"app": "web"}}})
            assert await mirrors() == []
            await patch(SERVICES, {"spec": {"selector": None}})
            assert len(await mirrors()) == 1
            await world.client.delete(ENDPOINTS, "web", namespace="default")
            assert await mirrors() == []

    virtual(body)
