"""NodeVolumeLimits and VolumeZone: verdicts over nodes, claims and volumes, by table."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.scheduler.framework import SKIP, CycleState
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.plugins.nodevolumelimits import NodeVolumeLimits
from minik8s.scheduler.plugins.volumezone import VolumeZone

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
OLD_ZONE = "failure-domain.beta.kubernetes.io/zone"


class Claims:
    """What the plugins ask of `Volumes`: claims a, b, c … are bound to volumes of those names, `later` to none."""

    def __init__(self, limits: dict[str, int] | None = None, labels: dict[str, str] | None = None) -> None:
        self._limits, self._labels = limits or {}, labels or {}

    def limits(self, node: str) -> dict[str, int]:
        return self._limits

    def claim(self, key: tuple[str, str]) -> Any:
        spec = {"storageClassName": "fast"} if key[1] == "later" else {"volumeName": key[1]}
        return {"metadata": {"name": key[1], "namespace": key[0]}, "spec": spec}

    def volume(self, name: str) -> Any:
        if not name:
            return None
        labels = {"labels": self._labels} if self._labels else {}
        spec = {"csi": {"driver": "disk.io", "volumeHandle": name}}
        return {"metadata": {"name": name, **labels}, "spec": spec if name != "local" else {"local": {}}}

    def storage_class(self, name: str) -> Any:
        return {"metadata": {"name": name}, "provisioner": "disk.io"}


def using(pod: Any, name: str, *claims: str, inline: bool = False) -> PodInfo:
    volumes: list[Any] = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
    if inline:
        volumes.append({"name": "i", "csi": {"driver": "disk.io"}})
    return PodInfo(pod(name, volumes=volumes))


def judged(plugin: Any, wanted: PodInfo, node: NodeInfo) -> Any:
    """The plugin's words on the node, None for a fit."""
    state, world = CycleState(), None
    found = plugin.pre_filter(state, wanted, world)
    if found is SKIP:
        return "skipped"
    status = plugin.filter(state, wanted, node)
    return status and status.message


@pytest.mark.parametrize(
    ("limits", "held", "wanted", "inline", "fits"),
    [
        ({"disk.io": 2}, ["a"], ["b"], False, True),
        ({"disk.io": 2}, ["a", "b"], ["c"], False, False),
        ({"disk.io": 2}, ["a", "b"], ["b"], False, True),
        ({"disk.io": 2}, ["a"], ["b", "c"], False, False),
        ({"disk.io": 2}, ["a", "b"], ["later"], False, False),
        ({"disk.io": 2}, ["a", "local"], ["b"], False, True),
        ({"disk.io": 1}, ["a"], [], True, False),
        ({"tape.io": 0}, ["a"], ["b"], False, True),
        ({}, ["a", "b", "c"], ["d"], False, True),
    ],
)
def test_volume_limits(
    pod: Any, limits: dict[str, int], held: list[str], wanted: list[str], inline: bool, fits: bool
) -> None:
    """Volumes of a driver count once each, whoever uses them; what the CSINode does not limit is not limited."""
    claims: Any = Claims(limits)
    node = NodeInfo("n")
    node.add_pod(using(pod, "old", *held))
    found = judged(NodeVolumeLimits(claims), using(pod, "p", *wanted, inline=inline), node)
    assert found == (None if fits else "node(s) exceed max volume count")


def test_pods_without_volumes_are_not_asked(pod: Any) -> None:
    """Neither plugin has an opinion on a pod without claims."""
    claims: Any = Claims()
    for plugin in (NodeVolumeLimits(claims), VolumeZone(claims)):
        assert judged(plugin, PodInfo(pod("p")), NodeInfo("n")) == "skipped"


@pytest.mark.parametrize(
    ("volume", "node", "fits"),
    [
        ({ZONE: "a"}, {ZONE: "a"}, True),
        ({ZONE: "a"}, {ZONE: "b"}, False),
        ({ZONE: "a__b"}, {ZONE: "b"}, True),
        ({ZONE: "a"}, {}, True),
        ({ZONE: "a"}, {REGION: "r"}, False),
        ({OLD_ZONE: "a"}, {ZONE: "a"}, True),
        ({ZONE: "a", REGION: "r"}, {ZONE: "a", REGION: "s"}, False),
    ],
)
def test_volume_zones(pod: Any, volume: dict[str, str], node: dict[str, str], fits: bool) -> None:
    """A labelled volume is used in its zones and regions; nodes without any such label are everywhere."""
    claims: Any = Claims(labels=volume)
    info = NodeInfo("n")
    info.set_node({"metadata": {"name": "n", "labels": node}})
    found = judged(VolumeZone(claims), using(pod, "p", "a"), info)
    assert found == (None if fits else "node(s) had no available volume zone")
