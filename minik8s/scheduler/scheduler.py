"""The scheduler itself: informers in, bindings out.

One loop takes pods from the queue and decides; decisions never suspend. What has to be told to the API server
(bindings, and the condition of pods that found no node) is handed to a few long-lived workers, and the pod is assumed
on its node meanwhile. Upstream: `pkg/scheduler/schedule_one.go` and `eventhandlers.go`.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from random import Random

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from minik8s.api.pods import is_terminal
from minik8s.api.resources import NAMESPACES, NODES, POD_DISRUPTION_BUDGETS, PODS
from minik8s.client.client import Client
from minik8s.client.events import EventKind, Recorders
from minik8s.client.informer import Informers
from minik8s.clock import Clock, TimerHandle
from minik8s.machinery.causes import CAUSE, cause_of
from minik8s.machinery.meta import Doc, is_terminating, name_of, uid_of
from minik8s.scheduler.binding import bind, post_bind, reserve, unreserve
from minik8s.scheduler.cache import Cache
from minik8s.scheduler.claims import Claims
from minik8s.scheduler.configuration import SchedulerConfiguration
from minik8s.scheduler.cycle import Decision, Refusal
from minik8s.scheduler.desk import Desk, SchedulerStatistics, attach, run_post_filters, set_up
from minik8s.scheduler.devices.inventory import Inventory
from minik8s.scheduler.diagnosis import Diagnosis
from minik8s.scheduler.framework import Event, Nomination, Plugin, Status
from minik8s.scheduler.guard import blame
from minik8s.scheduler.info import NodeInfo, PodInfo
from minik8s.scheduler.outsiders import outsiders
from minik8s.scheduler.owners import Owners
from minik8s.scheduler.plugins.registry import Tools
from minik8s.scheduler.profile import Profile, Weighted
from minik8s.scheduler.profiles import build_profiles
from minik8s.scheduler.queue import QueuedPod, SchedulingQueue, scheduler_of
from minik8s.scheduler.volumes import Volumes
from minik8s.scheduler.waiting import WaitingPod, WaitingPods

WORKERS = 16
LONGEST_LAG = 5.0
"""Seconds for the cache to show an eviction, before more victims may be looked for."""
MAX_IN_FLIGHT = 256
"""How many pods may wait for a worker before deciding pauses; bounds what is assumed but not yet said."""

Act = Callable[[], Awaitable[None]]


class Scheduler:
    """Schedules the pods whose spec.schedulerName is a profile's name.

    `configuration` says which profiles there are, `plugins` join them (see `profiles`); `profiles` are used as they
    are instead. Raises ConfigurationError for what cannot be. Plugins may ask it: it is their `framework.Handle`.
    """

    def __init__(
        self,
        client: Client,
        informers: Informers,
        clock: Clock,
        rng: Random,
        recorders: Recorders,
        configuration: SchedulerConfiguration = SchedulerConfiguration(),  # noqa: B008  frozen
        *,
        plugins: Iterable[Plugin | Weighted] = (),
        profiles: Sequence[Profile] = (),
    ) -> None:
        self._client = client.as_component("kube-scheduler", "system:kube-scheduler")
        self._informers = informers
        self._clock = clock
        self._volumes = Volumes(self._client, informers, clock)
        self._owners = Owners(informers)
        self._budgets = informers(POD_DISRUPTION_BUDGETS)
        self.cache = Cache()
        self.statistics = SchedulerStatistics()
        self.waiting = WaitingPods()
        self._claims = claims = Claims(self._client, informers, clock, Inventory(rng))
        budgets = self._budgets.lister.all
        tools = Tools(self._client, self._volumes, self._owners.selector, budgets, claims.inventory, claims)
        chosen = profiles or build_profiles(configuration.profiles, tools, plugins)
        self.outsiders = outsiders(configuration.extenders, clock)
        self._desks = set_up(chosen, configuration, self.cache, rng, self._client, clock, recorders)
        self.profiles = [desk.profile for desk in self._desks.values()]
        self.queue = SchedulingQueue(self.profiles, configuration.initial_backoff, configuration.max_backoff)
        self._acts: MemoryObjectSendStream[Act]
        self._work: MemoryObjectReceiveStream[Act]
        self._group: TaskGroup
        self._preempting: set[str] = set()
        """Pods for which victims are being evicted: no others are looked for before the cache shows that these go."""
        self._hired = 0
        self._in_flight = 0
        self._room = anyio.Event()
        self._wake = anyio.Event()
        self._timer: TimerHandle | None = None
        self._scope = anyio.CancelScope()
        attach(self.profiles, self)

    # ------------------------------------------------------------------ asking

    def explain(self, uid: str) -> Diagnosis | Status | None:
        """Why a pod waits: the gate that holds it, its last diagnosis, or None when it is not (yet) held up."""
        queued = self.queue.get(uid)
        if queued is None:
            return None
        return queued.gate or queued.diagnosis

    @property
    def snapshot(self) -> Cache:
        """For plugins: nodes and pods as they are known."""
        return self.cache

    @property
    def client(self) -> Client:
        """For plugins: the scheduler's own."""
        return self._client

    def now(self) -> float:
        """For plugins: seconds that never go back."""
        return self._clock.monotonic()

    def activate(self, uids: Iterable[str]) -> None:
        """For plugins: has waiting pods tried again now, whatever they wait for."""
        for uid in uids:
            self.queue.activate(uid, self._clock.monotonic())
        self._wake.set()

    def event(self, pod: PodInfo, type: EventKind, reason: str, message: str) -> None:
        """For plugins: records an event about a pod."""
        self._desk(pod).reporter.event(pod, type, reason, message)

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
        await self._owners.synced()
        await self._budgets.synced()
        self._acts, self._work = anyio.create_memory_object_stream[Act](math.inf)
        removals = (
            *self._volumes.watch(partial(self._happened, Event.VOLUME)),
            *self._claims.watch(self._happened),
            *self._owners.watch(),
            namespaces.add_handler(self._on_namespace),
            nodes.add_handler(self._on_node),
            pods.add_handler(self._on_pod),
        )
        try:
            async with self._acts, self._work, anyio.create_task_group() as self._group:
                await self._loop()
        finally:
            with anyio.CancelScope(shield=True):
                await self.outsiders.aclose()
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
            await self._schedule(queued)
            if self._in_flight >= MAX_IN_FLIGHT:
                self._room = anyio.Event()
                await self._room.wait()

    async def _worker(self) -> None:
        async for act in self._work:
            await act()
            self._in_flight -= 1
            if self._in_flight <= MAX_IN_FLIGHT // 2:
                self._room.set()

    def do(self, act: Act) -> None:
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
        elif scheduler_of(new) in self._desks:
            if is_terminating(new):
                self._leave(uid_of(new))
            elif not self.cache.is_assumed(uid_of(new)):
                self.queue.add(new, self._clock.monotonic())
                self._follow_nomination(old, new)
                self._wake.set()

    def _follow_nomination(self, old: Doc | None, new: Doc) -> None:
        """Another scheduler, or this one before it was started anew, may have made room for the pod."""
        queued, node = self.queue.get(uid_of(new)), (new.get("status") or {}).get("nominatedNodeName")
        if queued is not None and node and not self.cache.is_nominated(queued.pod.uid):
            self.cache.nominate(queued.pod, node)
        elif not node and ((old or {}).get("status") or {}).get("nominatedNodeName"):
            self.cache.denominate(uid_of(new))

    def _leave(self, uid: str) -> None:
        """A pod without a node ends."""
        self._dequeue(uid)
        self.waiting.reject(uid, "", "the pod is being deleted")

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
        self._leave(uid)
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

    def _desk(self, pod: PodInfo) -> Desk:
        return self._desks[scheduler_of(pod.doc)]

    async def _schedule(self, queued: QueuedPod) -> None:
        """One attempt; suspends only where extenders have a say."""
        self.statistics.attempts += 1
        pod, desk = queued.pod, self._desk(queued.pod)
        try:
            decision = await self.outsiders.decide(pod, desk.scheduling, self.cache)
            if isinstance(decision, Refusal):
                await self._refused(queued, desk, decision)
                return
        except Exception as error:
            self._failed(queued, blame(desk.profile, error, pod.key))
            return
        if not self.queue.decided(queued):
            self.statistics.attempts -= 1  # it went meanwhile
            return
        self.cache.denominate(pod.uid)
        self.cache.assume(pod, decision.node)
        held_by: dict[str, float] = {}
        if status := reserve(desk.profile, pod, decision, held_by):
            self._taken_back(queued, decision, status)
            return
        if held_by:
            self.waiting.add(WaitingPod(pod, decision.node, self._clock, held_by))
        if decision.state.slow or held_by:
            self._group.start_soon(self._bind, queued, decision, name=f"bind {pod.key}")
        else:
            self.do(partial(self._bind, queued, decision))

    async def _refused(self, queued: QueuedPod, desk: Desk, refusal: Refusal) -> None:
        diagnosis, nomination, pod = refusal.diagnosis, None, queued.pod
        if diagnosis.nodes and pod.uid not in self._preempting:
            nomination, message = await run_post_filters(desk, pod, refusal, self.cache, self.outsiders.judge)
            diagnosis = attrs.evolve(diagnosis, post_filter=message)
        if self.queue.get(pod.uid) is not queued:
            self.statistics.attempts -= 1  # it went meanwhile
            return
        self.statistics.unschedulable += 1
        lesser: list[PodInfo] = []
        if nomination is not None:
            lesser = self._nominate(pod, nomination)
            if nomination.node:
                self._preempting.add(pod.uid)
        self.queue.fail(queued, diagnosis, self._clock.monotonic())
        self.do(partial(self._report, desk, pod, diagnosis.message, nomination, lesser))

    def _nominate(self, pod: PodInfo, nomination: Nomination) -> list[PodInfo]:
        """Keeps the room for the pod; the less important pods lose theirs on that node, and may look elsewhere."""
        node = self.cache.node(nomination.node)
        lesser = [p for p in node.nominated.values() if p.priority < pod.priority] if node is not None else []
        for other in lesser:
            self.cache.denominate(other.uid)
            self.queue.activate(other.uid, self._clock.monotonic())
        self.cache.nominate(pod, nomination.node)
        return lesser

    def _taken_back(self, queued: QueuedPod, decision: Decision, status: Status) -> None:
        """The pod was assumed on a node and cannot have it."""
        pod, desk, now = queued.pod, self._desk(queued.pod), self._clock.monotonic()
        unreserve(desk.profile, pod, decision)
        self.cache.forget(pod.uid)
        if self.queue.get(pod.uid) is queued:
            if status.rejected:
                self.statistics.unschedulable += 1
                diagnosis = Diagnosis(len(self.cache.nodes), {status.message: 1}, frozenset((status.plugin,)))
                self.queue.fail(queued, diagnosis, now)
                self.do(partial(desk.reporter.refused, pod, "Unschedulable", diagnosis.message))
            else:
                self._failed(queued, status)
        self._happened(Event.POD_DELETE, pod)

    def _failed(self, queued: QueuedPod, status: Status) -> None:
        """Something went wrong that is not the pod's fault."""
        self.statistics.errors += 1
        self.queue.error(queued, self._clock.monotonic())
        self.do(partial(self._desk(queued.pod).reporter.refused, queued.pod, "SchedulerError", status.message))
        self._wake.set()

    # ------------------------------------------------------------------ acting

    async def _bind(self, queued: QueuedPod, decision: Decision) -> None:
        pod, desk = queued.pod, self._desk(queued.pod)
        CAUSE.set(cause_of(PODS.group_resource, pod.doc))
        if decision.state.slow or self.waiting.get(pod.uid) is not None:
            await desk.reporter.expects(pod, decision.node)
        status = await self.waiting.verdict(pod.uid) or await bind(desk.profile, pod, decision, self.outsiders.bind)
        if status is not None:
            self._taken_back(queued, decision, status)
            return
        self.statistics.scheduled += 1
        self.queue.remove(pod.uid)
        desk.reporter.scheduled(pod, decision.node)
        post_bind(desk.profile, pod, decision)

    async def _report(
        self, desk: Desk, pod: PodInfo, message: str, nomination: Nomination | None, lesser: list[PodInfo]
    ) -> None:
        """Tells the user, and makes the room that preemption has found."""
        await desk.reporter.refused(pod, "Unschedulable", message, nomination)
        if nomination is None or not nomination.node:
            return
        try:
            evicted, revision = await desk.reporter.make_room(pod, nomination, lesser, self.waiting)
            self.statistics.preempted += evicted
            with anyio.move_on_after(LONGEST_LAG):
                await self._informers(PODS).lister.caught_up(revision)
        finally:
            self._preempting.discard(pod.uid)
