"""Why something is as it is: every cause gives its sentence, and the cause comes first."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import PODS, Cluster
from minik8s.api.resources import DAEMON_SETS, DEPLOYMENTS, JOBS, STATEFUL_SETS
from minik8s.client.why import explain_pod, explain_workload
from minik8s.machinery.errors import NotFound


def pod(phase: str = "Pending", node: str = "", **status: Any) -> Any:
    spec: Any = {"containers": [{"name": "c"}], **({"nodeName": node} if node else {})}
    return {"metadata": {"name": "p", "namespace": "n"}, "spec": spec, "status": {"phase": phase, **status}}


def containers(**state: Any) -> Any:
    return [{"name": "c", "state": state, "ready": False, "restartCount": 0}]


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: no room."}
PULL = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
CRASHED = {"name": "c", "ready": False, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
CRASHED["lastState"] = {"terminated": {"reason": "Error", "exitCode": 3, "message": "no database\n"}}


def test_resource_claims() -> None:
    """Of claims for devices that are not there nobody else tells: the scheduler does not look at such a pod."""
    names = ("there", "gone", "going")
    subject = pod(resourceClaimStatuses=[{"name": "unneeded"}])
    made = [{"name": "new", "resourceClaimTemplateName": "t"}, {"name": "unneeded", "resourceClaimTemplateName": "t"}]
    subject["spec"]["resourceClaims"] = [*made, *({"name": name, "resourceClaimName": name} for name in names)]
    there: Any = {"metadata": {"name": "there"}}
    going: Any = {"metadata": {"name": "going", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert list(explain_pod(subject, devices={"there": there, "gone": None, "going": going}).findings) == [
        "it is not scheduled before it has its resource claims; it waits for default-scheduler",
        "its resource claim new has not been made yet",
        "its resource claim gone does not exist",
        "its resource claim going is being deleted",
    ]


@pytest.mark.parametrize(
    ("subject", "findings"),
    [
        (pod(), ["no scheduler has looked at it yet; it waits for default-scheduler"]),
        (pod(conditions=[UNSCHEDULABLE]), ["it is not scheduled: 0/1 nodes: no room."]),
        (
            pod(conditions=[UNSCHEDULABLE], nominatedNodeName="m"),
            ["it is not scheduled: 0/1 nodes: no room.", "room is being made for it on m"],
        ),
        (
            pod(node="m", containerStatuses=containers(waiting=PULL)),
            ["it is starting", "container c waits: ImagePullBackOff: Back-off pulling image"],
        ),
        (
            pod("Running", "m", containerStatuses=[CRASHED]),
            [
                "it is on m, and not ready",
                "container c waits: CrashLoopBackOff",
                "container c has been restarted 4 times; last it ended with Error, exit code 3: no database",
            ],
        ),
        (
            pod("Running", "m", containerStatuses=containers(running={})),
            ["it is on m, and not ready", "container c runs, but is not ready"],
        ),
        (
            pod("Failed", "m", containerStatuses=containers(terminated={"exitCode": 137, "reason": "OOMKilled"})),
            ["it has failed", "container c has ended: OOMKilled, exit code 137"],
        ),
        (pod("Running", "m", conditions=[{"type": "Ready", "status": "True"}]), ["it is running and ready on m"]),
    ],
)
def test_pods(subject: Any, findings: list[str]) -> None:
    """A pod's state in sentences, the matter before its causes."""
    assert list(explain_pod(subject).findings) == findings


def test_what_else_holds_a_pod() -> None:
    """Gates, finalizers, readiness gates, claims and the last warnings are told."""
    gated = pod()
    gated["spec"]["schedulingGates"] = [{"name": "wait"}]
    assert explain_pod(gated).findings == ("it is not scheduled before its gates are removed: wait",)
    going = pod("Running", "m")
    going["metadata"] |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30}
    going["metadata"]["finalizers"] = ["x/y"]
    going["spec"]["readinessGates"] = [{"conditionType": "z"}]
    warned = [
        {"type": "Warning", "reason": f"R{n}", "message": "m", "lastTimestamp": f"{n}", "count": n} for n in range(1, 6)
    ]
    claims = {"data": {"metadata": {}, "spec": {}, "status": {"phase": "Pending"}}, "gone": None}
    assert list(explain_pod(going, warned, claims).findings) == [
        "it is being deleted since 2026-01-01T00:00:00Z, with 30 s of grace",
        "it waits for its finalizers: x/y",
        "it is on m, and not ready",
        "its readiness gate z is not true",
        "its claim data is Pending",
        "its claim gone does not exist",
        "event R3 (3 times): m",
        "event R4 (4 times): m",
        "event R5 (5 times): m",
    ]


def test_workloads() -> None:
    """A workload tells its counts and the conditions that are not as they should be; text nests what is below."""
    status = {
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 1,
        "conditions": [
            {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "too few"},
            {"type": "Progressing", "status": "True", "message": "fine"},
        ],
    }
    deployment: Any = {"metadata": {"name": "web"}, "spec": {"replicas": 2}, "status": status}
    explained = explain_workload(DEPLOYMENTS, deployment, [], [explain_pod(pod())])
    assert str(explained).splitlines() == [
        "deployment.apps/web: 1 of 2 wanted pods are ready",
        "  condition Available is False (MinimumReplicasUnavailable: too few)",
        "  pod/p: no scheduler has looked at it yet; it waits for default-scheduler",
    ]


STUCK = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
PARTITION = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
REVISIONS = {"currentRevision": "a", "updateRevision": "b"}


@pytest.mark.parametrize(
    ("resource", "spec", "status", "first"),
    [
        (
            DEPLOYMENTS,
            {"replicas": 3},
            {"replicas": 4, "readyReplicas": 3, "updatedReplicas": 1, "conditions": [STUCK]},
            "its rollout is stuck: 1 of 3 wanted pods are updated, 3 old ones are left",
        ),
        (
            DEPLOYMENTS,
            {"replicas": 3},
            {"replicas": 4, "readyReplicas": 3, "updatedReplicas": 1},
            "its rollout is under way: 1 of 3 wanted pods are updated, 3 old ones are left",
        ),
        (
            DEPLOYMENTS,
            {"replicas": 3, "paused": True},
            {"replicas": 3, "readyReplicas": 3},
            "its rollout is paused: 0 of 3 wanted pods are updated, 3 old ones are left",
        ),
        (
            DEPLOYMENTS,
            {"replicas": 3},
            {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 3},
            "3 of 3 wanted pods are ready",
        ),
        (
            DEPLOYMENTS,
            {"replicas": 3},
            {"replicas": 3, "readyReplicas": 3, "observedGeneration": 1},
            "its last change is still to be seen by its controller",
        ),
        (
            STATEFUL_SETS,
            {"replicas": 3, "updateStrategy": PARTITION},
            {"replicas": 3, "readyReplicas": 3, "updatedReplicas": 1, **REVISIONS},
            "its rollout is under way from ordinal 2 on: 1 of 3 wanted pods are updated, 2 old ones are left",
        ),
        (
            STATEFUL_SETS,
            {"replicas": 3},
            {"replicas": 3, "readyReplicas": 3, "currentRevision": "a", "updateRevision": "a"},
            "3 of 3 wanted pods are ready",
        ),
        (
            DAEMON_SETS,
            {"updateStrategy": {"type": "OnDelete"}},
            {"desiredNumberScheduled": 2, "currentNumberScheduled": 2, "numberReady": 2},
            "its rollout waits for its old pods to be deleted (OnDelete): 0 of 2 wanted pods are updated, "
            "2 old ones are left",
        ),
        (
            JOBS,
            {"completions": 3},
            {"succeeded": 1, "failed": 2, "conditions": [{"type": "Failed", "status": "True", "reason": "R"}]},
            "it has failed; 1 of 3 wanted pods have succeeded; 2 pods failed",
        ),
    ],
)
def test_the_head_of_workloads(resource: Any, spec: Any, status: Any, first: str) -> None:
    """What is stuck or under way comes first: the pods that are ready may all be old ones."""
    seen = {"observedGeneration": 2, **status}
    obj: Any = {"metadata": {"name": "web", "generation": 2}, "spec": spec, "status": seen}
    assert explain_workload(resource, obj, [], []).findings[0] == first


@pytest.mark.anyio
@pytest.mark.minik8s(runtime="simulated", serve=False, proxy=False)
async def test_against_a_cluster(cluster: Cluster) -> None:
    """A Deployment that asks for too much is explained down to the scheduler's sentence; a missing name is an error."""
    labels = {"app": "web"}
    container = {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": "1000"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    await cluster.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    await cluster.settle()
    text = str(await cluster.why(DEPLOYMENTS, "web"))
    assert text.startswith("deployment.apps/web: 0 of 1 wanted pods are ready\n")
    assert "1 Insufficient cpu" in text
    with pytest.raises(NotFound):
        await cluster.why(PODS, "none")
