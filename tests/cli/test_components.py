"""`minik8s controllers` and `minik8s scheduler` as real processes, beside a cluster that has neither."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from minik8s.api.resources import DEPLOYMENTS, EVENTS, LEASES
from minik8s.blocking import BlockingCluster
from minik8s.cli import main

WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "minik8s/testserver"}]},
        },
    },
}


@pytest.fixture
def headless() -> Iterator[BlockingCluster]:
    """A cluster with nodes, without controllers and without a scheduler."""
    with BlockingCluster(nodes=2, runtime="simulated", controllers=(), scheduler=False, freeze=True) as cluster:
        yield cluster


def holder(cluster: BlockingCluster, name: str) -> str:
    found: Any = cluster.run(cluster.client.find, LEASES, name, namespace="kube-system")
    return (found or {"spec": {}})["spec"].get("holderIdentity", "")


CONFIG = """
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaseDuration: 20s}
profiles:
- pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}]
"""


def test_components_bring_a_cluster_to_life(
    headless: BlockingCluster, start: Callable[..., Any], tmp_path: Path
) -> None:
    """A Deployment becomes Available once both run elsewhere, by kubeconfig; each holds upstream's Lease meanwhile.

    The scheduler is configured by a file as kube-scheduler would be."""
    headless.apply(WEB)
    where = ("--kubeconfig", str(headless.kubeconfig))
    config = tmp_path / "scheduler.yaml"
    config.write_text(CONFIG)
    manager, scheduler = start("controllers", *where), start("scheduler", *where, "--config", str(config))
    for program in (manager, scheduler):
        program.line("works on")
    headless.wait_for(DEPLOYMENTS, "web", "Available")
    assert holder(headless, "kube-controller-manager")
    assert holder(headless, "kube-scheduler")
    for program in (manager, scheduler):
        program.send(signal.SIGTERM)
        assert program.finish() == (0, "", "")
    assert holder(headless, "kube-controller-manager") == "", "the Lease is released"
    reasons = {event["reason"] for event in headless.run(headless.client.list, EVENTS).items}
    assert {"LeaderElection", "ScalingReplicaSet", "Scheduled"} <= reasons


def test_second_manager_takes_over(headless: BlockingCluster, start: Callable[..., Any]) -> None:
    """Of two managers one works; when it ends the other does, and what was created meanwhile is dealt with."""
    where = ("--kubeconfig", str(headless.kubeconfig))
    first = start("controllers", *where)
    first.line("works on")
    second = start("controllers", *where)
    second.line("waits for")
    first.send(signal.SIGINT)
    first.finish()
    headless.apply(WEB)
    second.line("works on")
    scheduler = start("scheduler", *where, "--no-leader-elect")
    scheduler.line("works on")
    headless.wait_for(DEPLOYMENTS, "web", "Available")
    assert holder(headless, "kube-scheduler") == ""


def test_nobody_answers(tmp_path: Any) -> None:
    """A kubeconfig that is not there, and a server that is not, are one line on stderr."""
    missing = CliRunner().invoke(main, ["controllers", "--kubeconfig", str(tmp_path / "none")])
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert "no such file" in missing.stderr
    gone = tmp_path / "gone"
    with BlockingCluster(nodes=0, controllers=(), scheduler=False, proxy=False) as cluster:
        gone.write_text(cluster.kubeconfig.read_text())
    silent = CliRunner().invoke(main, ["scheduler", "--kubeconfig", str(gone)])
    assert (silent.exit_code, silent.stderr.count("\n")) == (1, 1)
    assert "is the cluster running?" in silent.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: Pod", "need a KubeSchedulerConfiguration"),
        (CONFIG + "  x: 1", 'unknown field "profiles[0].x"'),
        (CONFIG.replace("MostAllocated", "Most"), "must be LeastAllocated, MostAllocated or RequestedToCapacityRatio"),
        (CONFIG.replace("20s", "1s"), "lease_duration must be longer than renew_deadline"),
    ],
)
def test_scheduler_files_that_are_none(headless: BlockingCluster, tmp_path: Path, text: str, says: str) -> None:
    """What a configuration gets wrong is named, before anything is scheduled."""
    config = tmp_path / "scheduler.yaml"
    config.write_text(text)
    arguments = ["scheduler", "--kubeconfig", str(headless.kubeconfig), "--config", str(config)]
    result = CliRunner().invoke(main, [*arguments, "--no-leader-elect"] if "1s" not in text else arguments)
    assert result.exit_code == 1
    assert says in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("deploy", "unknown controller 'deploy'"),
        ("*,-node-ipam-controller", "'node-ipam-controller' is not needed here"),
        ("", "leaves no controller"),
    ],
)
def test_controllers_that_are_none(text: str, says: str) -> None:
    """An unknown name and an empty choice are usage errors."""
    result = CliRunner().invoke(main, ["controllers", "--controllers", text])
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
