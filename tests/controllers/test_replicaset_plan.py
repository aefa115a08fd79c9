"""ReplicaSets, decided without a cluster: how many, whom first, what to say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from minik8s.controllers.podcontrol import batch_sizes, pod_from_template
from minik8s.controllers.pods import deletion_order, newest_first
from minik8s.controllers.replicaset_plan import plan, with_failure
from minik8s.machinery.meta import rfc3339

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def replica_set(replicas: int, **spec: Any) -> Any:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "ns", "uid": "R", "generation": 2},
        "spec": {"replicas": replicas, "template": template, **spec},
    }


def pod(
    name: str,
    *,
    phase: str = "Running",
    node: str = "n",
    ready: float | None = 1000.0,
    age: float = 2000.0,
    cost: str = "",
    restarts: int = 0,
    leaving: bool = False,
    labels: Any = None,
) -> Any:
    """`ready` and `age` are seconds before now."""
    metadata: Any = {"name": name, "uid": name, "labels": {"a": "b"} if labels is None else labels}
    metadata["creationTimestamp"] = rfc3339(NOW - timedelta(seconds=age))
    if cost:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    if leaving:
        metadata["deletionTimestamp"] = rfc3339(NOW)
    condition: Any = {"type": "Ready", "status": "False" if ready is None else "True"}
    condition["lastTransitionTime"] = rfc3339(NOW - timedelta(seconds=ready or 0))
    status = {"phase": phase, "conditions": [condition], "containerStatuses": [{"restartCount": restarts}]}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": status}


@pytest.mark.parametrize(
    ("sooner", "later"),
    [
        (pod("z", node="", ready=None), pod("a", phase="Pending")),
        (pod("z", phase="Pending"), pod("a", phase="Unknown")),
        (pod("z", phase="Unknown"), pod("a")),
        (pod("z", ready=None), pod("a")),
        (pod("z", cost="-5"), pod("a")),
        (pod("z"), pod("a", cost="7", ready=1.0)),
        (pod("z", cost="nonsense", ready=1.0), pod("a")),
        (pod("z", node="crowded"), pod("a", node="quiet")),
        (pod("z", ready=10), pod("a", ready=10_000)),
        (pod("z", restarts=3), pod("a", restarts=1)),
        (pod("z", age=1100), pod("a", age=100_000)),
    ],
    ids=[
        "unassigned",
        "pending",
        "unknown",
        "unready",
        "cheap",
        "dear",
        "bad cost",
        "crowd",
        "fresh",
        "restarts",
        "new",
    ],
)
def test_deletion_order(sooner: Any, later: Any) -> None:
    """Each step of upstream's ActivePodsWithRanks, against what all later steps would say."""
    related = [pod(f"o{i}", node="crowded") for i in range(3)]
    assert [p["metadata"]["name"] for p in deletion_order([later, sooner], related, NOW)] == ["z", "a"]


@pytest.mark.parametrize(
    ("sooner", "later"),
    [
        (pod("z", node="", ready=None), pod("a", phase="Pending")),
        (pod("z", phase="Pending"), pod("a")),
        (pod("z", ready=None), pod("a")),
        (pod("z", ready=5), pod("a", ready=6, restarts=3)),
        (pod("z", restarts=2), pod("a", restarts=1)),
        (pod("z", age=7), pod("a", age=8)),
        (pod("z", age=7, cost="9"), pod("a", age=8)),
    ],
)
def test_the_newest_of_a_job_goes_first(sooner: Any, later: Any) -> None:
    """A Job's surplus goes by state and age alone; what a ReplicaSet's pods cost does not count."""
    assert newest_first([later, sooner]) == [sooner, later]


def test_similar_ages_are_decided_by_uid() -> None:
    """Ages in the same power of two count as equal, so that a second's difference decides nothing."""
    pods = [pod("b", ready=1001), pod("a", ready=1002), pod("c", ready=1000)]
    assert [p["metadata"]["name"] for p in deletion_order(pods, [], NOW)] == ["a", "b", "c"]


def test_only_active_pods_count() -> None:
    """Ended and leaving pods are replaced; leaving ones are counted as terminating."""
    pods = [pod("a"), pod("b", phase="Failed"), pod("c", leaving=True), pod("d", leaving=True, phase="Succeeded")]
    todo = plan(replica_set(3), pods, pods, NOW)
    assert todo.create == 2
    assert todo.status == {
        "replicas": 1,
        "fullyLabeledReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 2,
    }


def test_surplus_is_deleted() -> None:
    """The pod that serves nobody goes."""
    pods = [pod("a"), pod("b", ready=None), pod("c")]
    assert [p["metadata"]["name"] for p in plan(replica_set(2), pods, pods, NOW).delete] == ["b"]
    assert len(plan(replica_set(0), pods, pods, NOW).delete) == 3


def test_at_most_500_at_once() -> None:
    """A pass creates or deletes no more than BurstReplicas."""
    assert plan(replica_set(2000), [], [], NOW).create == 500


def test_availability_waits_for_min_ready_seconds() -> None:
    """A ready pod counts as available only after minReadySeconds, and the plan says when to look again."""
    pods = [pod("a", ready=4), pod("b", ready=7), pod("c", ready=30), pod("d", ready=None)]
    todo = plan(replica_set(4, minReadySeconds=10), pods, pods, NOW)
    assert (todo.status["readyReplicas"], todo.status["availableReplicas"]) == (3, 1)
    assert todo.recheck == 3


def test_leaving_sets_do_nothing_more() -> None:
    """A set that is being deleted neither creates nor deletes."""
    rs = replica_set(3)
    rs["metadata"]["deletionTimestamp"] = rfc3339(NOW)
    todo = plan(rs, [], [], NOW)
    assert (todo.create, todo.delete) == (0, ())


def test_failure_condition_comes_and_goes() -> None:
    """A failure is written once, kept while it lasts, and removed when all went well."""
    failed = with_failure({"replicas": 0}, "FailedCreate", "no", NOW)
    (condition,) = failed["conditions"]
    assert (condition["type"], condition["status"], condition["message"]) == ("ReplicaFailure", "True", "no")
    assert with_failure(failed, "FailedCreate", "still no", NOW + timedelta(hours=1)) == failed
    assert with_failure(failed, "", "", NOW) == {"replicas": 0}
    assert with_failure({"replicas": 0}, "", "", NOW) == {"replicas": 0}


def test_slow_start() -> None:
    """Batches double and add up."""
    assert list(batch_sizes(12)) == [1, 2, 4, 5]
    assert list(batch_sizes(0)) == []


def test_pods_come_from_the_template() -> None:
    """Labels, annotations and spec are the template's; the name is generated, the owner the controller."""
    made = pod_from_template(replica_set(1)["spec"]["template"], replica_set(1), "web-")
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["labels"] == {"a": "b"}
    (owner,) = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == (
        "ReplicaSet",
        "R",
        True,
        True,
    )
