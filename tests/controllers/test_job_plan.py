"""What a Job needs done, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.controllers.job_indexes import format_indexes, parse_indexes
from minik8s.controllers.job_plan import Plan, plan
from minik8s.controllers.job_pods import TRACKING, new_pod
from minik8s.controllers.job_policy import Backoff
from minik8s.controllers.job_status import concluded, condition, settled
from minik8s.machinery.meta import find_condition, rfc3339

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = rfc3339(NOW - timedelta(seconds=100))


def job(status: Any = None, **spec: Any) -> Any:
    template = {"metadata": {"labels": {"job-name": "j"}}, "spec": {"restartPolicy": "Never", "containers": []}}
    given = {"parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed", "template": template, **spec}
    metadata = {"name": "j", "namespace": "default", "uid": "job"}
    begun = {"startTime": START, **(status or {})}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": given, "status": begun}


def pod(uid: str, phase: str = "Running", index: int | None = None, tracked: bool = True, **metadata: Any) -> Any:
    annotations = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
    return {
        "metadata": {
            "name": uid,
            "namespace": "default",
            "uid": uid,
            "annotations": annotations,
            "finalizers": [TRACKING] if tracked else [],
            "creationTimestamp": rfc3339(NOW),
            **metadata,
        },
        "spec": {},
        "status": {"phase": phase},
    }


def decide(job: Any, *pods: Any, backoff: Backoff | None = None) -> Plan:
    return plan(job, pods, backoff or Backoff(), NOW)


@pytest.mark.parametrize(
    ("spec", "pods", "create", "delete"),
    [
        ({"completions": 5, "parallelism": 2}, [], 2, 0),
        ({"completions": 5, "parallelism": 2}, ["Running"], 1, 0),
        ({"completions": 5, "parallelism": 2}, ["Running"] * 3, 0, 1),
        ({"completions": 3, "parallelism": 3}, ["Succeeded", "Running"], 1, 0),
        ({"completions": 1, "parallelism": 3}, ["Succeeded", "Running"], 0, 1),
        ({"parallelism": 3}, ["Running"], 2, 0),
        ({"parallelism": 3}, ["Succeeded", "Running"], 0, 0),
        ({"parallelism": 0, "completions": 2}, ["Running"], 0, 1),
        ({"completions": 2, "parallelism": 2, "suspend": True}, ["Running"], 0, 1),
        ({"completions": 1000, "parallelism": 1000}, [], 500, 0),
    ],
)
def test_size(spec: Any, pods: list[str], create: int, delete: int) -> None:
    """How many pods are created or deleted for what has succeeded and what runs."""
    todo = decide(job(**spec), *[pod(str(i), phase) for i, phase in enumerate(pods)])
    assert (len(todo.create), len(todo.delete)) == (create, delete)


@pytest.mark.parametrize(
    ("spec", "uncounted", "untrack"),
    [
        ({"suspend": True}, True, []),
        ({"parallelism": 1, "completions": 5}, True, []),
        ({"activeDeadlineSeconds": 1}, False, ["a", "b"]),
    ],
)
def test_what_is_stopped_for_another_reason_is_no_failure(spec: Any, uncounted: bool, untrack: list[str]) -> None:
    """Pods that go for suspension or size lose their finalizer first; those of a Job that fails are counted."""
    todo = decide(job(**spec), pod("a"), pod("b"))
    assert (bool(todo.delete), todo.uncounted) == (True, uncounted)
    assert [p["metadata"]["uid"] for p in todo.untrack] == untrack


def test_ended_pods_are_written_down_first() -> None:
    """Uids go into the status with the finalizers still there; the counters follow when those are gone."""
    todo = decide(job(completions=3), pod("a", "Succeeded"), pod("b", "Failed"), pod("c"))
    assert todo.status["uncountedTerminatedPods"] == {"succeeded": ["a"], "failed": ["b"]}
    assert [p["metadata"]["uid"] for p in todo.untrack] == ["a", "b"]
    assert "succeeded" not in todo.status
    after = settled(todo.status, {"b", "c"})
    assert after["uncountedTerminatedPods"] == {"failed": ["b"]}
    assert after["succeeded"] == 1
    assert settled(after, {"c"})["failed"] == 1


def test_nothing_is_counted_twice() -> None:
    """What is written down, or has lost its finalizer, is not new."""
    status = {"uncountedTerminatedPods": {"succeeded": ["a"]}, "failed": 1}
    todo = decide(job(status, completions=3), pod("a", "Succeeded"), pod("b", "Failed", tracked=False))
    assert todo.status["uncountedTerminatedPods"] == {"succeeded": ["a"]}
    assert todo.backoff == Backoff()
    assert len(todo.create) == 1


def test_failures_delay_the_next_pod() -> None:
    """10 s after the first failure, twice as long after each further one, at most ten minutes."""
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": rfc3339(NOW - timedelta(seconds=4))}
    failed = pod("a", "Failed")
    failed["status"]["conditions"] = [ready]
    todo = decide(job(completions=1), failed)
    assert (todo.create, todo.recheck, todo.backoff.failures) == ((), 6, 1)
    assert Backoff(3, NOW).remaining(NOW) == 40
    assert Backoff(9, NOW).remaining(NOW) == 600
    assert Backoff(1, NOW - timedelta(seconds=10)).remaining(NOW) == 0


@pytest.mark.parametrize(
    ("spec", "status", "pods", "reason"),
    [
        ({"backoffLimit": 0}, {}, [("a", "Failed", None)], "BackoffLimitExceeded"),
        ({"backoffLimit": 1}, {"failed": 2}, [], "BackoffLimitExceeded"),
        ({"activeDeadlineSeconds": 100}, {}, [("a", "Running", None)], "DeadlineExceeded"),
        (
            {"completionMode": "Indexed", "completions": 3, "backoffLimitPerIndex": 0, "maxFailedIndexes": 0},
            {},
            [("a", "Failed", 1)],
            "MaxFailedIndexesExceeded",
        ),
        (
            {"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 0},
            {"completedIndexes": "0"},
            [("a", "Failed", 1)],
            "FailedIndexes",
        ),
    ],
)
def test_failure(spec: Any, status: Any, pods: Any, reason: str) -> None:
    """Each limit makes the Job fail: said as FailureTarget, everything that runs is deleted, all pods let go."""
    made = [pod(uid, phase, index) for uid, phase, index in pods]
    todo = decide(job(status, **{"completions": 1, **spec}), *made)
    target = find_condition(todo.status["conditions"], "FailureTarget")
    assert target is not None
    assert target["reason"] == reason
    assert todo.decided
    assert not todo.create
    assert [p["metadata"]["uid"] for p in todo.delete] == [uid for uid, phase, _ in pods if phase == "Running"]
    assert len(todo.untrack) == len(pods)


def test_the_last_word_waits() -> None:
    """Failed follows FailureTarget, Complete SuccessCriteriaMet, when nothing terminates or is to be counted."""
    met = condition("SuccessCriteriaMet", "True", "CompletionsReached", "done", NOW)
    assert concluded({"conditions": [met], "terminating": 1}, NOW) is None
    assert concluded({"conditions": [met], "uncountedTerminatedPods": {"failed": ["x"]}}, NOW) is None
    last = concluded({"conditions": [met], "terminating": 0}, NOW)
    assert last is not None
    assert last["completionTime"] == rfc3339(NOW)
    assert [c["type"] for c in last["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert concluded({}, NOW) is None


def test_indexes_are_filled_from_below() -> None:
    """Neither done nor running indexes are started; of two pods of an index the worse one goes."""
    spec = {"completionMode": "Indexed", "completions": 6, "parallelism": 4}
    todo = decide(job({"completedIndexes": "0,2", "succeeded": 2}, **spec), pod("a", index=1), pod("b", "Succeeded", 4))
    assert [p["metadata"]["generateName"] for p in todo.create] == ["j-3-", "j-5-"]
    assert todo.status["completedIndexes"] == "0,2,4"
    assert todo.status["succeeded"] == 3
    assert todo.status["uncountedTerminatedPods"] == {}
    doubled = decide(job(**spec), pod("a", index=1), pod("b", "Pending", index=1), pod("c", index=9))
    assert sorted(p["metadata"]["uid"] for p in doubled.delete) == ["b", "c"]


def test_indexes_as_text() -> None:
    """Runs of three and more are a range; what is out of range is dropped."""
    assert format_indexes({0, 1, 2, 4, 7, 6}) == "0-2,4,6,7"
    assert format_indexes(()) == ""
    assert parse_indexes("0-2,4,6-9", 8) == {0, 1, 2, 4, 6, 7}
    assert parse_indexes("", 8) == parse_indexes(None, 8) == frozenset()


def test_long_names_leave_room() -> None:
    """The prefix of an Indexed pod keeps its index and stays short enough for the random suffix."""
    long = job(completionMode="Indexed")
    long["metadata"]["name"] = "x" * 63
    assert new_pod(long, 12)["metadata"]["generateName"] == "x" * 54 + "-12-"
