"""Shows how to test a synchronous tool: it finds `blocking_cluster` by KUBECONFIG; a fault plays a racing user."""

from __future__ import annotations

import label_pruner
import pytest

from minik8s import CONFIG_MAPS
from minik8s.blocking import BlockingCluster
from minik8s.testing.builders import config_map


def marked(name: str) -> dict[str, object]:
    return config_map(name, labels={"example.com/done": "true"})


def test_prunes(blocking_cluster: BlockingCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """What is marked goes, the rest stays, and one list and one delete are all it takes."""
    for obj in (marked("old"), config_map("new")):
        blocking_cluster.apply(obj)
    with blocking_cluster.recording(resource="configmaps", namespace="default", agent="OpenAPI-Generator") as requests:
        assert label_pruner.main(["default"]) == 0
    assert capsys.readouterr().out == "pruned old\n"
    assert (requests.count(verb="list"), requests.count(verb="delete")) == (1, 1)
    left = blocking_cluster.run(blocking_cluster.client.list, CONFIG_MAPS, namespace="default")
    assert {found["metadata"]["name"] for found in left.items} >= {"new"}
    assert "old" not in {found["metadata"]["name"] for found in left.items}


def test_race(blocking_cluster: BlockingCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Another user was faster: the delete answers 404, and the tool goes on."""
    blocking_cluster.apply([marked("a"), marked("b")])
    with blocking_cluster.faults.refuse(404, verb="delete", resource="configmaps", name="a"):
        label_pruner.main(["default"])
    assert capsys.readouterr().out == "pruned b\n"
