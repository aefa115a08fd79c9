"""The scheduler itself: informers in, bindings out.

One loop takes pods from the queue and decides; decisions never suspend. What has to be told to the API server
(bindings, and the condition of pods that found no node) is handed to a few long-lived workers, and the pod is assumed
on its node meanwhile. Upstream: `pkg/scheduler/schedule_one.go` and `eventhandlers.go`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from random import Random

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from minik8s.api.pods import disruption_target, is_terminal
from minik8s.api.resources import NAMESPACES, NODES, PODS
from minik8s.client.client import Client
from minik8s.client.events import Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock, TimerHandle
from minik8s.logs import get_logger
from minik8s.machinery.causes import CAUSE, cause_of
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, find_condition, is_terminating, name_of, rfc3339, transition_time, uid_of
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.cycle import Decision, Refusal, Scheduling
from minik8s.scheduler.diagnosis import Diagnosis
from minik8s.scheduler.framework import Code, CycleState, Event, Nomination, Plugin, Status
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.plugins.defaults import default_profile
from minik8s.scheduler.profile import Profile, Weighted
from minik8s.scheduler.queue import QueuedPod, SchedulingQueue
from minik8s.scheduler.volumes import Volumes

log = get_logger("minik8s.scheduler")

WORKERS = 16
MAX_IN_FLIGHT = 256
"""How many pods may wait for a worker before deciding pauses; bounds what is assumed but not yet said."""

Act = Callable[[], Awaitable[None]]


@attrs.define
class SchedulerStatistics:
    """Counters since the start. `attempts` = scheduled + unschedulable + errors, once nothing is in flight."""

    attempts: int = 0
    scheduled: int = 0
    unschedulable: int = 0
    errors: int = 0
    preempted: int = 0


class Scheduler:
    """Schedules the pods whose spec.schedulerName is the profile's name; `plugins` join the default profile."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        rng: Random,
        recorders: Recorders,
        profile: Profile | None = None,
        *,
        plugins: Iterable[Plugin | Weighted] = (),
        percentage_of_nodes_to_score: int = 0,
    ) -> None:
        self._client = client.as_component("kube-scheduler", "system:kube-scheduler")
        self._volumes = Volumes(self._client, informers, clock)
        self.profile = profile or default_profile(self._client, self._volumes, more=plugins)
        self.cache = Cache()
        self.queue = SchedulingQueue(self.profile)
        self.statistics = SchedulerStatistics()
        self._informers = informers
        self._clock = clock
        self._recorder = recorders.recorder(self.profile.name, client=self._client)
        self._scheduling = Scheduling(self.profile, self.cache, rng, percentage_of_nodes_to_score)
        self._acts: MemoryObjectSendStream[Act]
        self._work: MemoryObjectReceiveStream[Act]
        self._group: TaskGroup
        self._hired = 0
        self._in_flight = 0
        self._room = anyio.Event()
        self._wake = anyio.Event()
        self._timer: TimerHandle | None = None
        self._scope = anyio.CancelScope()

    # ------------------------------------------------------------------ asking

    def explain(self, uid: str) -> Diagnosis | Status | None:
        """Why a pod waits: the gate that holds it, its last diagnosis, or None when it is not (yet) held up."""
        queued = self.queue.get(uid)
        if queued is None:
            return None
        return queued.gate or queued.diagnosis

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do before the next event or timer."""
        counts = self.queue.counts()
        return not self._in_flight and not any(counts.get(place) for place in ("active", "backoff", "flying"))

    # ------------------------------------------------------------------ running

    async def run(self) -> None:
        """Runs until cancelled or stopped."""
        with self._scope:
            await self._run()

    def stop(self) -> None:
        """Ends `run`, whatever it is about."""
        self._scope.cancel()

    async def _run(self) -> None:
        nodes, pods, namespaces = self._informers(NODES), self._informers(PODS), self._informers(NAMESPACES)
        for informer in (namespaces, nodes, pods):
            await informer.synced()
        await self._volumes.synced()
        self._acts, self._work = anyio.create_memory_object_stream[Act](math.inf)
        removals = (
            *self._volumes.watch(partial(self._happened, Event.VOLUME)),
            namespaces.add_handler(self._on_namespace),
            nodes.add_handler(self._on_node),
            pods.add_handler(self._on_pod),
        )
        try:
            async with self._acts, self._work, anyio.create_task_group() as self._group:
                await self._loop()
        finally:
            for remove in removals:
                remove()
            if self._timer is not None:
                self._timer.cancel()

    async def _loop(self) -> None:
        while True:
            queued = self.queue.pop(self._clock.monotonic())
            if queued is None:
                self._wake = anyio.Event()
                self._set_timer()
                await self._wake.wait()
                continue
            self._schedule(queued)
            if self._in_flight >= MAX_IN_FLIGHT:
                self._room = anyio.Event()
                await self._room.wait()

    async def _worker(self) -> None:
        async for act in self._work:
            await act()
            self._in_flight -= 1
            if self._in_flight <= MAX_IN_FLIGHT // 2:
                self._room.set()

    def _do(self, act: Act) -> None:
        """Has a worker carry it out; workers are hired as acts find the hired ones busy."""
        self._in_flight += 1
        if self._hired < WORKERS and self._hired < self._in_flight:
            self._group.start_soon(self._worker, name=f"scheduler worker {self._hired}")
            self._hired += 1
        self._acts.send_nowait(act)

    def _set_timer(self) -> None:
        """One timer for the whole queue: when the next back-off ends."""
        at = self.queue.next_wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = self._clock.call_later(at - self._clock.monotonic(), lambda: self._wake.set())

    # ------------------------------------------------------------------ hearing

    def _on_namespace(self, old: Doc | None, new: Doc | None) -> None:
        self.cache.set_namespace(name_of(new or old or {}), new)

    def _on_node(self, old: Doc | None, new: Doc | None) -> None:
        if new is None:
            self.cache.remove_node(name_of(old or {}))
            return
        event = self.cache.set_node(new)
        info = self.cache.node(name_of(new))
        if event and info is not None:
            self._happened(event, info)

    def _on_pod(self, old: Doc | None, new: Doc | None) -> None:
        """Assigned pods go to the cache, others to the queue; a pod that has ended counts as gone."""
        if new is None or is_terminal(new):
            self._gone(uid_of(new or old or {}))
        elif new["spec"].get("nodeName"):
            self._assigned(old, new)
        elif new["spec"].get("schedulerName", self.profile.name) == self.profile.name:
            if is_terminating(new):
                self._dequeue(uid_of(new))
            elif not self.cache.is_assumed(uid_of(new)):
                self.queue.add(new, self._clock.monotonic())
                self._wake.set()

    def _assigned(self, old: Doc | None, new: Doc) -> None:
        uid = uid_of(new)
        known = self.cache.pod(uid)
        self._dequeue(uid)
        self.cache.set_pod(new)
        current = self.cache.pod(uid)
        if known is None and current is not None:
            self._happened(Event.POD_ADD, current)
        elif current is not None and known is not current:
            self._happened(Event.POD_LABEL | Event.POD_DELETE, current)  # a resize may have freed something

    def _gone(self, uid: str) -> None:
        self._dequeue(uid)
        pod = self.cache.pod(uid)
        self.cache.remove_pod(uid)
        if pod is not None:
            self._happened(Event.POD_DELETE, pod)

    def _dequeue(self, uid: str) -> None:
        self.queue.remove(uid)
        self.cache.denominate(uid)

    def _happened(self, event: Event, subject: NodeInfo | PodInfo | Doc) -> None:
        self.queue.wake(event, subject, self._clock.monotonic())
        self._wake.set()

    # ------------------------------------------------------------------ deciding

    def _schedule(self, queued: QueuedPod) -> None:
        """One attempt; never suspends."""
        self.statistics.attempts += 1
        pod = queued.pod
        decision = self._scheduling.decide(pod)
        if isinstance(decision, Refusal):
            self._refused(queued, decision)
            return
        self.cache.denominate(pod.uid)
        self.cache.assume(pod, decision.node)
        if status := self._reserve(pod, decision):
            self._taken_back(queued, decision, status)
            return
        if decision.state.slow:
            self._group.start_soon(self._bind, queued, decision, name=f"bind {pod.key}")
        else:
            self._do(lambda: self._bind(queued, decision))

    def _reserve(self, pod: PodInfo, decision: Decision) -> Status | None:
        for plugin in self.profile.reserves:
            if status := plugin.reserve(decision.state, pod, decision.node):
                return status
        for permit in self.profile.permits:
            if status := permit.permit(decision.state, pod, decision.node):
                return status
        return None

    def _refused(self, queued: QueuedPod, refusal: Refusal) -> None:
        self.statistics.unschedulable += 1
        diagnosis, nomination = refusal.diagnosis, None
        for plugin in self.profile.post_filters if diagnosis.nodes else ():
            nomination, message = plugin.post_filter(
                refusal.state, queued.pod, self.cache, self.profile, diagnosis, refusal.statuses
            )
            diagnosis = attrs.evolve(diagnosis, post_filter=message)
            if nomination is not None and nomination.node:
                break
        if nomination is not None:
            self.cache.nominate(queued.pod, nomination.node)
        self.queue.fail(queued, diagnosis, self._clock.monotonic())
        self._do(lambda: self._report(queued.pod, "Unschedulable", diagnosis.message, nomination))

    def _taken_back(self, queued: QueuedPod, decision: Decision, status: Status) -> None:
        """The pod was assumed on a node and cannot have it."""
        for plugin in reversed(self.profile.reserves):
            plugin.unreserve(decision.state, queued.pod, decision.node)
        self.cache.forget(queued.pod.uid)
        now = self._clock.monotonic()
        self.queue.wake(Event.POD_DELETE, queued.pod, now)
        if status.rejected:
            self.statistics.unschedulable += 1
            diagnosis = Diagnosis(len(self.cache.nodes), {status.message: 1}, frozenset((status.plugin,)))
            self.queue.fail(queued, diagnosis, now)
            self._do(lambda: self._report(queued.pod, "Unschedulable", diagnosis.message, None))
        else:
            self.statistics.errors += 1
            self.queue.error(queued, now)
            self._do(lambda: self._report(queued.pod, "SchedulerError", status.message, None))
        self._wake.set()

    # ------------------------------------------------------------------ acting

    async def _bind(self, queued: QueuedPod, decision: Decision) -> None:
        pod = queued.pod
        CAUSE.set(cause_of(PODS.group_resource, pod.doc))
        if status := await self._run_bind(pod, decision.state, decision.node):
            if self.queue.get(pod.uid) is queued:
                self._taken_back(queued, decision, status)
            else:
                self.cache.forget(pod.uid)
            return
        self.statistics.scheduled += 1
        self.queue.remove(pod.uid)
        self._recorder.event(pod.doc, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {decision.node}")
        for plugin in self.profile.post_binds:
            plugin.post_bind(decision.state, pod, decision.node)

    async def _run_bind(self, pod: PodInfo, state: CycleState, node: str) -> Status | None:
        for plugin in self.profile.pre_binds:
            if status := await plugin.pre_bind(state, pod, node):
                return status
        for binder in self.profile.binds:
            status = await binder.bind(state, pod, node)
            if status is None or status.code is not Code.SKIP:
                return status
        return Status(Code.ERROR, ("no bind plugin took the pod",))

    async def _report(self, pod: PodInfo, reason: str, message: str, nomination: Nomination | None) -> None:
        """Tells the user, by event and condition, and makes the room that preemption has found."""
        CAUSE.set(cause_of(PODS.group_resource, pod.doc))
        self._recorder.event(pod.doc, "Warning", "FailedScheduling", message)
        try:
            await self._patch_status(pod, reason, message, nomination)
            if nomination is not None:
                await self._evict(pod, nomination)
        except NotFound:
            return
        except (ApiError, OSError) as error:
            log.warning("reporting failed", pod=pod.key, error=str(error))

    async def _patch_status(self, pod: PodInfo, reason: str, message: str, nomination: Nomination | None) -> None:
        status = pod.doc.get("status") or {}
        before = status.get("nominatedNodeName", "")
        node = before if nomination is None else nomination.node
        condition = unscheduled_condition(pod.doc, reason, message, rfc3339(self._clock.now()))
        patch: dict[str, object] = {} if condition is None else {"conditions": [condition]}
        if node != before:
            patch["nominatedNodeName"] = node or None
        if patch:
            await self._client.patch(
                PODS,
                name_of(pod.doc),
                {"metadata": {"uid": pod.uid}, "status": patch},
                namespace=pod.namespace,
                type="strategic",
                subresource="status",
            )

    async def _evict(self, pod: PodInfo, nomination: Nomination) -> None:
        """Deletes the victims, each told why."""
        for victim in nomination.victims:
            why = f"{self.profile.name}: preempting to accommodate a higher priority pod"
            condition = disruption_target("PreemptionByScheduler", why, self._clock.now())
            namespace, name = victim["metadata"].get("namespace", ""), name_of(victim)
            try:
                patch = {"metadata": {"uid": uid_of(victim)}, "status": {"conditions": [condition]}}
                await self._client.patch(PODS, name, patch, namespace=namespace, type="strategic", subresource="status")
                await self._client.delete(PODS, name, namespace=namespace, uid=uid_of(victim))
            except NotFound:
                continue
            self.statistics.preempted += 1
            self._recorder.event(victim, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {nomination.node}")


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
