"""Builders make what the server takes."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s import PODS, Cluster
from minik8s.testing import builders as b
from minik8s.testing.matching import like

ACCOUNT = "default/default"
MADE: list[Any] = [
    b.namespace("shop", labels={"a": "b"}),
    b.pod("p", image="busybox", command=["sleep", "1"], env={"N": 1}, ports=[80], restartPolicy="Never"),
    b.pod("two", containers=[b.container("a"), b.container("b", image="python")]),
    b.deployment("d", image="shop:2", replicas=0, strategy={"type": "Recreate"}),
    b.replica_set("r", labels={"app": "x"}, replicas=0),
    b.stateful_set("s", replicas=0, serviceAccountName="default"),
    b.daemon_set("ds", nodeSelector={"no": "where"}),
    b.job("j", completions=2, suspend=True, labels={"app": "j"}),
    b.job("theirs", managedBy="example.com/jobs", activeDeadlineSeconds=30),
    b.cron_job("c", schedule="@daily", suspend=True, completions=2, image="busybox"),
    b.service("d", port=80, targetPort=8080),
    b.service("two", ports=[80, 443], selector={"app": "d"}, namespace="shop"),
    b.config_map("cm", data={"k": "v"}, immutable=True),
    b.secret("sec", stringData={"k": "v"}),
    b.service_account("sa"),
    b.node("n", taints=[{"key": "k", "effect": "NoSchedule"}]),
    b.node("bare"),
    b.persistent_volume_claim("pvc", storage="1Mi"),
    b.role("role", resources=["pods", "deployments.apps"], verbs=["get"]),
    b.cluster_role("role", resources=["nodes"], verbs=["list"]),
    b.role_binding("rb", role="role", account=ACCOUNT),
    b.cluster_role_binding("rb", role="role", account=ACCOUNT),
    b.crd("trains", "Train", "example.com", properties={"cars": {"type": "integer"}}),
]


@pytest.mark.minik8s(nodes=0, serve=False, proxy=False, scheduler=False)
async def test_the_server_takes_them(cluster: Cluster) -> None:
    """Every builder's document is valid, and nothing of it is unknown to the server."""
    for document in MADE:
        (stored,) = await cluster.apply(document)
        found: Any = stored
        assert found == like({"kind": document["kind"], "metadata": document["metadata"]})
        if document["metadata"]["name"] == "theirs":
            assert found["spec"]["activeDeadlineSeconds"] == 30, "a Job's deadline is the Job's, not its pods'"
    (train,) = await cluster.apply(
        {"apiVersion": "example.com/v1", "kind": "Train", "metadata": {"name": "t"}, "spec": {"cars": 3}}
    )
    assert train["spec"] == {"cars": 3}


@pytest.mark.minik8s(clock="virtual", runtime="simulated", serve=False, proxy=False)
async def test_simulated(cluster: Cluster) -> None:
    """What has pods says how their containers behave in the simulated runtime."""
    await cluster.apply(
        [
            b.pod("p", simulated={"run_seconds": 5}, restartPolicy="Never", annotations={"a": "b"}),
            b.job("j", simulated={"run_seconds": 5}),
            b.job("fails", simulated={"run_seconds": 5, "exit_code": 3}, backoffLimit=0),
            b.deployment("never", simulated={"ready_seconds": 3600}),
        ]
    )
    await cluster.advance(seconds=10)
    phases = {pod["metadata"]["name"].partition("-")[0]: pod["status"]["phase"] for pod in cluster.world.list(PODS)}
    assert phases == {"p": "Succeeded", "j": "Succeeded", "fails": "Failed", "never": "Running"}
    with pytest.raises(TypeError, match="there is no behaviour 'runs_seconds'; did you mean 'run_seconds'"):
        b.job("j", simulated={"runs_seconds": 1})


def test_patches() -> None:
    """Mappings after the name are merged over everything else: maps field by field, lists whole, None removes."""
    made: Any = b.deployment(
        "d",
        {"metadata": {"finalizers": ["example.com/x"]}, "spec": {"template": {"spec": {"nodeName": "n"}}}},
        {"spec": {"replicas": None, "template": {"metadata": {"labels": {"more": "x"}}}}},
        replicas=2,
        image="i",
    )
    assert made["spec"] == {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {
            "metadata": {"labels": {"app": "d", "more": "x"}},
            "spec": {"containers": [{"name": "main", "image": "i"}], "nodeName": "n"},
        },
    }
    assert made["metadata"]["finalizers"] == ["example.com/x"]


def test_bad_arguments() -> None:
    """What contradicts is refused by name."""
    with pytest.raises(TypeError, match="image: these are a container's, and `containers` are given"):
        b.pod("p", image="i", containers=[])
    with pytest.raises(TypeError, match="what follows the name 'tick' is merged over the CronJob: a mapping, not '0 "):
        b.cron_job("tick", "0 * * * *")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an account is NAMESPACE/NAME, not 'x'"):
        b.role_binding("rb", role="r", account="x")
