"""Shows how to test a kopf operator: run as by `kopf run`, each test with a fork of one prepared cluster."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from typing import Any

import greeter
import pytest
from kopf.testing import KopfRunner
from kubernetes import config

from minik8s import CONFIG_MAPS, custom_resource
from minik8s.blocking import BlockingCluster
from minik8s.testing.builders import crd
from minik8s.testing.eventually import eventually
from minik8s.testing.matching import some

GREETINGS = custom_resource("example.com", "v1", "greetings", "Greeting")


@pytest.fixture(scope="module")
def cluster_base() -> Iterator[BlockingCluster]:
    """Prepared once; every test's cluster is a fork of it, made in milliseconds."""
    with BlockingCluster(nodes=0, proxy=False, scheduler=False) as base:
        base.apply(crd("greetings", "Greeting", "example.com", properties={"whom": {"type": "string"}}))
        yield base


@pytest.fixture
def operator(blocking_cluster: BlockingCluster) -> Iterator[None]:
    """The operator and the client in it find the cluster by KUBECONFIG."""
    config.load_kube_config()
    with KopfRunner(["run", "-n", "default", "--standalone", greeter.__file__], timeout=30):
        yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()  # kopf's HTTP client leaves sockets behind when its loop ends: not a matter of later tests


def greeting(whom: str) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Greeting", "metadata": {"name": "g"}, "spec": {"whom": whom}}


def says(text: str) -> some:
    return some({"metadata": {"name": "g"}, "data": {"text": text}})


@pytest.mark.usefixtures("operator")
def test_follows(blocking_cluster: BlockingCluster) -> None:
    """The words are written and rewritten, and the status says so."""
    blocking_cluster.apply(greeting("you"))
    eventually(blocking_cluster, CONFIG_MAPS, says("Hello, you!"))
    blocking_cluster.apply(greeting("all"))
    eventually(blocking_cluster, CONFIG_MAPS, says("Hello, all!"))
    eventually(blocking_cluster, GREETINGS, some({"status": {"write": {"text": "Hello, all!"}}}))


@pytest.mark.usefixtures("operator")
def test_a_server_that_fails(blocking_cluster: BlockingCluster) -> None:
    """A write that is refused is tried again, and the operator is in no hot loop meanwhile."""
    with (
        blocking_cluster.recording(verb="create", resource="configmaps", agent="OpenAPI-Generator") as log,
        blocking_cluster.faults.refuse(503, verb="create", resource="configmaps", times=1),
    ):
        blocking_cluster.apply(greeting("you"))
        eventually(blocking_cluster, CONFIG_MAPS, says("Hello, you!"))
    assert log.count() == 2, log
