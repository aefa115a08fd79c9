"""Killed after any of its writes, each workload controller still brings its world to the same state."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

from minik8s import CONFIG_MAPS, PODS, Cluster
from minik8s.api.resource import Resource
from minik8s.api.resources import (
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    REPLICA_SETS,
    STATEFUL_SETS,
)
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.config import DEFAULT_CONTROLLERS
from minik8s.controllers import controllers
from minik8s.controllers.manager import ControllerManager
from minik8s.controllers.runtime import Context
from minik8s.testing.crashpoints import DidNotConverge, crash_points, program

pytestmark = pytest.mark.anyio
LABELS = {"app": "web"}


def running(name: str) -> Callable[[Cluster], Awaitable[None]]:
    """One controller of ours as a component of its own, with caches of its own."""

    async def component(cluster: Cluster) -> None:
        informers = Informers(cluster.client, cluster.clock, Random(1))
        recorders = Recorders(cluster.client, cluster.clock, Random(1))
        context = Context(cluster.client, informers, cluster.clock, Random(1), recorders, strict=True)
        async with anyio.create_task_group() as group:
            group.start_soon(informers.run)
            await ControllerManager(context, controllers([name])).run()

    return component


def others(name: str) -> tuple[str, ...]:
    return tuple(other for other in DEFAULT_CONTROLLERS if other != name)


def template(image: str = "busybox", policy: str = "Always", **annotations: str) -> Any:
    marks = {f"simulated.minik8s.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
    container = {"name": "c", "image": image}
    spec = {"restartPolicy": policy, "containers": [container], "terminationGracePeriodSeconds": 1}
    return {"metadata": {"labels": LABELS, "annotations": marks}, "spec": spec}


def workload(kind: str, **spec: Any) -> Any:
    body = {"selector": {"matchLabels": LABELS}, "template": template(), **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"}, "spec": body}


async def scale_down(cluster: Cluster, resource: Resource[Any]) -> None:
    await cluster.advance(minutes=2)
    await cluster.client.patch(resource, "web", {"spec": {"replicas": 1}}, namespace="default")


async def replica_set(cluster: Cluster) -> None:
    await cluster.apply(workload("ReplicaSet", replicas=3))
    await scale_down(cluster, REPLICA_SETS)


async def deployment(cluster: Cluster) -> None:
    await cluster.apply(workload("Deployment", replicas=2))
    await cluster.advance(minutes=2)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "busybox:2"}]}}}}
    await cluster.client.patch(DEPLOYMENTS, "web", patch, namespace="default")


async def stateful_set(cluster: Cluster) -> None:
    await cluster.apply(workload("StatefulSet", replicas=2, serviceName="web"))
    await scale_down(cluster, STATEFUL_SETS)


async def job(cluster: Cluster) -> None:
    spec = {"completions": 3, "parallelism": 2, "template": template(policy="Never", run_seconds="5")}
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "web"}, "spec": spec}
    await cluster.apply(document)


async def daemon_set(cluster: Cluster) -> None:
    await cluster.apply(workload("DaemonSet"))
    await cluster.advance(minutes=2)
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "busybox:2"}]}}}}
    await cluster.client.patch(DAEMON_SETS, "web", patch, namespace="default", type="strategic")


async def cron_job(cluster: Cluster) -> None:
    """A Job every ten minutes: two come before the run ends, and the first falls out of the history."""
    spec = {
        "schedule": "*/10 * * * *",
        "successfulJobsHistoryLimit": 1,
        "jobTemplate": {"spec": {"template": template(policy="Never", run_seconds="5")}},
    }
    document = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web"}, "spec": spec}
    await cluster.apply(document)
    await cluster.advance(minutes=11)


CASES: list[Any] = [
    ("replicaset", "replicaset-controller", replica_set, (REPLICA_SETS, PODS)),
    ("deployment", "deployment-controller", deployment, (DEPLOYMENTS, REPLICA_SETS, PODS)),
    ("statefulset", "statefulset-controller", stateful_set, (STATEFUL_SETS, CONTROLLER_REVISIONS, PODS)),
    ("job", "job-controller", job, (JOBS, PODS)),
    ("daemonset", "daemonset-controller", daemon_set, (DAEMON_SETS, CONTROLLER_REVISIONS, PODS)),
    ("cronjob", "cronjob-controller", cron_job, (CRON_JOBS, JOBS)),
]


@pytest.mark.parametrize(("name", "agent", "scenario", "resources"), CASES, ids=[case[0] for case in CASES])
async def test_controllers_converge(name: str, agent: str, scenario: Any, resources: Any) -> None:
    """A controller that is killed after its k-th write and begins anew reaches the state of one that is not."""
    report = await crash_points(
        running(name), scenario, agent=agent, resources=resources, controllers=others(name), strict=True
    )
    assert report.points >= 3
    assert all(report.state.values()), "there is something to compare"


async def test_an_operator_that_does_not_converge() -> None:
    """An operator that counts in memory what it has done is caught, and the report shows the difference."""

    async def forgetful(cluster: Cluster) -> None:
        client = cluster.client.as_agent("forgetful")
        for number in range(2):
            metadata = {"generateName": "note-", "namespace": "default"}
            await client.create(CONFIG_MAPS, {"metadata": metadata, "data": {"number": str(number)}})
        await anyio.sleep_forever()

    async def nothing(cluster: Cluster) -> None:
        await cluster.settle()

    with pytest.raises(DidNotConverge, match=r"behind write 1 of 2 \(create configmaps\):[\s\S]*\+.*\"number\": \"0\""):
        await crash_points(forgetful, nothing, agent="forgetful", resources=(CONFIG_MAPS,), nodes=0, seconds=1)


async def test_a_component_that_never_writes() -> None:
    """A user agent that nobody writes with is a mistake of the test, and is said to be one."""

    async def idle(cluster: Cluster) -> None:
        await anyio.sleep_forever()

    async def nothing(cluster: Cluster) -> None:
        await cluster.client.as_agent("somebody").create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace="default")

    with pytest.raises(RuntimeError, match="never wrote anything as 'nobody'; others that wrote: somebody"):
        await crash_points(idle, nothing, agent="nobody", resources=(PODS,), nodes=0, seconds=1)


PROGRAM = """
import json, os, re, sys, time, urllib.error, urllib.request
time.sleep({start})
server = re.search(r"server: (\\S+)", open(os.environ["KUBECONFIG"]).read()).group(1)
for number in range(2):
    obj = {"metadata": {"name": f"note-{number}"}, "data": {"number": str(number)}}
    if sys.argv[1:]:
        obj["metadata"] = {"generateName": "note-"}
    url = f"{server}/api/v1/namespaces/default/configmaps"
    headers = {"content-type": "application/json", "user-agent": "scripted"}
    try:
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(obj).encode(), headers)).read()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
"""


def written(directory: Path, *, start: float = 0) -> Path:
    """The program as a file: it takes so many seconds to start."""
    script = directory / "program.py"
    script.write_text(PROGRAM.replace("{start}", str(start)))
    return script


async def test_programs(tmp_path: Path) -> None:
    """A program is killed as a process after each of its writes; one that does not get over it is found."""
    script = written(tmp_path)

    async def nothing(cluster: Cluster) -> None:
        await cluster.settle()

    options: Any = {"agent": "scripted", "resources": (CONFIG_MAPS,), "nodes": 0, "seconds": 1, "quiet": 0.3}
    options |= {"tls": False, "controllers": (), "scheduler": False}
    report = await crash_points(program(sys.executable, "-SE", str(script)), nothing, **options)
    assert report.points == 2
    with pytest.raises(DidNotConverge, match=r"behind write 1 of 2 \(create configmaps"):
        await crash_points(program(sys.executable, "-SE", str(script), "forgetful"), nothing, **options)
    with pytest.raises(RuntimeError, match=r"ended with 2: .*can't open file"):
        await crash_points(program(sys.executable, "-SE", str(tmp_path / "none.py")), nothing, **options)


async def test_a_program_that_takes_longer_to_start_than_it_is_quiet(tmp_path: Path) -> None:
    """A run is not over before the program that was started again has asked for something."""
    script = written(tmp_path, start=0.6)

    async def nothing(cluster: Cluster) -> None:
        await cluster.settle()

    options: Any = {"agent": "scripted", "resources": (CONFIG_MAPS,), "nodes": 0, "seconds": 1, "quiet": 0.2}
    options |= {"tls": False, "controllers": (), "scheduler": False}
    assert (await crash_points(program(sys.executable, "-SE", str(script)), nothing, **options)).points == 2
