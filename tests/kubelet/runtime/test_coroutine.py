"""Pods whose containers are Python code of this process: life, log, probes and Service traffic, in virtual time."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import anyio
import httpx
import pytest

from minik8s.api.resources import DEPLOYMENTS, PODS, SERVICES
from minik8s.cluster import Cluster
from minik8s.kubelet.runtime.coroutine import PROCESS, Process, load
from minik8s.kubelet.runtime.protocol import ImageError

pytestmark = [pytest.mark.anyio, pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False, proxy=False)]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app that tells its pod's address and logs what it is asked for."""
    PROCESS.get().print("asked for", scope["path"])
    if scope["path"] == "/fail":
        raise RuntimeError("on purpose")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": PROCESS.get().address.encode()})


async def careful(process: Process) -> int:
    """Cleans up for two seconds when it is stopped, and serves 8081 until then."""
    process.serve(8081, application)
    try:
        await anyio.sleep_forever()
    except asyncio.CancelledError:
        await process.clock.sleep(2)
        process.print("bye", process.env["WHOM"])
        return 7
    return 0


async def stubborn() -> None:
    """Takes no cancellation for an answer."""
    while True:
        try:
            await anyio.sleep_forever()
        except asyncio.CancelledError:
            continue


async def failing(process: Process) -> None:
    """Fails after five seconds."""
    await anyio.sleep(5)
    process.print("so far", end="")
    raise ValueError("the reason")


def pod(name: str, program: str, **fields: Any) -> dict[str, Any]:
    """A pod of one container; `fields` are the container's."""
    container = {"name": "main", "image": f"python://{__name__}:{program}", **fields}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 10}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def restarted(seen: Any) -> bool:
    """Whether its container has been started a second time."""
    return [one["restartCount"] for one in seen["status"].get("containerStatuses", ())] == [1]


async def log_of(cluster: Cluster, name: str, query: str = "") -> str:
    answer = await cluster.http.get(f"/api/v1/namespaces/default/pods/{name}/log{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_service_traffic_and_probes(cluster: Cluster) -> None:
    """Replicas of an ASGI app become ready by their httpGet probe and are asked in turn by their Service's name."""
    template = pod("", "application", readinessProbe={"httpGet": {"path": "/ready", "port": 80}})
    template["metadata"] = {"labels": {"app": "web"}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    service = {"selector": {"app": "web"}, "ports": [{"port": 8000, "targetPort": 80}]}
    await cluster.client.create(
        DEPLOYMENTS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}, namespace="default"
    )
    await cluster.client.create(
        SERVICES, {"metadata": {"name": "web", "namespace": "default"}, "spec": service}, namespace="default"
    )
    await cluster.wait_for(DEPLOYMENTS, "web", "Available")
    await cluster.settle()
    pods = (await cluster.client.list(PODS, namespace="default")).items
    async with cluster.service_http() as http:
        answers = [await http.get("http://web.default.svc:8000/x") for _ in range(4)]
        texts = [answer.text for answer in answers]
        assert texts[:2] == texts[2:]
        assert set(texts) == {one["status"]["podIP"] for one in pods}
        assert (await http.get("http://web:8000/fail")).status_code == 500
        for nowhere in ("http://web:1/", "http://nobody.default/", "http://10.1.2.3/"):
            with pytest.raises(httpx.ConnectError):
                await http.get(nowhere)
    assert (await log_of(cluster, pods[0]["metadata"]["name"])).splitlines()[0] == "asked for /ready"


async def test_stopping(cluster: Cluster) -> None:
    """SIGTERM is a cancellation that a coroutine may answer in its grace; one that never ends is killed at its end."""
    await cluster.client.create(PODS, pod("good", "careful", env=[{"name": "WHOM", "value": "all"}]))
    await cluster.client.create(PODS, pod("bad", "stubborn"))
    ends: dict[str, Any] = {}
    for name in ("good", "bad"):
        await cluster.wait_for(PODS, name, "Ready")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def follow() -> None:
                ends["log"] = await log_of(cluster, "good", "?follow=true")

            tasks.start_soon(follow)
            begun = anyio.current_time()
            for name, seconds in (("good", 2), ("bad", 10)):
                await cluster.client.delete(PODS, name, namespace="default")
                await cluster.wait_for(PODS, name, "Deleted")
                assert seconds <= anyio.current_time() - begun < seconds + 1.5
                begun = anyio.current_time()
    assert ends["log"] == "bye all\n"
    assert not cluster.nodes.hosted
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "container main"]


async def test_failure_restarts(cluster: Cluster) -> None:
    """An exception is exit code 1 with its traceback in the log, and the container starts again."""
    await cluster.client.create(PODS, pod("p", "failing"))
    seen = await cluster.wait_for(PODS, "p", restarted)
    ended = seen["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    log = await log_of(cluster, "p", "?previous=true")
    assert log.startswith("so farTraceback")
    assert log.endswith("ValueError: the reason\n")


async def test_exec_and_probes_without_a_place(cluster: Cluster) -> None:
    """What needs a process or a socket fails and says why."""
    await cluster.client.create(PODS, pod("p", "application", livenessProbe={"exec": {"command": ["true"]}}))
    await cluster.wait_for(PODS, "p", restarted)
    events = (await cluster.http.get("/api/v1/namespaces/default/events")).json()["items"]
    told = [event["message"] for event in events if event["reason"] == "Unhealthy"]
    assert told == [
        'Liveness probe failed: container "main" is a coroutine of the hosting process: no command can run in it'
    ]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("python://no_such_module:name", "ErrImagePull"),
        ("python://sys:no_such_name", "ErrImagePull"),
        ("python://os:abort", "ErrImagePull"),
        ("python://sys:path", "ErrImagePull"),
        ("python://sys", "InvalidImageName"),
        ("python://../x:y", "InvalidImageName"),
        ("python://:", "InvalidImageName"),
    ],
)
async def test_images_that_are_none(image: str, reason: str) -> None:
    """A name that is no coroutine function and no ASGI app is an image that cannot be had, and is not called."""
    with pytest.raises(ImageError) as caught:
        load(image)
    assert caught.value.reason == reason
    assert image in caught.value.message
    assert __name__ in sys.modules


@pytest.mark.minik8s(coroutines=False)
async def test_a_cluster_for_others_runs_none(cluster: Cluster) -> None:
    """Where it is switched off, as on the command line, nothing is imported and the image is not to be had."""
    created = await cluster.client.create(PODS, pod("p", "application"))
    await cluster.advance(seconds=1)
    found = await cluster.client.get(PODS, created["metadata"]["name"], namespace="default")
    (status,) = found["status"]["containerStatuses"]
    assert status["state"]["waiting"]["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert "coroutines=False" in status["state"]["waiting"]["message"]
