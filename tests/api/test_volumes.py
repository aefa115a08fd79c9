"""Which claims a pod uses, and which volume suits a claim."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.api.volumes import admits, best_volume, claims_of, is_for, reaches, requested

ZONE_A = {"topology.kubernetes.io/zone": "a"}


def make_claim(size: str = "1Gi", *, uid: str = "u1", **spec: Any) -> Any:
    return {
        "metadata": {"name": "data", "namespace": "shop", "uid": uid},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec},
    }


def make_volume(name: str, size: str, *, labels: Any = None, phase: str = "Available", **spec: Any) -> Any:
    return {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": {"storage": size}, **spec},
        "status": {"phase": phase},
    }


def in_zone(*zones: str) -> Any:
    term = {"matchExpressions": [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": list(zones)}]}
    return {"required": {"nodeSelectorTerms": [term]}}


def test_claims_of_a_pod() -> None:
    """Claims by name and those of generic ephemeral volumes, which are named after pod and volume."""
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "b", "ephemeral": {"volumeClaimTemplate": {}}},
        {"name": "c", "emptyDir": {}},
    ]
    pod = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"volumes": volumes}}
    assert list(claims_of(pod)) == [("n", "data"), ("n", "p-b")]
    assert list(claims_of({"metadata": {"name": "p", "namespace": "n"}, "spec": {}})) == []


@pytest.mark.parametrize(
    ("volumes", "chosen"),
    [
        ([], None),
        ([make_volume("small", "500Mi")], None),
        ([make_volume("large", "10Gi"), make_volume("fits", "1024Mi"), make_volume("small", "1Mi")], "fits"),
        ([make_volume("a", "1Gi", storageClassName="fast")], None),
        ([make_volume("a", "1Gi", volumeMode="Block")], None),
        ([make_volume("a", "1Gi", accessModes=["ReadOnlyMany"])], None),
        ([make_volume("a", "1Gi", phase="Released")], None),
        ([make_volume("a", "1Gi", claimRef={"namespace": "shop", "name": "other"}), make_volume("b", "2Gi")], "b"),
        ([make_volume("a", "1Gi"), make_volume("b", "2Gi", claimRef={"namespace": "shop", "name": "data"})], "b"),
        ([make_volume("b", "2Gi", claimRef={"namespace": "shop", "name": "data", "uid": "old"})], None),
        ([make_volume("b", "1Mi", claimRef={"namespace": "shop", "name": "data"}), make_volume("a", "1Gi")], "a"),
    ],
)
def test_best_volume(volumes: list[Any], chosen: str | None) -> None:
    """A volume reserved for the claim, else the smallest of those that suit; none is better than a wrong one."""
    found = best_volume(make_claim(), volumes)
    assert (found and found["metadata"]["name"]) == chosen


def test_selector() -> None:
    """A claim's selector looks at the volumes' labels."""
    claim = make_claim(selector={"matchLabels": {"disk": "ssd"}})
    volumes = [make_volume("hdd", "1Gi", labels={"disk": "hdd"}), make_volume("ssd", "5Gi", labels={"disk": "ssd"})]
    found = best_volume(claim, volumes)
    assert found is not None
    assert found["metadata"]["name"] == "ssd"


def test_node() -> None:
    """With a node, only volumes that reach it count; one without affinity reaches every node."""
    here = make_volume("here", "9Gi", nodeAffinity=in_zone("a"))
    there = make_volume("there", "1Gi", nodeAffinity=in_zone("b", "c"))
    assert best_volume(make_claim(), [here, there], node=("n1", ZONE_A)) is here
    assert best_volume(make_claim(), [here, there]) is there
    assert reaches(make_volume("any", "1Gi"), "n1", {})
    assert not reaches(there, "n1", ZONE_A)


def test_allowed_topologies() -> None:
    """A class without topologies admits every node; otherwise one term has to hold in full."""
    expression = {"key": "topology.kubernetes.io/zone", "values": ["a"]}
    assert admits({}, {})
    assert admits({"allowedTopologies": [{"matchLabelExpressions": [expression]}]}, ZONE_A)
    assert not admits({"allowedTopologies": [{"matchLabelExpressions": [expression]}]}, {})


def test_references() -> None:
    """A claimRef means a claim by name, and by uid where it has one."""
    claim = make_claim()
    assert is_for(make_volume("v", "1Gi", claimRef={"namespace": "shop", "name": "data"}), claim)
    assert is_for(make_volume("v", "1Gi", claimRef={"namespace": "shop", "name": "data", "uid": "u1"}), claim)
    assert not is_for(make_volume("v", "1Gi", claimRef={"namespace": "shop", "name": "data", "uid": "u2"}), claim)
    assert not is_for(make_volume("v", "1Gi"), claim)
    assert str(requested(claim)) == "1Gi"
