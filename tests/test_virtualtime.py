"""Time that passes over waits, and clusters that live in it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.to_thread
import pytest

from minik8s import CONFIG_MAPS, DEPLOYMENTS, PODS, Cluster
from minik8s.api.request import ApiRequest
from minik8s.api.resources import EVENTS, JOBS, LEASES, VALIDATING_WEBHOOK_CONFIGURATIONS
from minik8s.apiserver.interception import Proceed
from minik8s.apiserver.response import ApiResponse
from minik8s.blocking import BlockingCluster
from minik8s.clock import RealClock
from minik8s.machinery.errors import ApiError
from minik8s.quiescence import NotSettled
from minik8s.virtualtime import EPOCH, NeverIdle, NoHook, VirtualClock, hooked, idle, shuffled

pytestmark = pytest.mark.anyio
SIMULATED: Any = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "freeze": True, "seed": 1}


async def test_waits_are_passed_over() -> None:
    """An hour's sleep returns at once, and deadlines, timers and the clock agree on it."""
    clock, began = VirtualClock(), anyio.current_time()
    with clock.running():
        due: list[float] = []
        clock.call_later(1800, lambda: due.append(clock.elapsed))
        await clock.sleep(3600)
        with anyio.move_on_after(3600) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert due == [pytest.approx(1800)]
        assert clock.now() - EPOCH == pytest.approx(timedelta(hours=2), abs=timedelta(seconds=1))
    assert anyio.current_time() - began > 7000, "the loop keeps the time that it has reached"


async def test_flow_and_jumps() -> None:
    """Without jumping time flows; while somebody jumps it stands still but for the jumps, and flows on from there."""
    clock = VirtualClock()
    with clock.running(jumping=False):
        first = clock.elapsed
        with clock.jumping():
            stopped = clock.elapsed
            assert stopped >= first
            for _ in range(100):
                await anyio.lowlevel.checkpoint()
            assert clock.elapsed == stopped
            await clock.sleep(10)
            assert clock.elapsed == pytest.approx(stopped + 10)
        assert clock.elapsed >= stopped + 10


async def test_no_jump_while_a_thread_works() -> None:
    """A worker thread lives in real time: while it works, nobody's deadline is jumped to."""
    clock = VirtualClock()
    with clock.running(), anyio.fail_after(60):
        assert await anyio.to_thread.run_sync(lambda: sum(range(2_000_000))) > 0
        assert clock.elapsed < 60


async def test_idle() -> None:
    """`idle` returns once everything that could run has run, without waiting for timers."""
    seen: list[str] = []

    async def chain(steps: int) -> None:
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        seen.append("done")
        await RealClock().sleep(3600)

    async with anyio.create_task_group() as group:
        group.start_soon(chain, 50)
        await idle(10)
        assert seen == ["done"]
        group.cancel_scope.cancel()


async def test_never_idle() -> None:
    """A loop that always has something to run is told by the names of its tasks."""

    async def spin() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(spin, name="the spinner")
        with pytest.raises(NeverIdle, match="the spinner"):
            await idle(0.01)
        group.cancel_scope.cancel()


async def test_the_hook_goes_away() -> None:
    """Nothing of it is left on the loop once nobody needs it; two users share one."""
    with hooked() as first:
        with hooked() as second:
            assert first is second
        assert first.users == 1
    assert first.users == 0


async def test_shuffled_tasks() -> None:
    """Tasks that are ready at once get their turn as a seed draws it, again the same; callbacks keep their order."""

    async def turns(seed: int | None) -> tuple[list[int], list[int]]:
        tasks: list[int] = []
        callbacks: list[int] = []

        async def turn(number: int) -> None:
            tasks.append(number)
            asyncio.get_running_loop().call_soon(callbacks.append, number)

        with nullcontext() if seed is None else shuffled(Random(seed)):
            async with anyio.create_task_group() as group:
                for number in range(8):
                    group.start_soon(turn, number)
        return tasks, callbacks

    first, second, third = [await turns(seed) for seed in (1, 1, 2)]
    assert first == second
    assert first[0] not in (third[0], list(range(8)))
    assert first[1] == first[0]
    assert await turns(None) == (list(range(8)), list(range(8)))


def test_foreign_loops_are_refused() -> None:
    """A loop without a selector of asyncio's kind cannot be watched, and the error says so."""
    from minik8s.virtualtime import Hook

    with pytest.raises(NoHook, match="asyncio's own event loop"):
        Hook(object())


CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "tick"},
    "spec": {
        "schedule": "0 * * * *",
        "successfulJobsHistoryLimit": 100,
        "jobTemplate": {
            "spec": {
                "template": {
                    "metadata": {"annotations": {"simulated.minik8s.dev/run-seconds": "5"}},
                    "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]},
                }
            }
        },
    },
}


async def test_advance() -> None:
    """Hours pass in moments: every hour's Job has run by then, at its time, and timestamps agree."""
    async with Cluster(**SIMULATED) as cluster:
        await cluster.apply(CRON_JOB)
        before = cluster.clock.now()
        await cluster.advance(hours=5, minutes=1)
        assert cluster.clock.now() - before >= timedelta(hours=5)
        jobs: Any = (await cluster.client.list(JOBS)).items
        assert sorted(job["status"]["completionTime"][11:19] for job in jobs) == [f"0{h}:00:05" for h in range(1, 6)]
        lease: Any = await cluster.client.get(LEASES, "node-1", namespace="kube-node-lease")
        assert lease["spec"]["renewTime"] >= f"{(cluster.clock.now() - timedelta(seconds=15)).isoformat()[:19]}"


async def test_advance_is_refused() -> None:
    """Time that is real, or that lies behind us, cannot be advanced to."""
    async with Cluster(nodes=0, serve=False, proxy=False) as cluster:
        with pytest.raises(RuntimeError, match='clock="virtual"'):
            await cluster.advance(hours=1)
    async with Cluster(**SIMULATED) as cluster:
        with pytest.raises(ValueError, match="turned back by 60 s"):
            await cluster.advance(minutes=-1)


async def test_wait_for_takes_no_time() -> None:
    """Waiting for a slow container passes over the wait; the pod's own timestamps show it."""
    async with Cluster(**SIMULATED) as cluster:
        slow = {"simulated.minik8s.dev/start-seconds": "600"}
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "annotations": slow},
            "spec": {"containers": [{"name": "c", "image": "busybox"}]},
        }
        await cluster.apply(pod)
        ready: Any = await cluster.wait_for(PODS, "p", "Ready", timeout=700)
        assert ready["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] >= "2026-01-01T00:10:00Z"


@pytest.mark.parametrize("runtime", ["simulated", "subprocess"])
async def test_settle(runtime: str) -> None:
    """After `settle` a Deployment is up, whatever its pods run as, though nobody waited for a condition."""
    options = {**SIMULATED, "clock": "real", "runtime": runtime}
    labels = {"app": "web"}
    container = {"name": "c", "image": "busybox", "command": ["sleep", "1000"]}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    async with Cluster(**options) as cluster:
        await cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
        await cluster.settle(timeout=30)
        deployment: Any = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
        assert deployment["status"]["readyReplicas"] == 2
        await cluster.client.delete(DEPLOYMENTS, "web", namespace="default")
        await cluster.settle(timeout=30)
        assert (await cluster.client.list(PODS)).items == []


async def test_settle_names_queues_watchers_and_webhooks() -> None:
    """When the time is up, keys in work, watchers that are behind and webhooks that do not answer are named.

    A webhook is waited for in real time, also by a cluster that else passes over every wait.
    """
    hold = anyio.Event()

    async def held(request: ApiRequest, proceed: Proceed) -> ApiResponse:
        if request.user_agent == "replicaset-controller" and request.verb == "create":
            await hold.wait()
        return await proceed(request)

    async def spin() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    async with Cluster(**SIMULATED) as cluster, anyio.create_task_group() as group:
        cluster.intercept(held)
        watch = cluster.client.as_agent("slow-client").watch(CONFIG_MAPS, resource_version=str(cluster.revision))
        await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})
        assert (await anext(watch)).type == "ADDED"
        await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "b", "namespace": "default"}})
        labels = {"app": "web"}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
        body = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        await cluster.apply({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web"}, "spec": body})
        await cluster.settle()
        group.start_soon(spin, name="the spinner")
        with pytest.raises(NotSettled) as caught:
            await cluster.settle(timeout=0.05)
        said = str(caught.value)
        assert "controller replicaset works on default/web" in said
        assert "watcher of configmaps by slow-client is 1 changes behind" in said
        assert "the spinner" in said
        group.cancel_scope.cancel()
        hold.set()
        await watch.aclose()
    async with Cluster(**SIMULATED) as cluster, anyio.create_task_group() as group:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
        config = {"url": f"https://127.0.0.1:{port}/never"}
        hook = {"name": "a.b.c", "clientConfig": config, "rules": [rule], "sideEffects": "None"}
        hook |= {"admissionReviewVersions": ["v1"]}
        await cluster.client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, {"metadata": {"name": "a"}, "webhooks": [hook]})

        async def refused() -> None:
            with pytest.raises(ApiError, match="failed calling webhook"):
                await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "a", "namespace": "default"}})

        group.start_soon(refused)
        before = cluster.clock.now()
        with pytest.raises(NotSettled, match=rf"call of webhook https://127.0.0.1:{port}/never"):
            await cluster.settle(timeout=0.2)
        assert cluster.clock.now() - before < timedelta(seconds=9), "its ten seconds have not been passed over"
        await listener.aclose()


async def test_settle_names_what_is_busy() -> None:
    """The task that never rests is named when the time is up, and no informer that has seen all there is to see."""
    async with Cluster(nodes=0, serve=False, proxy=False) as cluster:

        async def spin() -> None:
            while True:
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(spin, name="my operator")
            with pytest.raises(NotSettled, match="my operator") as caught:
                await cluster.settle(timeout=0.05)
            assert "informer" not in str(caught.value)
            group.cancel_scope.cancel()
        await cluster.settle()


def test_a_served_cluster_advances() -> None:
    """With clients outside time flows by itself, and jumps when it is told to; everything due happens on the way."""
    with BlockingCluster(clock="virtual", runtime="simulated", nodes=1, freeze=True) as cluster:
        before = cluster.cluster.clock.now()
        cluster.apply(CRON_JOB)
        cluster.advance(hours=2, minutes=1)
        after = cluster.cluster.clock.now()
        hours = int(after.timestamp() // 3600 - before.timestamp() // 3600)  # it begins now: mostly 2, sometimes 3
        assert len(cluster.run(cluster.client.list, JOBS).items) == hours
        cluster.settle()


RUN = """\
import anyio, json, sys
from minik8s import Cluster
from minik8s.api.resources import EVENTS, PODS, DEPLOYMENTS
from minik8s.api.request import ApiRequest

async def main():
    log = []
    options = dict(clock="virtual", serve=False, proxy=False, runtime="simulated", seed=7, nodes=3, shuffle=True)
    async with Cluster(**options) as cluster:
        await cluster.apply(json.loads(sys.argv[1]))
        await cluster.advance(minutes=10)
        await cluster.client.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, namespace="default")
        await cluster.advance(minutes=10)
        for resource in (PODS, EVENTS, DEPLOYMENTS):
            log += (await cluster.client.list(resource)).items
    json.dump(log, sys.stdout)

anyio.run(main)
"""


def test_one_seed_one_history() -> None:
    """Two processes with one seed, with different hash seeds and tasks shuffled, tell the same story to the byte."""
    labels = {"app": "web"}
    crashes = {"simulated.minik8s.dev/run-seconds": "30", "simulated.minik8s.dev/exit-code": "1"}
    template = {
        "metadata": {"labels": labels, "annotations": crashes},
        "spec": {"containers": [{"name": "c", "image": "busybox"}]},
    }
    spec = {"replicas": 5, "selector": {"matchLabels": labels}, "template": template}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}

    def story(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, "-c", RUN, json.dumps(document)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first, second = story("1"), story("2")
    assert len(json.loads(first)) > 20
    assert first == second


async def test_events_are_still_ordered() -> None:
    """Events of a virtual cluster bear virtual times, in the order in which things happened."""
    async with Cluster(**SIMULATED) as cluster:
        await cluster.apply(CRON_JOB)
        await cluster.advance(hours=1, minutes=5)
        events: Any = (await cluster.client.list(EVENTS, namespace="default")).items
        times = {event["reason"]: (event["firstTimestamp"] or event["eventTime"])[:19] for event in events}
        assert times["SuccessfulCreate"] <= times["Scheduled"] <= times["Started"] <= times["Completed"]
        assert times["SuccessfulCreate"].startswith("2026-01-01T01:00:0")
