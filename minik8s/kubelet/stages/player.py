"""Plays stages: for every object the one that matches, when its time has come.

One agenda with one timer for all objects, one crew that writes. What a stage changes comes back by the informer and
starts the next one; `immediateNextStage` does not wait for that. A stage that waits goes on waiting when its object
changes, as long as it still matches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import attrs

from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS
from minik8s.client.client import Client
from minik8s.client.events import EventRecorder, Recorders
from minik8s.client.informer import Informer
from minik8s.clock import Clock, TimerHandle
from minik8s.kubelet.commons import Commons
from minik8s.kubelet.crew import Crew
from minik8s.kubelet.node import KUBELET_PORT
from minik8s.kubelet.runtime.addresses import Addresses
from minik8s.kubelet.stages.functions import GENERAL
from minik8s.kubelet.stages.gotemplate import Functions, TemplateError
from minik8s.kubelet.stages.stage import (
    Announce,
    Delete,
    Finalizers,
    Patch,
    Stage,
    Step,
    choose,
    finalizer_patch,
    rendered,
)
from minik8s.logs import get_logger
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, name_of, namespace_of, revision_of, rfc3339, uid_of

COMPONENT = "kwok"
"""Who writes and reports: stages may come from there, and tools know the name."""
NODE_ADDRESS = "127.0.0.1"
"""Of every simulated node."""
AGAIN_SECONDS = 1.0
"""Before the same stage at the same object, if it has no delay: one that matches what it makes would never end."""
RETRY_SECONDS = 5.0
"""After a write that failed."""

log = get_logger("minik8s.kubelet.stages")


class Agenda:
    """Calls when their time has come, by one timer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._tickets = count()
        self._timer: TimerHandle | None = None
        self._due = 0.0

    def add(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls back in so many seconds. Nobody takes it back: `call` has to know whether it still means anything."""
        when = self._clock.monotonic() + seconds
        heappush(self._waiting, (when, next(self._tickets), call))
        if self._timer is None or when < self._due:
            self._set()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = self._waiting[0][0]
        self._timer = self._clock.call_later(self._due - self._clock.monotonic(), self._call)

    def _call(self) -> None:
        self._timer = None
        while self._waiting and self._waiting[0][0] <= self._clock.monotonic():
            heappop(self._waiting)[2]()
        if self._waiting and self._timer is None:
            self._set()


@attrs.define(eq=False)
class _Actor:
    """An object that is led: what was last seen of it, and the stage that waits."""

    obj: Doc
    pending: Stage | None = None
    played: Stage | None = None
    address: str = ""
    gone: bool = False


class StagePlayer:
    """Leads the objects of one kind that `concerns` it; somebody runs the crew."""

    def __init__(
        self,
        resource: Resource[Any],
        stages: Sequence[Stage],
        *,
        client: Client,
        clock: Clock,
        rng: Random,
        recorder: EventRecorder,
        crew: Crew,
        concerns: Callable[[Doc], bool],
        addresses: Addresses,
    ) -> None:
        self._resource, self._stages = resource, stages
        self._client, self._clock, self._rng, self._recorder, self._crew = client, clock, rng, recorder, crew
        self._concerns, self._addresses = concerns, addresses
        self._agenda = Agenda(clock)
        self._actors: dict[str, _Actor] = {}
        self._began = rfc3339(clock.now())

    def follow(self, informer: Informer[Any]) -> Callable[[], None]:
        """Leads what is there and comes; returns how to stop."""
        remove = informer.add_handler(self._on_change)

        def stop() -> None:
            remove()
            self._agenda.close()
            for actor in self._actors.values():
                self._leave(actor)
            self._actors.clear()

        return stop

    def _on_change(self, old: Doc | None, new: Doc | None) -> None:
        replaced = old is not None and (new is None or uid_of(new) != uid_of(old))
        if replaced and old is not None and (actor := self._actors.pop(uid_of(old), None)) is not None:
            self._leave(actor)
        if new is not None and self._concerns(new):
            self._see(new)

    def _see(self, obj: Doc) -> None:
        """Takes note of an object, and of the stage that it is at now."""
        actor = self._actors.get(uid_of(obj))
        if actor is None:
            actor = self._actors[uid_of(obj)] = _Actor(obj)
        elif revision_of(obj) <= revision_of(actor.obj):
            return
        actor.obj = obj
        if actor.pending is None or not actor.pending.matches(obj):
            self._plan(actor)

    def _leave(self, actor: _Actor) -> None:
        actor.gone = True
        if actor.address:
            self._addresses.release(actor.address)

    def _plan(self, actor: _Actor) -> None:
        stage = actor.pending = choose(self._stages, actor.obj, self._rng)
        if stage is None:
            return
        seconds = stage.delay(actor.obj, self._clock.now(), self._rng)
        if seconds <= 0 and stage is actor.played:
            seconds = AGAIN_SECONDS
        if seconds > 0:
            self._agenda.add(seconds, partial(self._due, actor, stage))
        else:
            self._due(actor, stage)

    def _due(self, actor: _Actor, stage: Stage) -> None:
        if actor.pending is stage and not actor.gone:
            self._crew.add(partial(self._play, actor, stage))

    async def _play(self, actor: _Actor, stage: Stage) -> None:
        if actor.pending is not stage or actor.gone:
            return
        actor.pending, actor.played = None, stage
        try:
            for step in stage.steps:
                await self._step(actor, step)
        except NotFound:
            return  # the watch will say so too
        except TemplateError as error:
            log.warning("stage cannot be played", stage=stage.name, object=name_of(actor.obj), error=str(error))
            return
        except (ApiError, OSError) as error:
            log.warning("stage failed", stage=stage.name, object=name_of(actor.obj), error=str(error))
            actor.pending = stage
            self._agenda.add(RETRY_SECONDS, partial(self._due, actor, stage))
            return
        if stage.immediate and not actor.gone and actor.pending is None:
            self._plan(actor)

    async def _step(self, actor: _Actor, step: Step) -> None:
        obj = actor.obj
        match step:
            case Announce():
                message = step.message.render(obj, self._functions(actor))
                self._recorder.event(obj, step.type, step.reason, message)
            case Finalizers():
                if (names := step.of(obj)) is not None:
                    await self._patch(actor, finalizer_patch(names), "merge", "")
            case Patch():
                body = rendered(step, obj, self._functions(actor))
                await self._patch(actor, body, step.type, step.subresource)
            case Delete():
                await self._client.delete(
                    self._resource, name_of(obj), namespace=namespace_of(obj), grace_period=0, uid=uid_of(obj)
                )

    async def _patch(self, actor: _Actor, body: Any, type_: str, subresource: str) -> None:
        obj = actor.obj
        written = await self._client.patch(
            self._resource,
            name_of(obj),
            body,
            namespace=namespace_of(obj),
            type=type_,
            subresource=subresource,
        )
        if revision_of(written) > revision_of(actor.obj):
            self._see(written)

    # -- what templates ask

    def _functions(self, actor: _Actor) -> Functions:
        now = rfc3339(self._clock.now())
        node = NODE_ADDRESS
        asked: Mapping[str, Callable[..., Any]] = {
            "Now": lambda: now,
            "StartTime": lambda: self._began,
            "NodeName": lambda: name_of(actor.obj),
            "NodeIP": lambda: node,
            "NodePort": lambda: KUBELET_PORT,
            "PodIP": lambda: self._address(actor),
            "NodeIPWith": lambda *_: node,
            "NodeIPsWith": lambda *_: [node],
            "PodIPWith": lambda _, host_network=False, *__: node if host_network else self._address(actor),
            "PodIPsWith": lambda _, host_network=False, *__: [node if host_network else self._address(actor)],
        }
        return {**GENERAL, **asked}

    def _address(self, actor: _Actor) -> str:
        """The pod's address: what it has, or a new one."""
        known: str = (actor.obj.get("status") or {}).get("podIP") or actor.address
        if not known:
            known = actor.address = self._addresses.acquire()
        return known


async def play(
    stages: Mapping[str, Sequence[Stage]],
    *,
    client: Client,
    clock: Clock,
    rng: Random,
    recorders: Recorders,
    commons: Commons,
    has_node: Callable[[str], bool],
    addresses: Addresses,
) -> None:
    """Leads the nodes for which `has_node` holds, and their pods, until cancelled; `stages` are by kind."""
    signed = client.as_component(COMPONENT, f"system:serviceaccount:kube-system:{COMPONENT}", ["system:masters"])
    crew = Crew("stages")
    subjects: Mapping[str, tuple[Resource[Any], Informer[Any], Callable[[Doc], bool]]] = {
        "Node": (NODES, commons.dispatch.node_informer, lambda node: has_node(name_of(node))),
        "Pod": (PODS, commons.dispatch.pod_informer, lambda pod: has_node(pod["spec"].get("nodeName", ""))),
    }
    stops = []
    try:
        for kind, chosen in stages.items():
            resource, informer, concerns = subjects[kind]
            player = StagePlayer(
                resource,
                chosen,
                client=signed,
                clock=clock,
                rng=rng,
                recorder=recorders.recorder(COMPONENT, client=signed),
                crew=crew,
                concerns=concerns,
                addresses=addresses,
            )
            stops.append(player.follow(informer))
        await crew.run()
    finally:
        for stop in stops:
            stop()
