"""CronJobs: when they are due and what is done then, as tables; and the controller in virtual time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from minik8s.api.cron import parse_schedule
from minik8s.api.resources import CRON_JOBS, JOBS
from minik8s.controllers.cronjob import CronJobController
from minik8s.controllers.cronjob_plan import Plan, plan
from minik8s.controllers.cronjob_schedule import due, next_time
from minik8s.controllers.job import JobController
from minik8s.machinery.meta import controller_of, parse_time

NOW = "2026-01-01T12:00:30Z"
CONTAINERS = [{"name": "c", "image": "busybox"}]


def cronjob(schedule: str = "*/5 * * * *", status: Any = None, **spec: Any) -> Any:
    template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "default", "uid": "u", "creationTimestamp": "2026-01-01T11:59:00Z"},
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
        "status": status or {},
    }


def job(name: str, end: str = "", at: str = "2026-01-01T11:00:00Z") -> Any:
    status: Any = {"startTime": at}
    if end:
        status["conditions"] = [{"type": end, "status": "True"}]
    if end == "Complete":
        status["completionTime"] = at
    return {"metadata": {"name": name, "namespace": "default", "uid": name, "resourceVersion": "7"}, "status": status}


def active(*names: str) -> Any:
    return {"active": [{"name": name, "uid": name, "kind": "Job", "namespace": "default"} for name in names]}


def decide(cron: Any, *jobs: Any, now: str = NOW) -> Plan:
    return plan(cron, jobs, parse_time(now))


def reasons(todo: Plan) -> list[str]:
    return [reason for _, reason, _ in todo.notes]


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("30 2 * * *", "UTC", "2026-03-08T00:00:00Z", "2026-03-08T02:30:00Z"),
        ("0 9 * * *", "Asia/Tokyo", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        ("30 2 * * *", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-09T06:30:00Z"),
        ("0 3 * * *", "America/New_York", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z"),
        ("30 1 * * *", "America/New_York", "2026-11-01T05:00:00Z", "2026-11-01T05:30:00Z"),
        ("30 1 * * *", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"),
        ("30 1 * * *", "America/New_York", "2026-11-01T06:30:00Z", "2026-11-02T06:30:00Z"),
        ("0 12 1 7 *", "America/New_York", "2026-01-01T00:00:00Z", "2026-07-01T16:00:00Z"),
        ("0 0 30 2 *", "UTC", "2026-01-01T00:00:00Z", None),
    ],
)
def test_time_zones(schedule: str, zone: str, after: str, expected: str | None) -> None:
    """Wall time counts; a time that the clocks skip does not come, one that they repeat comes twice."""
    found = next_time(parse_schedule(schedule), parse_time(after), ZoneInfo(zone))
    assert found == (parse_time(expected) if expected else None)


@pytest.mark.parametrize(
    ("now", "served", "deadline", "last", "missed"),
    [
        ("2026-01-01T11:59:30Z", None, None, None, 0),
        ("2026-01-01T12:00:00Z", None, None, "2026-01-01T12:00:00Z", 1),
        ("2026-01-01T12:17:00Z", None, None, "2026-01-01T12:15:00Z", 4),
        ("2026-01-01T12:17:00Z", "2026-01-01T12:15:00Z", None, None, 0),
        ("2026-01-01T12:17:00Z", None, 60, None, 0),
        ("2026-01-01T12:17:00Z", None, 180, "2026-01-01T12:15:00Z", 1),
        ("2027-01-01T12:17:00Z", None, None, "2027-01-01T12:15:00Z", 105124),
    ],
)
def test_due(now: str, served: str | None, deadline: int | None, last: str | None, missed: int) -> None:
    """Only the latest of the times that have passed is due, and only within the starting deadline."""
    status = {"lastScheduleTime": served} if served else {}
    found = due(cronjob(status=status, startingDeadlineSeconds=deadline), parse_time(now))
    assert (found.last, found.missed) == (parse_time(last) if last else None, missed)
    assert found.next is not None
    assert 0 < (found.next - parse_time(now)).total_seconds() <= 300


def test_a_job_is_made() -> None:
    """Name, annotation and owner tell for which time it is."""
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}
    todo = decide(cronjob(timeZone="Europe/Berlin", jobTemplate=template))
    assert todo.create is not None
    metadata = todo.create["metadata"]
    assert metadata["name"] == f"c-{int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()) // 60}"
    assert metadata["annotations"] == {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T13:00:00+01:00"}
    assert metadata["labels"] == {"a": "b"}
    owner = controller_of(todo.create)
    assert owner is not None
    assert owner["uid"] == "u"
    assert todo.recheck == pytest.approx(270.1)


@pytest.mark.parametrize(
    ("policy", "creates", "replaced", "reason"),
    [("Allow", True, 0, []), ("Forbid", False, 0, ["JobAlreadyActive"]), ("Replace", True, 1, [])],
)
def test_concurrency(policy: str, creates: bool, replaced: int, reason: list[str]) -> None:
    """A Job that still runs is let run, forbids the next, or is replaced."""
    todo = decide(cronjob(status=active("j"), concurrencyPolicy=policy), job("j"))
    assert (todo.create is not None, len(todo.replaced), reasons(todo)) == (creates, replaced, reason)


def test_observation() -> None:
    """Ended and missing Jobs leave the list, unknown running ones are told of, the last success is remembered."""
    cron = cronjob(status=active("done", "gone", "runs"), suspend=True)
    todo = decide(
        cron, job("done", "Complete"), job("runs"), job("stray"), job("old", "Complete", "2026-01-01T10:00:00Z")
    )
    assert [ref["name"] for ref in todo.status["active"]] == ["runs"]
    assert todo.status["lastSuccessfulTime"] == "2026-01-01T11:00:00Z"
    assert {text for _, _, text in todo.notes} == {
        "Saw completed job: done, condition: Complete",
        "Active job went missing: gone",
        "Saw a job that the controller did not create or forgot: stray",
    }
    assert todo.create is None


def test_history_limits() -> None:
    """The oldest finished Jobs beyond each limit go."""
    jobs = [job(f"s{i}", "Complete", f"2026-01-01T0{i}:00:00Z") for i in range(4)]
    jobs += [job(f"f{i}", "Failed", f"2026-01-01T0{i}:00:00Z") for i in range(2)]
    todo = decide(cronjob(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=0), *jobs)
    assert [j["metadata"]["name"] for j in todo.outdated] == ["s0", "s1", "f0", "f1"]


def test_what_cannot_be_scheduled_is_said() -> None:
    """A bad zone, a bad schedule, and too many missed times."""
    assert reasons(decide(cronjob(timeZone="No/Where"))) == ["UnknownTimeZone"]
    assert reasons(decide(cronjob("nonsense"))) == ["UnparseableSchedule"]
    assert reasons(decide(cronjob("nonsense", suspend=True))) == []
    assert reasons(decide(cronjob("nonsense", suspend=True, timeZone="../x"))) == ["UnknownTimeZone"]
    late = decide(cronjob("* * * * *"), now="2026-01-02T12:00:00Z")
    assert reasons(late) == ["TooManyMissedTimes"]
    assert late.create is not None


def test_a_name_that_is_taken(virtual: Any, start: Any) -> None:
    """A Job of somebody else's under the name of a time stands for that time; the next time gets its own."""

    async def body(clock: Any) -> None:
        async with start(clock, CronJobController) as world:
            template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": CONTAINERS}}}}
            taken = f"c-{29453760 + 10}"
            await world.add("jobs", taken, "default", spec=template["spec"])
            await world.add("cronjobs", "c", "default", spec={"schedule": "*/10 * * * *", "jobTemplate": template})
            await world.quiet(15 * 60)
            assert {job["metadata"]["name"] for job in (await world.client.list(JOBS)).items} == {taken}
            await world.quiet(10 * 60)
            found = (await world.get("cronjobs", "c", "default"))["status"]
            assert [ref["name"] for ref in found["active"]] == [f"c-{29453760 + 20}"]
            assert await world.events("FailedCreate") == []

    virtual(body)


def test_an_hour_of_jobs(virtual: Any, start: Any) -> None:
    """Jobs come every ten minutes, complete, and only the last three are kept; suspending stops them."""

    async def body(clock: Any) -> None:
        async with start(clock, CronJobController, JobController, nodes=1) as world:
            pods = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
            quick = {"annotations": {"simulated.minik8s.dev/run-seconds": "20"}}
            template = {"spec": {"template": {"metadata": quick, "spec": pods}}}
            await world.add("cronjobs", "c", "default", spec={"schedule": "*/10 * * * *", "jobTemplate": template})
            await world.quiet(605)
            running = (await world.get("cronjobs", "c", "default"))["status"]
            assert running["lastScheduleTime"] == "2026-01-01T00:10:00Z"
            assert len(running["active"]) == 1
            await world.quiet(3000)
            done = (await world.get("cronjobs", "c", "default"))["status"]
            assert done["lastScheduleTime"] == "2026-01-01T01:00:00Z"
            assert done["lastSuccessfulTime"].startswith("2026-01-01T00:50:2")
            await world.quiet(60)
            jobs = (await world.client.list(JOBS)).items
            assert sorted(j["metadata"]["name"] for j in jobs) == [f"c-{29453760 + m}" for m in (40, 50, 60)]
            await world.client.patch(CRON_JOBS, "c", {"spec": {"suspend": True}}, namespace="default")
            await world.quiet(1800)
            assert len((await world.client.list(JOBS)).items) == 3
            assert len(await world.events("SawCompletedJob")) >= 3

    virtual(body)


def test_replace(virtual: Any, start: Any) -> None:
    """With Replace the running Job is deleted before the next begins."""

    async def body(clock: Any) -> None:
        async with start(clock, CronJobController, JobController, nodes=1) as world:
            pods = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}
            spec = {
                "schedule": "@every 5m",
                "concurrencyPolicy": "Replace",
                "jobTemplate": {"spec": {"template": {"spec": pods}}},
            }
            await world.add("cronjobs", "c", "default", spec=spec)
            await world.quiet(1000)
            jobs = (await world.client.list(JOBS)).items
            assert len(jobs) == 1
            found = (await world.get("cronjobs", "c", "default"))["status"]
            assert [ref["name"] for ref in found["active"]] == [jobs[0]["metadata"]["name"]]
            assert await world.events("SuccessfulDelete")

    virtual(body)


def test_a_new_schedule_counts_from_now_on(virtual: Any, start: Any) -> None:
    """Times that a changed schedule would have had before are not made up for; the next one is served."""

    async def body(clock: Any) -> None:
        async with start(clock, CronJobController) as world:
            made = cronjob("0 0 1 1 *")
            del made["metadata"]["uid"], made["metadata"]["creationTimestamp"]
            await world.client.create(CRON_JOBS, made)
            await world.quiet(90 * 60)
            changed = {"spec": {"schedule": "0 * * * *", "timeZone": "Asia/Kolkata"}}
            await world.client.patch(CRON_JOBS, "c", changed, namespace="default")
            await world.quiet(59 * 60)
            assert (await world.client.list(JOBS)).items == []
            await world.quiet(2 * 60)
            [made] = (await world.client.list(JOBS)).items
            stamp = made["metadata"]["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"]
            assert stamp == "2026-01-01T08:00:00+05:30"

    virtual(body)
