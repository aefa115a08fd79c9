"""What takes hours and days, in virtual time: a week of CronJobs, ten-minute back-offs, a lost node, a turned clock.

All is read off the changes that an informer hears of, so that what was only there for a moment is seen too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

from minik8s import Cluster
from minik8s.api.resource import Resource
from minik8s.api.resources import CRON_JOBS, DEPLOYMENTS, JOBS, PODS
from minik8s.client.informer import Informers
from minik8s.controllers.cronjob import CronJobController
from minik8s.machinery.meta import find_condition, is_terminating, name_of, parse_time, rfc3339
from minik8s.virtualtime import VirtualClock

pytestmark = pytest.mark.anyio
SIMULATED: dict[str, Any] = {"clock": "virtual", "serve": False, "proxy": False, "runtime": "simulated", "seed": 1}
Change = tuple[Any, Any]
"""An object before and after; None where it is not there."""
MARK = "simulated.minik8s.dev/"


def pod_template(policy: str = "Never", **marks: str) -> Any:
    annotations = {MARK + name.replace("_", "-"): value for name, value in marks.items()}
    spec = {"restartPolicy": policy, "containers": [{"name": "c", "image": "busybox"}]}
    return {"metadata": {"annotations": annotations}, "spec": spec}


@asynccontextmanager
async def taken_down(cluster: Cluster, resource: Resource[Any]) -> AsyncIterator[list[Change]]:
    """Every change of the resource, from now on; an informer goes on when the server ends its watch."""
    changes: list[Change] = []
    informers = Informers(cluster.client, cluster.clock, Random(1))
    informers(resource).add_handler(lambda old, new: changes.append((old, new)))
    async with anyio.create_task_group() as group:
        group.start_soon(informers.run)
        yield changes
        group.cancel_scope.cancel()


def created(changes: list[Change]) -> list[Any]:
    return [new for old, new in changes if old is None]


def run_jobs(world: Any, seconds: float) -> list[Any]:
    """Stands in for the job controller and its pods: every Job is complete after that time. All the Jobs there were."""
    seen: list[Any] = []

    async def finish(job: Any) -> None:
        await world.clock.sleep(seconds)
        kinds = ("SuccessCriteriaMet", "Complete")
        ends = [{"type": kind, "status": "True", "reason": "CompletionsReached"} for kind in kinds]
        times = {"startTime": job["metadata"]["creationTimestamp"], "completionTime": rfc3339(world.clock.now())}
        await world.client.update_status(JOBS, {**job, "status": {**times, "conditions": ends}})

    def begin(old: Any, new: Any) -> None:
        if old is None:
            seen.append(new)
            world.group.start_soon(finish, new)

    world.informers(JOBS).add_handler(begin)
    return seen


def cron_job(name: str, schedule: str, **spec: Any) -> Any:
    body = {"schedule": schedule, "jobTemplate": {"spec": {"template": pod_template()}}, **spec}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": "default"},
        "spec": body,
    }


WEEK = [
    # Jobs take 90 minutes: of an hourly schedule Forbid starts each as soon as the one before is done
    ("hourly", cron_job("hourly", "0 * * * *", concurrencyPolicy="Forbid"), 112, timedelta(minutes=90)),
    ("overlapping", cron_job("overlapping", "0 * * * *"), 168, timedelta(hours=1)),
    # on Sunday, March 8, two o'clock does not come in New York
    ("nightly", cron_job("nightly", "30 2 * * *", timeZone="America/New_York"), 6, timedelta(hours=24)),
    ("workdays", cron_job("workdays", "0 9 * * mon-fri", timeZone="Europe/Berlin"), 5, timedelta(hours=24)),
]


async def test_a_week_of_cron_jobs(start: Any) -> None:
    """Every time comes once, at its time in its zone, over a change of the clocks; the history stays short."""
    clock = VirtualClock(datetime(2026, 3, 4, 12, 30, tzinfo=UTC))  # a Wednesday
    with clock.running():
        async with start(clock, CronJobController) as world:
            seen = run_jobs(world, 90 * 60)
            for _, document, _, _ in WEEK:
                await world.client.create(CRON_JOBS, document)
            await world.quiet(7 * 24 * 3600)
            for name, _, count, least in WEEK:
                jobs = [job for job in seen if name_of(job).startswith(name)]
                times = [parse_time(job["metadata"]["creationTimestamp"]) for job in jobs]
                assert len(set(map(name_of, jobs))) == len(jobs) == count, name
                assert min(after - before for before, after in pairwise(times)) >= least - timedelta(seconds=2), name
                status = (await world.get("cronjobs", name, "default"))["status"]
                assert parse_time(status["lastSuccessfulTime"]) > clock.now() - timedelta(days=4)
            skipped = int(datetime(2026, 3, 8, 7, 30, tzinfo=UTC).timestamp()) // 60
            assert f"nightly-{skipped}" not in set(map(name_of, seen))
            assert len((await world.client.list(JOBS, namespace="default")).items) <= len(WEEK) * 5


async def test_back_off_of_ten_minutes() -> None:
    """A Job's failed pods are replaced after 10 s, 20 s, … 10 min, and not once more than the limit."""
    spec = {"backoffLimit": 8, "template": pod_template(run_seconds="1", exit_code="1")}
    document = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": spec}
    async with Cluster(nodes=1, **SIMULATED) as cluster, taken_down(cluster, PODS) as seen:
        await cluster.apply(document)
        await cluster.advance(hours=1)
        made = [parse_time(pod["metadata"]["creationTimestamp"]) for pod in created(seen)]
        gaps = [(after - before).total_seconds() - 1 for before, after in pairwise(made)]
        assert gaps == [pytest.approx(delay, abs=1) for delay in (10, 20, 40, 80, 160, 320, 600, 600)]
        status = (await cluster.client.get(JOBS, "j", namespace="default"))["status"]
        assert (status["failed"], find_condition(status["conditions"], "Failed")["reason"]) == (
            9,
            "BackoffLimitExceeded",
        )


async def test_a_lost_node() -> None:
    """Pods stay on a lost node for 50 s of grace and 300 s of toleration; then they are replaced, all at once."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "busybox"}]}}
    spec = {"replicas": 4, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    document = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    async with Cluster(nodes=2, **SIMULATED) as cluster, taken_down(cluster, PODS) as seen:
        await cluster.apply(document)
        await cluster.wait_for(DEPLOYMENTS, "web", "Available")
        lost = {name_of(p) for p in (await cluster.client.list(PODS, namespace="default")).items
                if p["spec"]["nodeName"] == "node-1"}  # fmt: skip
        assert lost
        await cluster.settle()
        began, already = cluster.clock.now(), len(seen)
        with cluster.faults.node("node-1").lose():
            await cluster.advance(minutes=10)
            marked = {name_of(new): new for _, new in seen[already:] if new is not None and is_terminating(new)}
            assert set(marked) == lost
            for pod in marked.values():
                waited = (parse_time(pod["metadata"]["deletionTimestamp"]) - began).total_seconds()
                assert 340 <= waited - pod["metadata"]["deletionGracePeriodSeconds"] <= 370
                assert (
                    find_condition(pod["status"]["conditions"], "DisruptionTarget")["reason"]
                    == "DeletionByTaintManager"
                )
            replaced = [pod for pod in created(seen[already:]) if name_of(pod) not in lost]
            assert len(replaced) == len(lost)
            done = await cluster.client.get(DEPLOYMENTS, "web", namespace="default")
            assert done["status"]["availableReplicas"] == 4
        await cluster.advance(minutes=2)
        left = (await cluster.client.list(PODS, namespace="default")).items
        assert not lost & set(map(name_of, left)), "the node that is back lets its old pods go"
        assert len(left) == 4


async def test_the_clock_is_turned_back() -> None:
    """No time is served twice and nothing runs wild; once the time has come again, all goes on."""
    async with Cluster(nodes=1, **SIMULATED) as cluster, taken_down(cluster, JOBS) as seen:
        document = cron_job("c", "*/10 * * * *")
        document["spec"]["jobTemplate"]["spec"]["template"] = pod_template(run_seconds="5")
        await cluster.apply(document)
        await cluster.advance(minutes=25)
        assert len(created(seen)) == 2
        assert isinstance(cluster.clock, VirtualClock)
        cluster.clock.start -= timedelta(hours=1)
        already = len(seen)
        await cluster.advance(minutes=60)
        assert seen[already:] == []
        await cluster.advance(minutes=10)
        names = [name_of(job) for job in created(seen)]
        assert len(names) == len(set(names)) == 3
        cluster.clock.start += timedelta(hours=5)
        await cluster.advance(minutes=15)
        assert len(created(seen)) == 4, "of what was jumped over only the last time is made up for"
        assert (await cluster.client.get(CRON_JOBS, "c", namespace="default"))["status"]["lastSuccessfulTime"]
