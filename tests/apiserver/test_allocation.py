"""ClusterIPs and node ports: never twice, never lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio.from_thread
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.apiserver.conftest import MERGE

pytestmark = pytest.mark.anyio


def service(name: str = "s", ports: int = 1, **spec: Any) -> dict[str, Any]:
    listed = [{"name": f"p{i}", "port": 80 + i} for i in range(ports)]
    return {"metadata": {"name": name}, "spec": {"ports": listed, "selector": {"a": "b"}, **spec}}


def claims_of(server: Any) -> Counter[tuple[str, str | int]]:
    """What the stored Services hold, each with the number of holders."""
    found: Counter[tuple[str, str | int]] = Counter()
    for entry in server.ctx.store.scan(("services",)):
        spec = entry.value["spec"]
        mine = {("ip", ip) for ip in spec.get("clusterIPs") or () if ip != "None"}
        for port in spec.get("ports") or ():
            if port.get("nodePort") and spec["type"] in ("NodePort", "LoadBalancer"):  # elsewhere it means nothing
                mine.add((f"port/{port['protocol']}", port["nodePort"]))
        if spec.get("healthCheckNodePort"):
            mine.add(("port/TCP", spec["healthCheckNodePort"]))
        found.update(mine)
    return found


def check(server: Any) -> None:
    """The allocator remembers exactly what is stored, and nothing is held twice."""
    held = claims_of(server)
    assert max(held.values(), default=1) == 1
    assert server.ctx.services._claims == set(held)


async def test_automatic(server: Any) -> None:
    """An address of the upper band; ports for the types that show themselves outside."""
    spec = (await server.ok("POST", "services", service()))["spec"]
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["clusterIP"].startswith("127.96.")
    assert tuple(map(int, spec["clusterIP"].split(".")[2:])) >= (1, 0)
    assert "nodePort" not in spec["ports"][0]
    spec = (await server.ok("POST", "services", service("n", 2, type="NodePort")))["spec"]
    numbers = [port["nodePort"] for port in spec["ports"]]
    assert len(set(numbers)) == 2
    assert all(30086 <= number <= 32767 for number in numbers)
    check(server)


async def test_two_protocols_share_a_number(server: Any) -> None:
    """The same port by TCP and UDP is one node port."""
    ports = [{"name": "t", "port": 53, "protocol": "TCP"}, {"name": "u", "port": 53, "protocol": "UDP"}]
    spec = (
        await server.ok("POST", "services", service(type="NodePort") | {"spec": {"type": "NodePort", "ports": ports}})
    )["spec"]
    assert spec["ports"][0]["nodePort"] == spec["ports"][1]["nodePort"]
    check(server)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"clusterIP": "192.168.0.1"},
            'spec.clusterIPs: Invalid value: ["192.168.0.1"]: failed to allocate IP 192.168.0.1: the provided IP '
            "(192.168.0.1) is not in the valid range. The range of valid IPs is 127.96.0.0/16",
        ),
        (
            {"clusterIP": "127.96.0.1"},
            'spec.clusterIPs: Invalid value: ["127.96.0.1"]: failed to allocate IP 127.96.0.1: '
            "provided IP is already allocated",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 1, "nodePort": 80}]},
            "spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. "
            "The range of valid ports is 30000-32767",
        ),
        (
            {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30000}]},
            "spec.ports[0].nodePort: Invalid value: 30000: provided port is already allocated",
        ),
    ],
)
async def test_choices_that_cannot_be(server: Any, spec: Any, message: str) -> None:
    """Out of range or taken; nothing stays claimed."""
    await server.ok(
        "POST",
        "services",
        service("taken", type="NodePort") | {"spec": {"type": "NodePort", "ports": [{"port": 1, "nodePort": 30000}]}},
    )
    body = service()
    body["spec"] |= spec
    await server.refused("POST", "services", 422, "Invalid", f'Service "s" is invalid: {message}', body)
    check(server)


async def test_a_number_named_later_is_not_drawn_before(start: Any) -> None:
    """A port that names its number gets it, whatever was drawn for the ports before it."""
    async with start() as server:
        server.ctx.services.ports = (30000, 30002)
        ports = [{"name": "a", "port": 1}, {"name": "b", "port": 2}, {"name": "c", "port": 3, "nodePort": 30001}]
        body = {"metadata": {"name": "s"}, "spec": {"type": "NodePort", "ports": ports}}
        spec = (await server.ok("POST", "services", body))["spec"]
        assert sorted(port["nodePort"] for port in spec["ports"]) == [30000, 30001, 30002]
        assert spec["ports"][2]["nodePort"] == 30001
        check(server)


async def test_updates_keep_what_they_leave_out(server: Any) -> None:
    """Address and numbers, by PUT; and then nothing has changed."""
    created = await server.ok("POST", "services", service(type="NodePort", ports=2))
    assert await server.ok("PUT", "services/s", service(type="NodePort", ports=2)) == created
    more = await server.ok("PUT", "services/s", service(type="NodePort", ports=3))
    assert more["spec"]["ports"][:2] == created["spec"]["ports"]
    assert more["spec"]["clusterIP"] == created["spec"]["clusterIP"]
    check(server)


async def test_types_change(server: Any) -> None:
    """What the new type has no use for is given back."""
    await server.ok("POST", "services", service(type="NodePort"))
    plain = await server.ok("PATCH", "services/s", {"spec": {"type": "ClusterIP"}}, type=MERGE)
    assert "nodePort" not in plain["spec"]["ports"][0]
    check(server)
    local = {"spec": {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}}
    balanced = await server.ok("PATCH", "services/s", local, type=MERGE)
    assert 30000 <= balanced["spec"]["healthCheckNodePort"] <= 32767
    assert balanced["spec"]["ports"][0]["nodePort"] != balanced["spec"]["healthCheckNodePort"]
    check(server)
    name = {
        "spec": {"type": "ExternalName", "externalName": "a.example.com"}
        | dict.fromkeys(
            ("externalTrafficPolicy", "internalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort")
        )
    }
    named = await server.ok("PATCH", "services/s", name, type=MERGE)
    assert not named["spec"].keys() & {"clusterIP", "clusterIPs", "healthCheckNodePort"}
    check(server)
    await server.ok("DELETE", "services/s")
    check(server)


async def test_headless(server: Any) -> None:
    """No address at all."""
    spec = (await server.ok("POST", "services", service(clusterIP="None")))["spec"]
    assert spec["clusterIPs"] == ["None"]
    check(server)


async def test_dry_runs_hold_nothing(server: Any) -> None:
    """Though they show what would be."""
    await server.ok("POST", "services?dryRun=All", service(type="NodePort"))
    check(server)
    await server.ok("POST", "services", service())
    await server.ok("PATCH", "services/s?dryRun=All", {"spec": {"type": "NodePort"}}, type=MERGE)
    await server.ok("DELETE", "services/s?dryRun=All")
    check(server)


async def test_a_finalizer_holds_the_address(server: Any) -> None:
    """Until the object is gone; the patch that ends it gives back all it ever asked for."""
    body = service(type="NodePort")
    body["metadata"]["finalizers"] = ["example.com/x"]
    await server.ok("POST", "services", body)
    await server.ok("DELETE", "services/s")
    check(server)
    ports = [{"op": "replace", "path": "/spec/ports/0/nodePort", "value": 30009}]
    last = {"op": "remove", "path": "/metadata/finalizers"}
    await server.ok("PATCH", "services/s", [*ports, last], type="application/json-patch+json")
    check(server)
    assert (await server.call("GET", "services/s")).status_code == 404


async def test_a_full_range(server: Any) -> None:
    """A 500 that says so; what was there stays."""
    server.ctx.services.ports = (30000, 30001)
    await server.ok("POST", "services", service("a", 2, type="NodePort"))
    response = await server.http.post("/api/v1/namespaces/default/services", json=service("b", type="NodePort"))
    assert response.status_code == 500
    assert response.json()["message"] == "Internal error occurred: failed to allocate a nodePort: range is full"
    check(server)


NAMES = st.sampled_from(["a", "b", "c"])
TYPES = st.sampled_from(["ClusterIP", "NodePort", "LoadBalancer", "ExternalName", "Nope"])
ADDRESSES = st.sampled_from(["", "", "None", "127.96.0.5", "127.96.0.6", "10.0.0.1", "x"])
PORTS = st.lists(
    st.fixed_dictionaries(
        {"port": st.integers(80, 82), "protocol": st.sampled_from(["TCP", "UDP"])},
        optional={"nodePort": st.sampled_from([30000, 30001, 30002, 80])},
    ),
    max_size=3,
)
QUERIES = st.sampled_from(["", "", "?dryRun=All"])


def arbitrary(name: str, kind: str, address: str, ports: list[dict[str, Any]], local: bool) -> dict[str, Any]:
    listed = [{**port, "name": f"p{i}"} for i, port in enumerate(ports)]
    spec: dict[str, Any] = {"type": kind, "ports": listed}
    if address:
        spec["clusterIP"] = address
    if local:
        spec["externalTrafficPolicy"] = "Local"
    if kind == "ExternalName":
        spec["externalName"] = "a.example.com"
    return {"metadata": {"name": name, "finalizers": ["example.com/x"] if local else []}, "spec": spec}


class Services(RuleBasedStateMachine):
    """Whatever clients do to three Services in a range of seven ports, sensible or not."""

    @initialize()
    def begin(self) -> None:
        self.portal_context = anyio.from_thread.start_blocking_portal()
        self.portal = self.portal_context.__enter__()
        self.server_context = self.portal.wrap_async_context_manager(RUNNING())
        self.server = self.server_context.__enter__()
        self.server.ctx.services.ports = (30000, 30006)

    def call(self, method: str, path: str, body: Any = None, content_type: str = "") -> None:
        async def run() -> None:
            response = await self.server.http.request(
                method,
                f"/api/v1/namespaces/default/{path}",
                json=body,
                headers={"content-type": content_type} if content_type else None,
            )
            full = "range is full" in response.text
            assert response.status_code < 500 or full, response.text

        self.portal.call(run)

    @rule(name=NAMES, kind=TYPES, address=ADDRESSES, ports=PORTS, local=st.booleans(), query=QUERIES)
    def create(self, query: str, **parts: Any) -> None:
        self.call("POST", f"services{query}", arbitrary(**parts))

    @rule(name=NAMES, kind=TYPES, address=ADDRESSES, ports=PORTS, local=st.booleans(), query=QUERIES)
    def update(self, query: str, name: str, **parts: Any) -> None:
        self.call("PUT", f"services/{name}{query}", arbitrary(name, **parts))

    @rule(name=NAMES, kind=TYPES, query=QUERIES)
    def change_type(self, name: str, kind: str, query: str) -> None:
        self.call("PATCH", f"services/{name}{query}", {"spec": {"type": kind}}, MERGE)

    @rule(name=NAMES, query=QUERIES, policy=st.sampled_from(["", "Foreground"]))
    def delete(self, name: str, query: str, policy: str) -> None:
        self.call("DELETE", f"services/{name}{query}", {"propagationPolicy": policy} if policy else None)

    @rule(name=NAMES, ports=PORTS)
    def release(self, name: str, ports: Any) -> None:
        patch = {"metadata": {"finalizers": None}, "spec": {"ports": ports} if ports else {}}
        self.call("PATCH", f"services/{name}", patch, MERGE)

    @rule(query=QUERIES)
    def delete_all(self, query: str) -> None:
        self.call("DELETE", f"services{query}")

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "server"):
            check(self.server)

    def teardown(self) -> None:
        if hasattr(self, "server_context"):
            self.server_context.__exit__(None, None, None)
            self.portal_context.__exit__(None, None, None)


RUNNING: Any = None


def test_any_sequence(start: Any) -> None:
    """After every step of any sequence of requests the allocator holds what the stored Services hold."""
    global RUNNING
    RUNNING = start
    machine = Services.TestCase
    machine.settings = settings(
        max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    machine().runTest()
