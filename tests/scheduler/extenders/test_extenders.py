"""Extenders over real HTTP in a running cluster: what they are asked, what they decide, and what comes of failures."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from minik8s.api.resources import NODES, PODS, PRIORITY_CLASSES
from minik8s.apiserver.pki import Authority
from minik8s.cluster import Cluster
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import find_condition
from minik8s.quiescence import NotSettled
from minik8s.virtualtime import idle
from tests.scheduler.extenders.server import Answer, ExtenderServer, extender
from tests.scheduler.test_scheduler import add_node, add_pod, bound, cluster, event

pytestmark = pytest.mark.anyio
HEAD: Any = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def configuration(*told: tuple[ExtenderServer, dict[str, Any]]) -> Any:
    return HEAD | {"extenders": [{"urlPrefix": server.url, **fields} for server, fields in told]}


def answer(document: Any) -> Answer:
    """Always the same."""

    async def same(args: Any) -> Any:
        return document

    return same


def keep(*names: str, **why: str) -> Answer:
    """A filter that leaves these nodes, whichever way it is asked."""

    async def filter(args: Any) -> Any:
        if args["NodeNames"] is not None:
            return {"NodeNames": [name for name in args["NodeNames"] if name in names], "FailedNodes": why}
        items = [node for node in args["Nodes"]["items"] if node["metadata"]["name"] in names]
        return {"Nodes": {"items": items}, "FailedNodes": why}

    return filter


async def says(up: Cluster, name: str, message: str) -> Any:
    """The PodScheduled condition, once its message has that text."""

    def does(pod: Any) -> bool:
        condition = find_condition(pod["status"].get("conditions"), "PodScheduled")
        return condition is not None and message in condition.get("message", "")

    pod = await up.wait_for(PODS, name, does, timeout=10)
    return find_condition(pod["status"]["conditions"], "PodScheduled")


@pytest.mark.parametrize("by_name", [False, True])
async def test_filter(node: Any, pod: Any, by_name: bool) -> None:
    """It is asked about the nodes that the plugins leave, whole or by name, and only those it leaves are taken."""
    fields = {"filterVerb": "filter", "nodeCacheCapable": by_name}
    async with extender(filter=keep("b")) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_node(up, node("b"))
        await add_node(up, node("small", cpu="1"))
        await add_pod(up, pod("p", requests={"cpu": "2"}))
        assert await bound(up, "p") == "b"
        (asked,) = server.questions("filter")
        assert asked["Pod"]["metadata"]["name"] == "p"
        if by_name:
            assert (sorted(asked["NodeNames"]), asked["Nodes"]) == (["a", "b"], None)
        else:
            items = {item["metadata"]["name"]: item for item in asked["Nodes"]["items"]}
            assert (sorted(items), asked["NodeNames"]) == (["a", "b"], None)
            assert items["a"]["status"]["allocatable"]["cpu"] == "4"


async def test_a_filter_that_leaves_nothing(node: Any, pod: Any) -> None:
    """The pod hears why, in upstream's sentence, and waits for any event: the extender may think otherwise then."""
    reasons = {"FailedNodes": {"a": "too red"}, "FailedAndUnresolvableNodes": {"b": "too far"}}
    said: list[Any] = [{"NodeNames": [], **reasons}, {"NodeNames": ["c"]}]

    async def filter(args: Any) -> Any:
        return said[0] if len(said) == 1 else said.pop(0)

    fields = {"filterVerb": "filter", "nodeCacheCapable": True}
    async with extender(filter=filter) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_node(up, node("b"))
        await add_pod(up, pod("p"))
        condition = await says(up, "p", "nodes are available")
        assert condition["reason"] == "Unschedulable"
        assert condition["message"] == (
            "0/2 nodes are available: 1 too far, 1 too red. no new claims to deallocate, preemption: 0/2 nodes are "
            "available: 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
        )
        await add_node(up, node("c"))
        assert await bound(up, "p") == "c"


async def test_prioritize(node: Any, pod: Any) -> None:
    """Ten times its points times its weight join the plugins' scores, those of several extenders one another."""
    first = answer([{"Host": "a", "Score": 10}, {"Host": "b", "Score": 1}, {"Host": "nowhere", "Score": 10}])
    second = answer([{"Host": "b", "Score": 8}])
    about = {"prioritizeVerb": "prioritize", "nodeCacheCapable": True}
    async with (
        extender(prioritize=first) as one,
        extender(prioritize=second) as two,
        cluster(scheduler=configuration((one, {**about, "weight": 1}), (two, {**about, "weight": 2}))) as up,
    ):
        for name in "abc":
            await add_node(up, node(name))
        await add_pod(up, pod("p"))
        assert await bound(up, "p") == "b"
        assert sorted(one.questions("prioritize")[0]["NodeNames"]) == ["a", "b", "c"]


async def test_without_an_opinion(node: Any, pod: Any) -> None:
    """An extender that cannot say what it likes does not keep the pod from a node."""
    fields = {"prioritizeVerb": "prioritize", "weight": 1}
    async with extender(prioritize=answer(500)) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_node(up, node("b"))
        await add_pod(up, pod("p"))
        assert await bound(up, "p") in "ab"
        assert len(server.questions("prioritize")) == 1


async def test_bind(node: Any, pod: Any) -> None:
    """The extender binds in the scheduler's place; what it refuses to bind is an error, and tried again."""
    clusters: list[Cluster] = []
    refusals = ["not today"]

    async def bind(args: Any) -> Any:
        if refusals:
            return {"Error": refusals.pop()}
        target = {"target": {"kind": "Node", "name": args["Node"]}, "metadata": {"name": args["PodName"]}}
        binding = {"apiVersion": "v1", "kind": "Binding", **target}
        await clusters[0].client.create(PODS, binding, name=args["PodName"], namespace="default", subresource="binding")
        return {}

    fields = {"bindVerb": "bind"}
    async with extender(bind=bind) as server, cluster(scheduler=configuration((server, fields))) as up:
        clusters.append(up)
        await add_node(up, node("a"))
        created = await add_pod(up, pod("p"))
        condition = await says(up, "p", "not today")
        assert (condition["reason"], condition["message"]) == ("SchedulerError", "not today")
        assert await bound(up, "p") == "a"
        uid = created["metadata"]["uid"]
        asked = {"PodName": "p", "PodNamespace": "default", "PodUID": uid, "Node": "a"}
        assert server.questions("bind") == [asked, asked]
        assert (await event(up, "Scheduled"))["message"] == "Successfully assigned default/p to a"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (500, "failed filter with extender at URL {url}/filter, code 500"),
        ({"Error": "out of order"}, "out of order"),
        (b"<html>", "the answer of {url}/filter is no JSON: "),
        ([1], "cannot make sense of the answer of {url}: "),
        ({"NodeNames": ["x"]}, 'extender "{url}" claims a filtered node "x" which is not found in the input node list'),
    ],
)
async def test_a_failing_filter(node: Any, pod: Any, said: Any, reason: str) -> None:
    """The pod's condition says what is wrong, in upstream's words where it has some; it is not the pod's fault."""
    fields = {"filterVerb": "filter", "nodeCacheCapable": True}
    async with extender(filter=answer(said)) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("p"))
        condition = await says(up, "p", reason.format(url=server.url))
        assert (condition["reason"], condition["status"]) == ("SchedulerError", "False")


async def test_nobody_listens(node: Any, pod: Any) -> None:
    """The same when nobody answers; who is ignorable is asked last, and not missed."""
    async with extender() as gone:
        pass
    about = {"filterVerb": "filter", "nodeCacheCapable": True}
    strict = configuration((gone, about))
    async with cluster(scheduler=strict) as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("p"))
        condition = await says(up, "p", f'Post "{gone.url}/filter": ')
        assert condition["reason"] == "SchedulerError"
    async with extender(filter=keep("b")) as there:
        lenient = configuration((gone, {**about, "ignorable": True}), (there, about))
        async with cluster(scheduler=lenient) as up:
            await add_node(up, node("a"))
            await add_node(up, node("b"))
            await add_pod(up, pod("p"))
            assert await bound(up, "p") == "b"


async def test_an_answer_that_does_not_come(node: Any, pod: Any) -> None:
    """It is waited for until httpTimeout has passed; other pods come and go meanwhile, and what happens is not missed.

    The extender answers the second question only, which is asked since the node has changed during the first.
    """
    silence, asked = anyio.Event(), anyio.Event()

    async def filter(args: Any) -> Any:
        if args["Pod"]["metadata"]["name"] == "gone":
            asked.set()
            await silence.wait()
        return {"NodeNames": args["NodeNames"]}

    fields = {"filterVerb": "filter", "nodeCacheCapable": True, "httpTimeout": "20ms"}
    async with extender(filter=filter) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("gone"))
        await asked.wait()
        await says(up, "gone", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
        await add_pod(up, pod("next"))
        assert await bound(up, "next") == "a"
        silence.set()


async def test_a_question_is_waited_for(node: Any, pod: Any) -> None:
    """A cluster with an open question is not settled and says so; virtual time passes over no answer."""
    go = anyio.Event()

    async def filter(args: Any) -> Any:
        await go.wait()
        return {"NodeNames": args["NodeNames"]}

    fields = {"filterVerb": "filter", "nodeCacheCapable": True, "httpTimeout": "1h"}
    async with (
        extender(filter=filter) as server,
        cluster(scheduler=configuration((server, fields)), clock="virtual") as up,
    ):
        await add_node(up, node("a"))
        await add_pod(up, pod("p"))
        with pytest.raises(NotSettled, match=f"question to extender {server.url}"):
            await up.settle(0.05)
        asked_at = up.clock.monotonic()
        go.set()
        assert await bound(up, "p") == "a"
        assert up.clock.monotonic() - asked_at < 3600


async def test_what_happens_during_a_question(node: Any, pod: Any) -> None:
    """A pod that goes meanwhile is forgotten; a node that goes is not taken; an event is not lost."""
    ask: dict[str, anyio.Event] = {name: anyio.Event() for name in ("asked", "go")}
    left = ["a"]

    async def filter(args: Any) -> Any:
        ask["asked"].set()
        await ask["go"].wait()
        return {"NodeNames": [name for name in args["NodeNames"] if name in left]}

    async def meanwhile(up: Cluster, name: str, act: Any) -> None:
        ask.update(asked=anyio.Event(), go=anyio.Event())
        await add_pod(up, pod(name))
        await ask["asked"].wait()
        await act
        await idle(10)
        ask["go"].set()

    fields = {"filterVerb": "filter", "nodeCacheCapable": True}
    async with extender(filter=filter) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_node(up, node("b"))
        await meanwhile(up, "gone", up.client.delete(PODS, "gone", namespace="default", grace_period=0))
        await meanwhile(up, "p", up.client.delete(NODES, "a"))
        await says(up, "p", "do not fit any more")
        left[:] = ["c"]
        await meanwhile(up, "q", add_node(up, node("c")))
        assert (await bound(up, "p"), await bound(up, "q")) == ("c", "c")
        with pytest.raises(NotFound):
            await up.client.get(PODS, "gone", namespace="default")


async def test_managed_resources(node: Any, pod: Any) -> None:
    """Only pods that ask for what it manages are its business; no node needs to have what the scheduler ignores."""
    resource = {"name": "a.io/thing", "ignoredByScheduler": True}
    fields = {"filterVerb": "filter", "managedResources": [resource]}
    async with extender(filter=keep("a")) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a", cpu="1"))
        await add_node(up, node("b"))
        await add_pod(up, pod("plain", requests={"cpu": "2"}))
        assert await bound(up, "plain") == "b"
        assert server.asked == []
        wants = pod("wants")
        wants["spec"]["containers"][0]["resources"] = {"limits": {"a.io/thing": "1"}}
        await add_pod(up, wants)
        assert await bound(up, "wants") == "a"
        assert len(server.asked) == 1


async def add_important(up: Cluster, pod: Any, name: str) -> None:
    classes = {"metadata": {"name": "high"}, "value": 1000}
    await up.client.create(PRIORITY_CLASSES, classes)
    await add_pod(up, pod(name, requests={"cpu": "3"}, priorityClassName="high"))


def spare(*names: str) -> Answer:
    """Leaves the evictions on these nodes."""

    async def preempt(args: Any) -> Any:
        victims = args["NodeNameToMetaVictims"]
        if victims is None:
            whole = args["NodeNameToVictims"].items()
            victims = {n: {"Pods": [{"UID": p["metadata"]["uid"]} for p in v["Pods"]]} for n, v in whole}
        return {"NodeNameToMetaVictims": {node: v for node, v in victims.items() if node in names}}

    return preempt


@pytest.mark.parametrize("by_uid", [False, True])
async def test_preempt(node: Any, pod: Any, by_uid: bool) -> None:
    """It is asked about all nodes where pods would be evicted, and only those are that it leaves."""
    fields = {"preemptVerb": "preempt", "nodeCacheCapable": by_uid}
    async with extender(preempt=spare("b")) as server, cluster(scheduler=configuration((server, fields))) as up:
        for name in "abc":
            await add_node(up, node(name))
            there = {"nodeSelector": {"kubernetes.io/hostname": name}, "terminationGracePeriodSeconds": 0}
            await add_pod(up, pod(f"on-{name}", requests={"cpu": "3"}, **there))
            await bound(up, f"on-{name}")
        await add_important(up, pod, "p")
        assert await bound(up, "p") == "b"
        left = {found["metadata"]["name"] for found in (await up.client.list(PODS, namespace="default")).items}
        assert left == {"on-a", "on-c", "p"}
        asked = server.questions("preempt")[0]
        victims = asked["NodeNameToMetaVictims" if by_uid else "NodeNameToVictims"]
        assert sorted(victims) == ["a", "b", "c"]
        assert asked["NodeNameToVictims" if by_uid else "NodeNameToMetaVictims"] is None


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "preemption: no candidate node for preemption"),
        (503, "preemption: failed preempt with extender at URL {url}/preempt, code 503"),
        (
            {"NodeNameToMetaVictims": {"x": {"Pods": [{"UID": "u"}]}}},
            'preemption: nodeinfo not found for node name "x"',
        ),
        ({"NodeNameToMetaVictims": {"a": None}}, 'preemption: expected at least one victim pod on node "a"'),
        (
            {"NodeNameToMetaVictims": {"a": {"Pods": [{"UID": "u"}]}}},
            "preemption: extender: {url} claims to preempt pod (UID: u) on node: a, but the pod is not found",
        ),
    ],
)
async def test_preemption_that_is_forbidden(node: Any, pod: Any, said: Any, message: str) -> None:
    """Nobody is evicted when the extender leaves nothing or fails; the pod is told and stays unschedulable."""
    fields = {"preemptVerb": "preempt"}
    async with extender(preempt=answer(said)) as server, cluster(scheduler=configuration((server, fields))) as up:
        await add_node(up, node("a"))
        await add_pod(up, pod("low", requests={"cpu": "3"}))
        await bound(up, "low")
        await add_important(up, pod, "p")
        condition = await says(up, "p", message.format(url=server.url))
        assert condition["reason"] == "Unschedulable"
        assert not (await up.client.get(PODS, "low", namespace="default"))["metadata"].get("deletionTimestamp")


async def test_https(node: Any, pod: Any, tmp_path: Path) -> None:
    """Both sides prove who they are; without its CA the extender is not believed, with enableHTTPS alone it is."""
    now = datetime.now(UTC)
    authority = Authority.create(now)
    served, ours = authority.issue_serving(now, ["extender.example"]), authority.issue_client(now, "scheduler")
    for name, data in {"served.crt": served.certificate, "served.key": served.key, "ca": authority.pem}.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "crt").write_bytes(ours.certificate)
    (tmp_path / "key").write_bytes(ours.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca"))
    context.load_cert_chain(tmp_path / "served.crt", tmp_path / "served.key")
    context.verify_mode = ssl.CERT_REQUIRED
    pair = {"certFile": str(tmp_path / "crt"), "keyFile": str(tmp_path / "key")}
    trusting = {"serverName": "extender.example", "caFile": str(tmp_path / "ca"), **pair}
    about = {"filterVerb": "filter", "nodeCacheCapable": True}
    async with extender(tls=context, filter=keep("a")) as server:
        for more in ({"tlsConfig": trusting}, {"enableHTTPS": True, "tlsConfig": pair}):
            async with cluster(scheduler=configuration((server, {**about, **more}))) as up:
                await add_node(up, node("a"))
                await add_pod(up, pod("p"))
                assert await bound(up, "p") == "a"
        async with cluster(scheduler=configuration((server, {**about, "tlsConfig": pair}))) as up:
            await add_node(up, node("a"))
            await add_pod(up, pod("p"))
            await says(up, "p", f'Post "{server.url}/filter": ')
        assert len(server.questions("filter")) == 2
