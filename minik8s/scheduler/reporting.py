"""What the scheduler tells: pods why they wait, victims why they go. Texts and reasons are upstream's.

A condition that a pod has already is not written again; an event is recorded for every attempt, and the recorder keeps
those that repeat themselves together.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik8s.api.pods import disruption_target
from minik8s.api.resources import PODS
from minik8s.client.client import Client
from minik8s.client.events import EventKind, EventRecorder
from minik8s.clock import Clock
from minik8s.logs import get_logger
from minik8s.machinery.causes import CAUSE, cause_of
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import (
    Doc,
    find_condition,
    is_terminating,
    name_of,
    revision_of,
    rfc3339,
    transition_time,
    uid_of,
)
from minik8s.scheduler.framework import Nomination
from minik8s.scheduler.info import PodInfo
from minik8s.scheduler.waiting import WaitingPods

log = get_logger("minik8s.scheduler")


class Reporter:
    """For the pods of one profile, whose name the events carry."""

    def __init__(self, client: Client, clock: Clock, recorder: EventRecorder, profile: str) -> None:
        self._client, self._clock, self._recorder, self._profile = client, clock, recorder, profile
        self._expected: set[str] = set()

    async def expects(self, pod: PodInfo, node: str) -> None:
        """Says where the pod will be once what its binding waits for is done (NominatedNodeNameForExpectation)."""
        self._expected.add(pod.uid)
        try:
            await self._patch(pod.doc, {"nominatedNodeName": node})
        except (ApiError, OSError) as error:
            log.debug("expectation not written", pod=pod.key, error=str(error))

    def scheduled(self, pod: PodInfo, node: str) -> None:
        self._expected.discard(pod.uid)
        self._recorder.event(
            pod.doc, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {node}", action="Binding"
        )

    def event(self, pod: PodInfo, type: EventKind, reason: str, message: str) -> None:
        self._recorder.event(pod.doc, type, reason, message, action="Scheduling")

    async def refused(self, pod: PodInfo, reason: str, message: str, nomination: Nomination | None = None) -> None:
        """Says by event and condition that the pod has no node; `nomination` is where room is being made for it."""
        CAUSE.set(cause_of(PODS.group_resource, pod.doc))
        self._recorder.event(pod.doc, "Warning", "FailedScheduling", message, action="Scheduling")
        try:
            await self._patch_status(pod, reason, message, nomination)
        except NotFound:
            return
        except (ApiError, OSError) as error:
            log.warning("reporting failed", pod=pod.key, error=str(error))

    async def _patch_status(self, pod: PodInfo, reason: str, message: str, nomination: Nomination | None) -> None:
        before = (pod.doc.get("status") or {}).get("nominatedNodeName", "")
        kept = "" if pod.uid in self._expected else before
        node = kept if nomination is None else nomination.node
        condition = unscheduled_condition(pod.doc, reason, message, rfc3339(self._clock.now()))
        patch: dict[str, object] = {} if condition is None else {"conditions": [condition]}
        if node != before or pod.uid in self._expected:
            patch["nominatedNodeName"] = node or None
        self._expected.discard(pod.uid)
        if patch:
            await self._patch(pod.doc, patch)

    async def _patch(self, pod: Doc, status: Doc) -> None:
        body = {"metadata": {"uid": uid_of(pod)}, "status": status}
        namespace = pod["metadata"].get("namespace", "")
        await self._client.patch(PODS, name_of(pod), body, namespace=namespace, type="strategic", subresource="status")

    async def make_room(
        self, pod: PodInfo, nomination: Nomination, lesser: Iterable[PodInfo], waiting: WaitingPods
    ) -> tuple[int, int]:
        """Takes the nomination from `lesser` pods and evicts the victims, each told why.

        How many were evicted, and the revision of the last of these deletions, 0 when it is not known. A victim that
        waits for a Permit plugin is only rejected; one that is ending already is let be.
        """
        evicted = revision = 0
        CAUSE.set(cause_of(PODS.group_resource, pod.doc))
        try:
            for other in lesser:
                await self._patch(other.doc, {"nominatedNodeName": None})
            for victim in nomination.victims:
                if waiting.reject(uid_of(victim), "DefaultPreemption", "preempted"):
                    continue
                if not is_terminating(victim) and (gone := await self._evict(pod, victim, nomination.node)) is not None:
                    evicted, revision = evicted + 1, max(revision, gone)
        except (ApiError, OSError) as error:
            log.warning("making room failed", pod=pod.key, error=str(error))
        return evicted, revision

    async def _evict(self, pod: PodInfo, victim: Doc, node: str) -> int | None:
        """The revision at which it ended or began to end; None when it was gone already."""
        why = f"{self._profile}: preempting to accommodate a higher priority pod"
        condition = disruption_target("PreemptionByScheduler", why, self._clock.now())
        if generation := victim["metadata"].get("generation"):
            condition["observedGeneration"] = generation
        namespace = victim["metadata"].get("namespace", "")
        try:
            await self._patch(victim, {"conditions": [condition]})
            gone = await self._client.delete(PODS, name_of(victim), namespace=namespace, uid=uid_of(victim))
        except NotFound:
            return None
        told = f"Preempted by pod {pod.uid} on node {node}"
        self._recorder.event(victim, "Normal", "Preempted", told, action="Preempting", related=pod.doc)
        return revision_of(gone) if "metadata" in gone else 0


def unscheduled_condition(pod: Doc, reason: str, message: str, now: str) -> Doc | None:
    """The PodScheduled condition to write, None when the pod says it already."""
    old = find_condition((pod.get("status") or {}).get("conditions"), "PodScheduled")
    new = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    if old is not None and all(old.get(key) == value for key, value in new.items()):
        return None
    since = transition_time(old, "False", now)
    generation = pod["metadata"].get("generation")
    observed = {"observedGeneration": generation} if generation else {}
    return {**new, **observed, "lastProbeTime": None, "lastTransitionTime": since}
