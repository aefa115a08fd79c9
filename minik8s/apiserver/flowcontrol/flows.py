"""Lets requests in by their flows: at once if there is room, else in turn, or not at all.

A request's flow is the first flow schema that matches it, by precedence, and a distinguisher; whoever asks the same
again is answered from memory until a schema or a level changes. What it costs who finds room is a look-up and a few
additions, so everything that needs the time is left to those who meet others: a level's demand is looked at only while
more than one request is in it, and limits are adjusted when the first of those comes after the end of a period. Nothing
runs while nobody waits. Upstream: apiserver `pkg/util/flowcontrol`, `pkg/server/filters/priority-and-fairness.go`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import anyio
import attrs

from minik8s.api.flowcontrol import mandatory
from minik8s.api.request import User
from minik8s.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from minik8s.apiserver.authorization.authorizer import selected_name
from minik8s.apiserver.flowcontrol.levels import Counts, Level, Levels
from minik8s.apiserver.flowcontrol.limits import OBJECTS_PER_SEAT, PERIOD, list_width
from minik8s.apiserver.flowcontrol.matching import distinguisher, find
from minik8s.apiserver.flowcontrol.queueset import Waiter, entropy_of
from minik8s.apiserver.httpcall import HttpCall, verb_meant
from minik8s.apiserver.options import integer_option, truth
from minik8s.apiserver.requestinfo import RequestInfo
from minik8s.clock import Clock, TimerHandle
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, name_of, uid_of
from minik8s.store.protocol import Revision, Store

Headers = Sequence[tuple[bytes, bytes]]
_RESOURCES = (FLOW_SCHEMAS.group_resource, PRIORITY_LEVEL_CONFIGURATIONS.group_resource)
REMEMBERED = 4096
"""Questions whose answers are kept."""


class Refused(Exception):
    """There is no room and nowhere to wait; `retry_after` is in seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


@attrs.frozen(eq=False)
class Flow:
    """Where requests of one sort go. `headers` tell the client."""

    schema: str
    distinguisher: str
    level: Level
    counts: Counts
    headers: Headers
    lists: bool
    """Whether the width of its requests has to be found out."""


class Seat:
    """What a request has taken, until it leaves."""

    __slots__ = ("_flow", "_flows", "_waiter", "_width")

    def __init__(self, flows: FlowControl, flow: Flow, width: int, waiter: Waiter | None = None) -> None:
        self._flows: FlowControl | None = flows
        self._flow, self._width, self._waiter = flow, width, waiter

    def leave(self) -> None:
        """Gives it back; harmless when that has been done."""
        flows, self._flows = self._flows, None
        if flows is not None:
            flows.leave(self._flow, self._width, self._waiter)


@attrs.define(eq=False)
class Turn:
    """A request that waits, for who shows them; `come` is set when it may begin."""

    flow: Flow
    come: anyio.Event = attrs.field(factory=anyio.Event)


class FlowControl:
    """The flows of one server, which has so many seats; 0 is no limit."""

    def __init__(self, store: Store, clock: Clock, seats: int) -> None:
        self._store, self._clock = store, clock
        self.levels = Levels(seats)
        self._seen: Revision = -1
        self._read_at: Revision = -1
        self._schemas: list[Doc] = []
        self._known: dict[object, Flow] = {}
        self._timer: TimerHandle | None = None

    def flow(self, user: User, call: HttpCall) -> Flow:
        """The flow of a request."""
        revision = self._store.revision
        if revision != self._seen:
            self.refresh()
        key: Hashable
        info, watches = call.info, "watch" in call.options
        if info is None:
            key = (user.name, user.groups, call.method, call.path)
        else:
            what = (info.group, info.plural, info.subresource, info.namespace)
            key = (user.name, user.groups, call.method, what, not info.name, watches)
        flow = self._known.get(key)
        if flow is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            flow = self._known[key] = self._find(user, verb_meant(call), info, call.path)
        return flow

    def refresh(self) -> None:
        """Takes over schemas and levels as they are stored now."""
        self._seen = self._store.revision
        changed = self._store.last_change(_RESOURCES)
        if changed == self._read_at:
            return
        schemas, levels = ({**mandatory(resource), **self._stored(resource)} for resource in _RESOURCES)
        now = self._clock.monotonic()
        self.levels.configure(levels.values(), now)
        known = [s for s in schemas.values() if s["spec"]["priorityLevelConfiguration"]["name"] in levels]
        self._schemas = sorted(known, key=lambda s: (s["spec"]["matchingPrecedence"], name_of(s)))
        self._known, self._read_at = {}, changed
        self._dispatch_all(now)

    def _stored(self, resource: str) -> Mapping[str, Doc]:
        return {entry.key[2]: entry.value for entry in self._store.scan((resource,))}

    def _find(self, user: User, verb: str, info: RequestInfo | None, path: str) -> Flow:
        schema = find(self._schemas, user, verb, info, path)
        level = self.levels.by_name[schema["spec"]["priorityLevelConfiguration"]["name"]]
        name = name_of(schema)
        headers: Headers = ()
        if uid := uid_of(schema):  # else there is no such object: the store has never been filled
            headers = (
                (b"x-kubernetes-pf-flowschema-uid", uid.encode()),
                (b"x-kubernetes-pf-prioritylevel-uid", level.uid),
            )
        who = distinguisher(schema, user, info)
        lists = verb in ("list", "watch") and not level.exempt
        return Flow(name, who, level, level.counts.setdefault(name, Counts()), headers, lists)

    def width(self, flow: Flow, call: HttpCall) -> int:
        """How many seats a request takes: more than one if it lists, or watches and wants the present state first."""
        info, options = call.info, call.options
        if not flow.lists or info is None:
            return 1
        resource = f"{info.plural}.{info.group}" if info.group else info.plural
        objects = self._store.size((resource, info.namespace) if info.namespace else (resource,))
        if objects <= OBJECTS_PER_SEAT:
            return 1
        verb = verb_meant(call)
        if (verb == "watch" and not truth(options, "sendInitialEvents")) or selected_name(verb, options):
            return 1
        try:
            limit = integer_option(options, "limit") or 0
        except ApiError:
            limit = 0  # the list itself will say what is wrong with it
        return list_width(objects, limit if verb == "list" else 0, flow.level.bounds.widest)

    def enter(self, flow: Flow, width: int) -> Seat | None:
        """Takes seats for a request if there are any."""
        level = flow.level
        queues = level.queues
        if queues.seats:
            self._meet(level, width)
        if not queues.enter(width):
            return None
        flow.counts.begin(width)
        return Seat(self, flow, width)

    async def wait(self, flow: Flow, width: int, seconds: float) -> Seat:
        """Takes seats when it is a request's turn, for which it waits no longer than that. Raises Refused."""
        level, counts, began = flow.level, flow.counts, self._clock.monotonic()
        turn = Turn(flow)
        waiter = level.queues.arrive(began, width, entropy_of(flow.schema, flow.distinguisher), turn)
        if waiter is None:
            raise self._refuse(flow, "queue-full" if level.queues.shape.queues else "concurrency-limit")
        counts.lengths.observe(len(waiter.queue.waiting))
        counts.waiting += 1
        counts.waiting_seats += width
        self._note(level, began)
        self._dispatch(level, began)
        if waiter.started is None:
            await self._stand(level, waiter, seconds)
        counts.waited(self._clock.monotonic() - began, executed=waiter.started is not None)
        if waiter.started is None:
            raise self._refuse(flow, "time-out")
        return Seat(self, flow, width, waiter)

    async def _stand(self, level: Level, waiter: Waiter, seconds: float) -> None:
        """Until it is the request's turn; or it is over, and the request out of its queue."""
        self._care()
        come: anyio.Event = waiter.tag.come
        timer = self._clock.call_later(seconds, come.set)
        try:
            await come.wait()
        except BaseException:
            if waiter.started is not None:
                self.leave(waiter.tag.flow, waiter.width, waiter)
            else:
                waiter.tag.flow.counts.rejected["cancelled"] += 1
            raise
        finally:
            timer.cancel()
            if waiter.started is None:
                self._give_up(level, waiter)

    def _give_up(self, level: Level, waiter: Waiter) -> None:
        now = self._clock.monotonic()
        level.queues.give_up(now, waiter)
        self._unqueue(waiter)
        self._left(level, now)

    def leave(self, flow: Flow, width: int, waiter: Waiter | None) -> None:
        """Gives seats back, those of `waiter` or the ones that were free. Only a `Seat` does that."""
        level = flow.level
        flow.counts.end(width)
        if waiter is not None:
            now = self._clock.monotonic()
            level.queues.finish(now, waiter)
            self._left(level, now)
            return
        level.queues.leave(width)
        if level.demand.value or level.retiring:
            self._left(level, self._clock.monotonic())

    def _refuse(self, flow: Flow, reason: str) -> Refused:
        flow.counts.rejected[reason] += 1
        flow.level.retry_after.refused(int(self._clock.now().timestamp()))
        return Refused(flow.level.retry_after.seconds)

    def _meet(self, level: Level, width: int) -> None:
        """Somebody comes while others are there: now it matters what is asked for."""
        now = self._clock.monotonic()
        if now - self.levels.adjusted >= PERIOD:
            self._adjust(now)
        queues = level.queues
        level.demand.note(now, queues.seats + queues.waiting_seats + width)

    def _note(self, level: Level, now: float) -> None:
        level.demand.note(now, level.queues.seats + level.queues.waiting_seats)

    def _left(self, level: Level, now: float) -> None:
        """Somebody has gone, and others may be let in."""
        self._note(level, now)
        if level.queues.waiting:
            self._dispatch(level, now)
        elif level.retiring and self.levels.retire():
            self._read_at = self._seen = -1

    def _dispatch(self, level: Level, now: float) -> None:
        for waiter in level.queues.dispatch(now):
            self._unqueue(waiter).begin(waiter.width)
            waiter.tag.come.set()

    def _unqueue(self, waiter: Waiter) -> Counts:
        counts: Counts = waiter.tag.flow.counts
        counts.waiting -= 1
        counts.waiting_seats -= waiter.width
        return counts

    def _dispatch_all(self, now: float) -> None:
        for level in self.levels.by_name.values():
            if level.queues.waiting:
                self._dispatch(level, now)

    def _adjust(self, now: float) -> None:
        """At the end of the last period, whenever that is noticed; periods follow each other without a gap."""
        whole = (now - self.levels.adjusted) // PERIOD * PERIOD
        due = self.levels.adjusted + whole
        self.levels.adjust(now)
        self.levels.adjusted = due
        self._dispatch_all(now)

    def _care(self) -> None:
        """While somebody waits limits are adjusted when they are due."""
        if self._timer is None:
            left = self.levels.adjusted + PERIOD - self._clock.monotonic()
            self._timer = self._clock.call_later(left, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        if now - self.levels.adjusted >= PERIOD:
            self._adjust(now)
        if any(level.queues.waiting for level in self.levels.by_name.values()):
            self._care()
