"""Faults at the door: each does what it says, to the requests it is meant for, and one that met none is an error."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, Cluster
from minik8s.api.resources import SECRETS, VALIDATING_WEBHOOK_CONFIGURATIONS
from minik8s.apiserver.faults import FaultNeverFired
from minik8s.machinery.errors import ApiError, Conflict, Timeout, TooManyRequests

pytestmark = pytest.mark.anyio
BARE: Any = {"nodes": 0, "serve": False, "proxy": False, "controllers": (), "scheduler": False, "freeze": True}
VIRTUAL: Any = {**BARE, "clock": "virtual", "runtime": "simulated", "seed": 1}


async def note(cluster: Cluster, name: str, agent: str = "", **data: str) -> Any:
    client = cluster.client.as_agent(agent) if agent else cluster.client
    return await client.create(CONFIG_MAPS, {"metadata": {"name": name, "namespace": "default"}, "data": data})


async def test_refusals() -> None:
    """The code, message and Retry-After that were asked for, as often as asked for, and nothing is stored."""
    async with Cluster(**BARE) as cluster:
        with cluster.faults.refuse(429, retry_after=3, message="slow down", verb="create", times=2) as fault:
            for _ in range(2):
                with pytest.raises(TooManyRequests, match="slow down") as caught:
                    await note(cluster, "a")
                assert caught.value.retry_after == 3
            assert await cluster.client.find(CONFIG_MAPS, "a", namespace="default") is None
            await note(cluster, "a")
        assert fault.fired == 2
        await note(cluster, "b")


async def test_refusals_over_http() -> None:
    """A client over HTTP sees the same: status code, Status document, Retry-After header."""
    async with Cluster(**BARE) as cluster:
        with cluster.faults.refuse(503, retry_after=1, verb="list", resource="secrets"):
            answer = await cluster.http.get("/api/v1/namespaces/default/secrets")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["details"]["kind"] == "secrets"
            assert (await cluster.http.get("/api/v1/namespaces/default/configmaps")).status_code == 200


async def test_conflicts_look_like_conflicts() -> None:
    """A refused update has upstream's words for a conflict, which clients look for."""
    async with Cluster(**BARE) as cluster:
        stored = await note(cluster, "a")
        with cluster.faults.refuse(409, verb="update"), pytest.raises(Conflict, match="the object has been modified"):
            await cluster.client.update(CONFIG_MAPS, stored)


async def test_a_lost_answer() -> None:
    """The client is told of a timeout, and the object is there."""
    async with Cluster(**BARE) as cluster:
        with cluster.faults.lose_answer(verb="create", name="a"), pytest.raises(Timeout):
            await note(cluster, "a")
        assert await cluster.client.get(CONFIG_MAPS, "a", namespace="default")


async def test_scopes() -> None:
    """A fault meets only requests of its verb, resource, namespace, name and agent."""
    async with Cluster(**BARE) as cluster:
        where: Any = {"verb": "create", "resource": "configmaps", "namespace": "default", "name": "a", "agent": "bad"}
        with cluster.faults.refuse(500, **where) as fault:
            await note(cluster, "a", "good-agent")
            await note(cluster, "b", "bad-agent")
            await cluster.client.as_agent("bad").create(SECRETS, {"metadata": {"name": "a", "namespace": "default"}})
            assert fault.fired == 0
            with pytest.raises(ApiError, match="injected fault: 500"):
                await note(cluster, "a", "bad-agent")


async def test_chances_come_from_the_seed() -> None:
    """Of many requests about the declared share is met, and the same ones with the same seed."""

    async def met() -> list[bool]:
        outcome = []
        async with Cluster(**VIRTUAL) as cluster:
            with cluster.faults.refuse(500, verb="create", resource="configmaps", probability=0.3, after=5):
                for number in range(60):
                    try:
                        await note(cluster, f"n{number}")
                        outcome.append(False)
                    except ApiError:
                        outcome.append(True)
        return outcome

    first = await met()
    assert not any(first[:5])
    assert 5 <= sum(first) <= 30
    assert first == await met()


async def test_delays() -> None:
    """A delayed request takes that long on the cluster's clock."""
    async with Cluster(**VIRTUAL) as cluster:
        before = cluster.clock.monotonic()
        with cluster.faults.delay(30, verb="create"):
            await note(cluster, "a")
        assert cluster.clock.monotonic() - before == pytest.approx(30, abs=0.01)


async def test_stale_lists() -> None:
    """A list is answered as it was some revisions ago, with the version of that time."""
    async with Cluster(**BARE) as cluster:
        await note(cluster, "a")
        await note(cluster, "b")
        with cluster.faults.stale(1, resource="configmaps"):
            found: Any = await cluster.client.list(CONFIG_MAPS, namespace="default")
        assert [item["metadata"]["name"] for item in found.items] == ["a"]
        fresh = await cluster.client.list(CONFIG_MAPS, namespace="default")
        assert int(fresh.resource_version) == int(found.resource_version) + 1


async def test_watches() -> None:
    """An open watch ends when it is dropped; a stalled one tells late, and everything; after compaction it is gone."""
    async with Cluster(**VIRTUAL) as cluster:
        watch = cluster.client.watch(CONFIG_MAPS, resource_version="1")
        await note(cluster, "a")
        assert (await anext(watch)).type == "ADDED"
        assert cluster.faults.drop_watches("configmaps") == 1
        assert [event async for event in watch] == []
        with cluster.faults.stall_watches(60, resource="configmaps"):
            before = cluster.clock.monotonic()
            late = cluster.client.watch(CONFIG_MAPS)
            assert (await anext(late)).object["metadata"]["name"] == "a"
            assert cluster.clock.monotonic() - before == pytest.approx(60, abs=0.01)
            await late.aclose()
        await cluster.faults.compact()
        await note(cluster, "b")
        async for event in cluster.client.watch(CONFIG_MAPS, resource_version="1"):
            assert (event.type, event.object["code"]) == ("ERROR", 410)


async def test_our_own_components_get_over_it() -> None:
    """Under conflicts, lost answers, failures and broken watches a Deployment still comes up."""
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    spec = {"replicas": 3, "selector": {"matchLabels": labels}, "template": template}
    options: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "seed": 3}
    async with Cluster(**options) as cluster:
        chance: Any = {"probability": 0.7, "verb": "write", "times": 4}
        cluster.faults.refuse(409, agent="replicaset-controller", **chance)
        cluster.faults.refuse(500, agent="kubelet", **chance)
        cluster.faults.lose_answer(agent="kube-scheduler", verb="write", times=2)
        cluster.faults.lose_answer(agent="deployment-controller", verb="write", times=2)
        await cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
        for _ in range(5):
            await cluster.advance(seconds=1)
            cluster.faults.drop_watches("pods")
        deployment: Any = await cluster.wait_for(DEPLOYMENTS, "web", "Available", timeout=600)
        assert deployment["status"]["readyReplicas"] == 3


async def test_a_fault_that_never_fired() -> None:
    """It fails the block that declared it, or else the whole cluster, and names itself; a failure stays as it is."""
    async with Cluster(**BARE) as cluster:
        says = r"refuse 409.*update of pods never fired: 0 matching"
        with pytest.raises(FaultNeverFired, match=says), cluster.faults.refuse(409, verb="update", resource="pods"):
            await note(cluster, "a")
        with pytest.raises(KeyError), cluster.faults.refuse(409, verb="update"):
            raise KeyError
    with pytest.raises(FaultNeverFired, match="lose the answer"):
        async with Cluster(**BARE) as cluster:
            cluster.faults.lose_answer(verb="update", resource="pods")


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda faults: faults.refuse(200), "200 is no failure"),
        (lambda faults: faults.refuse(409, verb="modify"), "there is no verb 'modify'"),
        (lambda faults: faults.delay(1, verbs="get"), "there is no option 'verbs'; did you mean 'verb'"),
        (lambda faults: faults.delay(1, resource="deployment"), "did you mean 'deployments.apps'"),
        (lambda faults: faults.delay(1, times=0), "'times' must be >= 1"),
        (lambda faults: faults.delay(1, after=-1), "'after' must be >= 0"),
        (lambda faults: faults.delay(1, probability=3), "'probability' must be <= 1"),
    ],
)
async def test_faults_that_cannot_be(declare: Any, says: str) -> None:
    """A code that is no failure, what does not exist and what cannot be are refused where they are declared."""
    async with Cluster(**BARE) as cluster:
        with pytest.raises(ValueError, match=says):
            declare(cluster.faults)
        assert cluster.faults.unfired == []


async def test_recording() -> None:
    """A request log has what was asked while it lasted, with codes, and counts by any part."""
    async with Cluster(**BARE) as cluster:
        await note(cluster, "before")
        with cluster.recording(agent="mine") as log:
            await note(cluster, "a", "mine/1.0")
            with pytest.raises(ApiError):
                await note(cluster, "a", "mine/1.0")
            await note(cluster, "b", "other")
            await cluster.client.as_agent("mine").list(CONFIG_MAPS)
        await note(cluster, "c", "mine")
        assert log.count() == 3
        assert log.count(verb="write", name="a") == 2
        assert [entry.code for entry in log.requests] == [201, 409, 200]
        assert log.summary() == {"create configmaps": 2, "list configmaps": 1}
        assert "mine/1.0: create configmaps default" in str(log)
        log.at_most(2, verb="write")
        with pytest.raises(
            AssertionError, match=r"2 requests, and at most 1 were expected \(create of anything\)\n.*201"
        ):
            log.at_most(1, verb="create")
        with pytest.raises(ValueError, match="did you mean 'configmaps'"):
            log.count(resource="configmap")


async def test_a_log_of_many_requests() -> None:
    """It is told by counts and its end, so that a hot loop can be read."""
    async with Cluster(**BARE) as cluster:
        with cluster.recording(agent="mine") as log:
            for _ in range(100):
                await cluster.client.as_agent("mine").list(CONFIG_MAPS)
        lines = str(log).splitlines()
        assert lines[:2] == ["    100 list configmaps by mine", "the last of them:"]
        assert len(lines) == 22
        assert repr(log) == "<100 requests: 100 list configmaps>"


async def test_open_watches_by_selector() -> None:
    """Open watches of one agent are dropped or held back, others not; one that is not open is an error at once."""
    async with Cluster(**VIRTUAL) as cluster:
        watches = [
            cluster.client.as_agent(agent).watch(CONFIG_MAPS, namespace="default") for agent in ("mine", "other")
        ]
        await note(cluster, "first")
        mine, other = watches
        assert [(await anext(watch)).object["metadata"]["name"] for watch in watches] == ["first", "first"]
        with cluster.faults.stall_open_watches(60, "configmaps", agent="mine"):
            before = cluster.clock.monotonic()
            await note(cluster, "second")
            assert (await anext(other)).object["metadata"]["name"] == "second"
            assert cluster.clock.monotonic() == before
            assert (await anext(mine)).object["metadata"]["name"] == "second"
            assert cluster.clock.monotonic() - before == pytest.approx(60, abs=0.01)
        await note(cluster, "third")
        assert (await anext(mine)).object["metadata"]["name"] == "third"
        assert cluster.clock.monotonic() - before == pytest.approx(60, abs=0.01)
        assert cluster.faults.drop_watches("configmaps", agent="mine", namespace="default") == 1
        assert [event async for event in mine] == []
        for again in (cluster.faults.drop_watches, lambda *a, **k: cluster.faults.stall_open_watches(1, *a, **k)):
            with pytest.raises(FaultNeverFired, match=r"no watch is open .*watch of configmaps by mine"):
                again("configmaps", agent="mine")
        assert (await anext(other)).object["metadata"]["name"] == "third"
        await other.aclose()


async def test_stalled_watches_over_http_share_no_reader() -> None:
    """Two clients that watch the same share a reader; when the one that reads is held back the other is not."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(**{**BARE, "serve": True, "tls": False}))
        async with httpx.AsyncClient(base_url=cluster.url, timeout=20) as http:
            params = {"watch": "true", "resourceVersion": str(cluster.revision)}
            path = "/api/v1/namespaces/default/configmaps"
            streams = [http.stream("GET", path, params=params, headers={"user-agent": a}) for a in ("one", "two")]
            async with streams[0] as one, streams[1] as two:
                lines = [response.aiter_lines() for response in (one, two)]
                await note(cluster, "a")
                assert ["a" in await anext(line) for line in lines] == [True, True]
                await cluster.settle()
                with cluster.faults.stall_open_watches(0.05, agent="one"):
                    for name in ("b", "c"):
                        await note(cluster, f"note-{name}")
                        assert [f"note-{name}" in await anext(line) for line in reversed(lines)] == [True, True]
                await note(cluster, "last")
                assert ["last" in await anext(line) for line in lines] == [True, True]


async def test_bookmarks() -> None:
    """Without bookmarks a quiet watch says nothing for minutes; the end of the initial events is told all the same."""
    async with Cluster(**VIRTUAL) as cluster:
        options: Any = {"allowWatchBookmarks": "true", "timeoutSeconds": "200"}
        streaming = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

        async def told(**more: str) -> list[str]:
            async with cluster.client.watch_batches(CONFIG_MAPS, **options, **more) as batches:
                return [event.type async for batch in batches for event in batch]

        assert (await told(resource_version=str(cluster.revision))).count("BOOKMARK") >= 3
        with cluster.faults.withhold_bookmarks(resource="configmaps"):
            assert await told(resource_version=str(cluster.revision)) == []
            assert await told(**streaming) == ["BOOKMARK"]


WEBHOOK: Any = {
    "metadata": {"name": "guard"},
    "webhooks": [
        {
            "name": "guard.example.com",
            "clientConfig": {"url": "https://127.0.0.1:1/check"},
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
            ],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 7,
        }
    ],
}


@pytest.mark.parametrize(
    ("how", "says", "seconds"),
    [
        ("refuse", 'Post "https://127.0.0.1:1/check?timeout=7s": dial tcp 127.0.0.1:1: connect: connection refused', 0),
        ("timeout", "context deadline exceeded", 7),
        ("nonsense", "couldn't get version/kind; json parse error", 0),
    ],
)
async def test_webhooks(how: Any, says: str, seconds: float) -> None:
    """A webhook fails in the way that was asked for, with the words and the time that this takes, and so often."""
    async with Cluster(**VIRTUAL) as cluster:
        await cluster.client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, WEBHOOK)
        before = cluster.clock.monotonic()
        with cluster.faults.fail_webhook("guard.example.com", how, times=1) as fault:
            with pytest.raises(ApiError, match=f'failed calling webhook "guard.example.com".*{re.escape(says)}'):
                await note(cluster, "a")
            assert cluster.clock.monotonic() - before == pytest.approx(seconds, abs=0.01)
            assert fault.fired == 1
        unmet = pytest.raises(FaultNeverFired, match=r"webhook guard.example.com' never fired: 0 calls")
        with unmet, cluster.faults.fail_webhook("guard.example.com", how):
            await cluster.client.list(CONFIG_MAPS)
