"""Jobs against a real API server, scheduler and simulated nodes, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest

from minik8s.api.resources import JOBS, PODS
from minik8s.controllers.garbagecollector import GarbageCollector
from minik8s.controllers.job import JobController
from minik8s.controllers.job_pods import TRACKING
from minik8s.controllers.ttl_after_finished import TTLAfterFinishedController
from minik8s.machinery.meta import find_condition, is_terminating, parse_time

RUN = "simulated.minik8s.dev/"
SUCCEEDS = {RUN + "run-seconds": "5"}
FAILS = {RUN + "run-seconds": "5", RUN + "exit-code": "3"}


def job(annotations: Any = None, restart: str = "Never", **spec: Any) -> Any:
    pods = {"restartPolicy": restart, "containers": [{"name": "c", "image": "busybox"}]}
    template = {"metadata": {"annotations": annotations or SUCCEEDS}, "spec": pods}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "j", "namespace": "default"},
        "spec": {"template": template, **spec},
    }


async def create(world: Any, annotations: Any = None, restart: str = "Never", **spec: Any) -> Any:
    return await world.client.create(JOBS, job(annotations, restart, **spec))


async def pods_of(world: Any) -> list[Any]:
    found: list[Any] = (await world.client.list(PODS, namespace="default")).items
    return found


async def condition(world: Any, type_: str) -> Any:
    """Waits for that condition of the Job to be True; the Job."""

    async def look() -> Any:
        found = await world.get("jobs", "j", "default")
        standing = find_condition(found["status"].get("conditions"), type_)
        return found if standing is not None and standing["status"] == "True" else None

    return await world.until(look)


async def status(world: Any, **counts: Any) -> Any:
    """Waits until the Job's status has these values."""

    async def look() -> Any:
        found = (await world.get("jobs", "j", "default"))["status"]
        return found if all(found.get(name) == value for name, value in counts.items()) else None

    return await world.until(look)


def untracked(pods: list[Any]) -> bool:
    return not any(TRACKING in pod["metadata"].get("finalizers", ()) for pod in pods)


def test_runs_to_completion(virtual: Any, start: Any) -> None:
    """As many pods as completions succeed, no more than parallelism at once; counters, conditions and events say so."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=2) as world:
            await create(world, completions=5, parallelism=2)
            running = await status(world, active=2, ready=2)
            assert running["startTime"] == "2026-01-01T00:00:00Z"
            done = await condition(world, "Complete")
            assert [c["type"] for c in done["status"]["conditions"]] == ["SuccessCriteriaMet", "Complete"]
            assert {c["reason"] for c in done["status"]["conditions"]} == {"CompletionsReached"}
            end = done["status"]["completionTime"]
            rest = {k: v for k, v in done["status"].items() if k not in ("completionTime", "conditions")}
            assert rest == {
                "startTime": running["startTime"],
                "succeeded": 5,
                "ready": 0,
                "terminating": 0,
                "uncountedTerminatedPods": {},
            }
            assert parse_time(end) - parse_time(running["startTime"]) >= timedelta(seconds=15)
            pods = await pods_of(world)
            assert len(pods) == 5
            assert untracked(pods)
            await world.quiet()
            assert [e["message"] for e in await world.events("Completed")] == ["Job completed"]
            assert len(await world.events("SuccessfulCreate")) == 5

    virtual(body)


def test_work_queue(virtual: Any, start: Any) -> None:
    """Without completions one success is enough, once every pod has ended."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, parallelism=3)
            done = await condition(world, "Complete")
            assert done["status"]["succeeded"] == 3

    virtual(body)


def test_backoff_limit(virtual: Any, start: Any) -> None:
    """Failed pods are replaced ever later, 10 s, 20 s, until the limit is passed."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, FAILS, backoffLimit=2)
            failed = await condition(world, "Failed")
            last = find_condition(failed["status"]["conditions"], "Failed")
            assert last["reason"] == "BackoffLimitExceeded"
            assert last["message"] == "Job has reached the specified backoff limit"
            assert failed["status"]["failed"] == 3
            assert "completionTime" not in failed["status"]
            pods = await pods_of(world)
            made = sorted(parse_time(pod["metadata"]["creationTimestamp"]) for pod in pods)
            gaps = [(after - before).total_seconds() for before, after in pairwise(made)]
            assert gaps == [pytest.approx(15, abs=2), pytest.approx(25, abs=2)]
            await world.quiet()
            assert await world.events("BackoffLimitExceeded")

    virtual(body)


def test_restarts_in_place_count(virtual: Any, start: Any) -> None:
    """With OnFailure the container restarts in its pod; too many restarts fail the Job and the pod is deleted."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, FAILS, "OnFailure", backoffLimit=2)
            failed = await condition(world, "Failed")
            assert find_condition(failed["status"]["conditions"], "Failed")["reason"] == "BackoffLimitExceeded"
            assert failed["status"]["failed"] == 1
            assert await pods_of(world) == []

    virtual(body)


def test_deadline(virtual: Any, start: Any) -> None:
    """After activeDeadlineSeconds the pods are stopped; Failed is said only when they are gone."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            slow = {RUN + "stop-seconds": "7"}
            await create(world, slow, parallelism=2, completions=2, activeDeadlineSeconds=60)
            stopping = await condition(world, "FailureTarget")
            assert find_condition(stopping["status"]["conditions"], "Failed") is None
            assert stopping["status"]["terminating"] == 2
            failed = await condition(world, "Failed")
            assert failed["status"]["terminating"] == 0
            target, last = failed["status"]["conditions"]
            assert last["reason"] == "DeadlineExceeded"
            began = parse_time(failed["status"]["startTime"])
            assert (parse_time(target["lastTransitionTime"]) - began).total_seconds() == pytest.approx(60, abs=1)
            assert (parse_time(last["lastTransitionTime"]) - began).total_seconds() == pytest.approx(67, abs=2)
            assert failed["status"]["failed"] == 2

    virtual(body)


def test_indexed(virtual: Any, start: Any) -> None:
    """Each index has a pod with its number in name, label, annotation, host name and environment."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, completions=4, parallelism=3, completionMode="Indexed")
            done = await condition(world, "Complete")
            assert done["status"]["completedIndexes"] == "0-3"
            pods = {pod["spec"]["hostname"]: pod for pod in await pods_of(world)}
            assert sorted(pods) == ["j-0", "j-1", "j-2", "j-3"]
            metadata = pods["j-2"]["metadata"]
            assert metadata["name"].startswith("j-2-")
            assert metadata["labels"]["batch.kubernetes.io/job-completion-index"] == "2"
            assert metadata["annotations"]["batch.kubernetes.io/job-completion-index"] == "2"
            (variable,) = pods["j-2"]["spec"]["containers"][0]["env"]
            assert variable["name"] == "JOB_COMPLETION_INDEX"
            path = variable["valueFrom"]["fieldRef"]["fieldPath"]
            assert path == "metadata.labels['batch.kubernetes.io/job-completion-index']"

    virtual(body)


def test_backoff_limit_per_index(virtual: Any, start: Any) -> None:
    """An index that fails too often is given up; the others go on, and the Job fails with its failed indexes."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, FAILS, completions=2, parallelism=2, completionMode="Indexed", backoffLimitPerIndex=1)
            failed = await condition(world, "Failed")
            assert find_condition(failed["status"]["conditions"], "Failed")["reason"] == "FailedIndexes"
            assert failed["status"]["failedIndexes"] == "0,1"
            assert failed["status"]["failed"] == 4
            counts = [
                pod["metadata"]["annotations"]["batch.kubernetes.io/job-index-failure-count"]
                for pod in await pods_of(world)
            ]
            assert sorted(counts) == ["0", "0", "1", "1"]

    virtual(body)


def test_success_policy(virtual: Any, start: Any) -> None:
    """When the policy is met the rest is stopped, and the Job is complete once it is gone."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            forever = {**SUCCEEDS, RUN + "run-seconds": "100000"}
            rules = [{"succeededIndexes": "1", "succeededCount": 1}]
            await create(
                world,
                forever,
                completions=3,
                parallelism=3,
                completionMode="Indexed",
                successPolicy={"rules": rules},
            )
            await status(world, ready=3)
            lucky = next(p["metadata"]["name"] for p in await pods_of(world) if p["spec"]["hostname"] == "j-1")
            ended = {"status": {"phase": "Succeeded"}}
            await world.client.patch(PODS, lucky, ended, namespace="default", subresource="status")
            done = await condition(world, "Complete")
            last = find_condition(done["status"]["conditions"], "Complete")
            assert (last["reason"], last["message"]) == ("SuccessPolicy", "Matched rules at index 0")
            assert done["status"]["completedIndexes"] == "1"
            assert done["status"].get("failed", 0) == 0

    virtual(body)


@pytest.mark.parametrize(("action", "count"), [("FailJob", 1), ("Ignore", 0)])
def test_pod_failure_policy(virtual: Any, start: Any, action: str, count: int) -> None:
    """FailJob ends the Job at the first such exit; Ignore replaces the pod without counting it."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            rule = {"action": action, "onExitCodes": {"operator": "In", "values": [3]}}
            await create(world, FAILS, backoffLimit=0, podFailurePolicy={"rules": [rule]})
            if action == "FailJob":
                failed = await condition(world, "Failed")
                last = find_condition(failed["status"]["conditions"], "Failed")
                assert last["reason"] == "PodFailurePolicy"
                assert last["message"].startswith("Container c for pod default/j-")
                assert last["message"].endswith("failed with exit code 3 matching FailJob rule at index 0")
                assert failed["status"]["failed"] == count
            else:

                async def several() -> bool:
                    return len(await pods_of(world)) >= 3

                await world.until(several)
                found = await world.get("jobs", "j", "default")
                assert found["status"].get("failed", 0) == count

    virtual(body)


def test_suspend_and_resume(virtual: Any, start: Any) -> None:
    """Suspending deletes the pods and clears the start time; resuming begins anew."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, {RUN + "run-seconds": "30"}, suspend=True)
            held = await condition(world, "Suspended")
            assert "startTime" not in held["status"]
            await world.client.patch(JOBS, "j", {"spec": {"suspend": False}}, namespace="default")
            running = await status(world, ready=1)
            assert find_condition(running["conditions"], "Suspended")["reason"] == "JobResumed"
            await world.client.patch(JOBS, "j", {"spec": {"suspend": True}}, namespace="default")
            await condition(world, "Suspended")
            await status(world, active=None, terminating=0)
            assert await pods_of(world) == []
            await world.client.patch(JOBS, "j", {"spec": {"suspend": False}}, namespace="default")
            with anyio.fail_after(5):  # no back-off: what was suspended has not failed
                await status(world, ready=1)
            done = await condition(world, "Complete")
            assert (done["status"]["succeeded"], done["status"].get("failed")) == (1, None)
            await world.quiet()
            assert len(await world.events("Suspended")) >= 1
            assert len(await world.events("Resumed")) >= 1

    virtual(body)


def test_replacement_policies(virtual: Any, start: Any) -> None:
    """TerminatingOrFailed replaces a pod when its deletion begins; Failed waits until it has ended."""

    async def body(clock: Any, policy: str) -> None:
        async with start(clock, JobController, nodes=1) as world:
            await create(world, {RUN + "stop-seconds": "20"}, podReplacementPolicy=policy)
            await status(world, ready=1)
            (first,) = await pods_of(world)
            await world.client.delete(PODS, first["metadata"]["name"], namespace="default")
            await world.quiet(12)
            pods = await pods_of(world)
            assert len(pods) == (2 if policy == "TerminatingOrFailed" else 1)
            assert sum(map(is_terminating, pods)) == 1
            await status(world, terminating=0, ready=1)
            assert len([p for p in await pods_of(world) if not is_terminating(p)]) == 1

    virtual(lambda clock: body(clock, "TerminatingOrFailed"))
    virtual(lambda clock: body(clock, "Failed"))


def test_parallelism_changes(virtual: Any, start: Any) -> None:
    """Lowering parallelism deletes pods, raising it creates some."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, nodes=1) as world:
            forever = {RUN + "run-seconds": "100000"}
            await create(world, forever, parallelism=3, completions=9, completionMode="Indexed")
            await status(world, ready=3)
            await world.client.patch(JOBS, "j", {"spec": {"parallelism": 1}}, namespace="default")
            await status(world, active=1, terminating=0)
            await world.client.patch(JOBS, "j", {"spec": {"parallelism": 4}}, namespace="default")
            await status(world, ready=4)
            names = {pod["spec"]["hostname"] for pod in await pods_of(world)}
            assert names == {"j-0", "j-1", "j-2", "j-3"}

    virtual(body)


def test_deleted_jobs_let_their_pods_go(virtual: Any, start: Any) -> None:
    """Background deletion takes the pods along although they have the tracking finalizer; orphaning frees them."""

    async def body(clock: Any, propagation: str, left: int) -> None:
        async with start(clock, JobController, GarbageCollector, nodes=1) as world:
            await create(world, {RUN + "run-seconds": "100000"}, parallelism=2, completions=2)
            await status(world, ready=2)
            await world.client.delete(JOBS, "j", namespace="default", propagation=propagation)
            await world.until_gone("jobs", "j", "default")
            await world.quiet(60)
            pods = await pods_of(world)
            assert len(pods) == left
            assert untracked(pods)

    virtual(lambda clock: body(clock, "Background", 0))
    virtual(lambda clock: body(clock, "Foreground", 0))
    virtual(lambda clock: body(clock, "Orphan", 2))


def test_ttl_after_finished(virtual: Any, start: Any) -> None:
    """A finished Job is deleted with its pods after its TTL, not before."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController, TTLAfterFinishedController, GarbageCollector, nodes=1) as world:
            await create(world, ttlSecondsAfterFinished=100)
            await condition(world, "Complete")
            await world.quiet(95)
            assert await world.get("jobs", "j", "default")
            await world.quiet(20)
            assert await world.get("jobs", "j", "default") is None
            assert await pods_of(world) == []

    virtual(body)


def test_managed_by_somebody_else(virtual: Any, start: Any) -> None:
    """A Job of another controller is left alone."""

    async def body(clock: Any) -> None:
        async with start(clock, JobController) as world:
            await create(world, managedBy="example.com/other")
            await world.quiet()
            assert await pods_of(world) == []
            assert (await world.get("jobs", "j", "default"))["status"] == {}

    virtual(body)
