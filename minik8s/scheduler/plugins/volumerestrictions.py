"""VolumeRestrictions: a claim that only one pod may have (ReadWriteOncePod) is not shared, on whatever node.

Upstream: `framework/plugins/volumerestrictions`; what it checks for cloud disks has no counterpart here.
"""

from __future__ import annotations

from typing import Any

import attrs

from minik8s.api.volumes import ClaimKey, claims_of
from minik8s.scheduler.framework import SKIP, Code, CycleState, Event, PreFilterResult, Snapshot, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.volumes import Volumes

NAME = "VolumeRestrictions"
_IN_USE = Status(
    Code.UNSCHEDULABLE,
    ("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",),
    NAME,
)


@attrs.define
class _Users:
    """How many pods use a pod's exclusive claims."""

    claims: set[ClaimKey]
    number: int

    def clone(self) -> _Users:
        return attrs.evolve(self)


def _uses(other: PodInfo, claims: set[ClaimKey]) -> bool:
    return not claims.isdisjoint(claims_of(other.doc))


class VolumeRestrictions:
    name = NAME
    local = False
    events = Event.POD_DELETE | Event.VOLUME

    def __init__(self, volumes: Volumes) -> None:
        self._volumes = volumes

    def pre_filter(self, state: CycleState, pod: PodInfo, snapshot: Snapshot) -> PreFilterResult:
        claims = {key for key in claims_of(pod.doc) if self._is_exclusive(key)} if pod.spec.get("volumes") else set()
        if not claims:
            return SKIP
        pods = (other for node in snapshot.nodes for other in node.pods.values() if other.spec.get("volumes"))
        state.data[NAME] = _Users(claims, sum(_uses(other, claims) for other in pods))
        return None

    def add_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        if (found := state.data.get(NAME)) is not None:
            found.number += _uses(other, found.claims)

    def remove_pod(self, state: CycleState, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        if (found := state.data.get(NAME)) is not None:
            found.number -= _uses(other, found.claims)

    def _is_exclusive(self, key: ClaimKey) -> bool:
        claim = self._volumes.claim(key)
        return claim is not None and "ReadWriteOncePod" in (claim["spec"].get("accessModes") or ())

    def filter(self, state: CycleState, pod: PodInfo, node: NodeInfo) -> Status | None:
        return _IN_USE if state.data[NAME].number else None

    def hint(self, pod: PodInfo, event: Event, subject: Any) -> bool:
        if event & Event.POD_DELETE and isinstance(subject, PodInfo):
            return not set(claims_of(pod.doc)).isdisjoint(claims_of(subject.doc))
        return True
