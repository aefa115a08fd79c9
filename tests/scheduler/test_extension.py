"""Plugins of somebody else's in a running cluster: every extension point, waiting for a permit, and failing at each."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.resources import EVENTS, PODS, SERVICES
from minik8s.scheduler.framework import Code, CycleState, Event, Handle, Status, Wait
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.options import read_options
from tests.scheduler.test_scheduler import add_node, add_pod, bound, cluster, event, refused

pytestmark = pytest.mark.anyio


class Everywhere:
    """Has every point but those that there can be only one of; writes down where it was asked, fails where told."""

    name = "Everywhere"
    local = False
    events = Event.NODE_ADD
    fails_at = ""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def _at(self, point: str) -> None:
        if point not in self.asked:
            self.asked.append(point)
        if point == self.fails_at:
            raise LookupError(f"no {point} today")

    def pre_enqueue(self, pod: PodInfo) -> None:
        self._at("pre_enqueue")

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Any) -> None:
        self._at("pre_filter")

    def filter(self, state: CycleState, pod: PodInfo, node: Any) -> None:
        self._at("filter")

    def post_filter(self, state: Any, pod: Any, snapshot: Any, profile: Any, diagnosis: Any, statuses: Any) -> Any:
        self._at("post_filter")
        return None, "it was asked"

    def pre_score(self, state: CycleState, pod: PodInfo, snapshot: Any, nodes: Any) -> None:
        self._at("pre_score")

    def score(self, state: CycleState, pod: PodInfo, node: Any) -> int:
        self._at("score")
        return len(node.name)

    def normalize(self, state: CycleState, pod: PodInfo, scores: dict[str, int]) -> None:
        self._at("normalize")

    def reserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        self._at("reserve")

    def unreserve(self, state: CycleState, pod: PodInfo, node: str) -> None:
        self._at("unreserve")

    def permit(self, state: CycleState, pod: PodInfo, node: str) -> None:
        self._at("permit")

    async def pre_bind(self, state: CycleState, pod: PodInfo, node: str) -> None:
        self._at("pre_bind")

    async def bind(self, state: CycleState, pod: PodInfo, node: str) -> Status:
        self._at("bind")
        return Status(Code.SKIP)

    def post_bind(self, state: CycleState, pod: PodInfo, node: str) -> None:
        self._at("post_bind")

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        self._at("hint")
        return True


FATAL = ("pre_filter", "filter", "pre_score", "score", "normalize", "reserve", "permit", "pre_bind", "bind")
HARMLESS = ("post_bind", "unreserve", "hint")


async def test_every_point_is_asked_and_survives_a_failure(node: Any, pod: Any) -> None:
    """In upstream's order. What a plugin raises becomes the pod's event and condition, and nobody else's matter."""
    plugin = Everywhere()
    async with cluster(scheduler=[plugin]) as up:
        await add_pod(up, pod("early", nodeSelector={"a": "b"}))
        await add_node(up, node("one"))
        assert "it was asked" in (await says(up, "early", "it was asked"))["message"]
        await add_pod(up, pod("p"))
        assert await bound(up, "p") == "one"
        points = [p for p in plugin.asked if p not in ("post_filter", "hint")]
        assert points == [
            "pre_enqueue", "pre_filter", "filter", "pre_score", "score", "normalize", "reserve", "permit", "pre_bind",
            "bind", "post_bind",
        ]  # fmt: skip
        for point in FATAL:
            plugin.fails_at = point
            await add_pod(up, pod(f"bad-{point.replace('_', '-')}"))
            condition = await refused(up, f"bad-{point.replace('_', '-')}")
            assert condition["reason"] == "SchedulerError"
            assert condition["message"] == f'running "Everywhere" {point} plugin: LookupError: no {point} today'
        assert "unreserve" in plugin.asked
        for point in HARMLESS:
            plugin.fails_at = point
            await add_pod(up, pod(f"good-{point.replace('_', '-')}"))
            assert await bound(up, f"good-{point.replace('_', '-')}") == "one"
        plugin.fails_at = ""
        async for told in up.client.watch(EVENTS, namespace="default"):  # ends with the test's time if it never comes
            if told.object["message"] == 'running "Everywhere" score plugin: LookupError: no score today':
                assert (told.object["reason"], told.object["type"]) == ("FailedScheduling", "Warning")
                break


async def says(up: Any, name: str, text: str) -> Any:
    """The pod's PodScheduled condition, once it has that text."""

    def found(pod: Any) -> bool:
        return any(text in c.get("message", "") for c in pod["status"].get("conditions") or ())

    found.__name__ = text
    pod = await up.wait_for(PODS, name, found, timeout=10)
    return next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")


class Pairs:
    """Lets pods run in pairs only: the first waits for the second, a third for a fourth."""

    name = "Pairs"
    local = True
    handle: Handle

    def attach(self, handle: Handle) -> None:
        self.handle = handle

    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Wait | None:
        for waiting in self.handle.waiting.values():
            waiting.allow(self.name)
            return None
        return Wait(3600)


async def test_permits(node: Any, pod: Any) -> None:
    """A pod that waits for a permit holds its room, but nobody up, and says where it will be; it is bound when it is
    allowed, tried again when it is rejected, and gone when it is deleted."""
    plugin = Pairs()
    async with cluster(scheduler=[plugin]) as up:
        await add_node(up, node("a", pods="2"))
        first = await add_pod(up, pod("first"))
        while not plugin.handle.waiting:
            await up.clock.sleep(0)
        (waiting,) = plugin.handle.waiting.values()
        assert (waiting.pod.key, waiting.node, waiting.pending) == ("default/first", "a", ["Pairs"])
        await up.client.delete(PODS, "first", namespace="default", grace_period=0)
        while plugin.handle.waiting:
            await up.clock.sleep(0)
        again = await add_pod(up, pod("again"))
        while not plugin.handle.waiting:
            await up.clock.sleep(0)
        assert first["metadata"]["uid"] not in plugin.handle.waiting
        await up.wait_for(PODS, "again", lambda p: p["status"].get("nominatedNodeName") == "a", timeout=10)
        plugin.handle.waiting[again["metadata"]["uid"]].reject("Pairs", "nobody likes it")
        condition = await says(up, "again", "nobody likes it")
        assert condition["reason"] == "Unschedulable"
        assert condition["message"] == "0/1 nodes are available: 1 nobody likes it."
        plugin.handle.activate([again["metadata"]["uid"]])
        await add_pod(up, pod("other"))
        assert (await bound(up, "again"), await bound(up, "other")) == ("a", "a")
        expected: list[str] = []
        async for told in up.client.watch(PODS, resource_version=first["metadata"]["resourceVersion"]):
            if told.object["metadata"]["name"] == "again":
                expected.append(told.object["status"].get("nominatedNodeName", ""))
                if told.object["spec"].get("nodeName"):
                    break
        turns = [node for node, before in zip(expected, ["a", *expected], strict=False) if node != before]
        assert turns == ["", "a", "", "a", ""], "it goes when the pod is rejected, and when it is bound"


class Expiring(Pairs):
    def permit(self, state: CycleState, pod: PodInfo, node: str) -> Wait | None:
        return Wait(0.001)


async def test_permits_run_out(node: Any, pod: Any) -> None:
    """A pod that nobody allows in time is told so."""
    async with cluster(scheduler=[Expiring()]) as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("p"))
        assert (await says(up, "p", "timeout"))["message"] == (
            "0/1 nodes are available: 1 rejected due to timeout after waiting 0.001s at plugin Pairs."
        )


PACKING: Any = {
    "apiVersion": "kubescheduler.config.k8s.io/v1",
    "kind": "KubeSchedulerConfiguration",
    "profiles": [
        {"schedulerName": "default-scheduler"},
        {
            "schedulerName": "packer",
            "pluginConfig": [
                {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}},
                {"name": "PodTopologySpread", "args": {"defaultingType": "List"}},
            ],
            "plugins": {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}},
        },
    ],
}


async def test_profiles_side_by_side(node: Any, pod: Any) -> None:
    """Two schedulers in one: each pod is decided by the profile it names, on the same nodes, under that name."""
    async with cluster(scheduler=PACKING) as up:
        for name in "ab":
            await add_node(up, node(name))
        taken = pod("taken", requests={"cpu": "2", "memory": "2Gi"}, nodeName="a")
        await add_pod(up, taken)
        await add_pod(up, pod("packed", requests={"cpu": "1", "memory": "1Gi"}, schedulerName="packer"))
        assert await bound(up, "packed") == "a"
        assert (await event(up, "Scheduled"))["reportingComponent"] == "packer"
        await add_pod(up, pod("spread", requests={"cpu": "1", "memory": "1Gi"}))
        assert await bound(up, "spread") == "b"


async def test_services_spread_their_pods(node: Any, pod: Any) -> None:
    """Upstream's default constraints: pods of one Service go to different zones though one zone is emptier."""
    async with cluster() as up:
        for i, zone in enumerate("aabb"):
            await add_node(up, node(f"{zone}{i}", labels={"topology.kubernetes.io/zone": zone}))
        selected = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}}
        await up.client.create(SERVICES, {**service, "spec": selected})
        for i in range(4):
            await add_pod(up, pod(f"w{i}", labels={"app": "web"}, requests={"cpu": "100m"}))
        nodes = {await bound(up, f"w{i}") for i in range(4)}
        assert nodes == {"a0", "a1", "b2", "b3"}


def test_twin_configurations_are_refused(monkeypatch: Any) -> None:
    """Two profiles of one name cannot be."""
    with pytest.raises(ValueError, match="duplicate value"):
        read_options({**PACKING, "profiles": [{}, {}]})
