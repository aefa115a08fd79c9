"""Faults at the server's door, declared by a test: what can go wrong between a client and an API server.

    with cluster.faults.refuse(409, verb="update", resource="deployments.apps", times=2):
        ...                                   # whoever updates Deployments has to cope with two conflicts

    cluster.faults.lose_answer(verb="create", resource="jobs.batch", times=1)    # it is stored, the client is not told

A fault lasts until its context ends, or for the cluster's life without one. One that never fired is an error: the test
did not test what it says. Which requests are meant is `interception.Where`; chances are drawn from the cluster's seed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs
from attrs.validators import ge, gt, le, optional

from minik8s.api.request import ApiRequest, WatchEvent, WatchStream
from minik8s.api.resources import MUTATING_WEBHOOK_CONFIGURATIONS, VALIDATING_WEBHOOK_CONFIGURATIONS
from minik8s.apiserver.interception import Proceed, Where, where_of
from minik8s.apiserver.response import ApiResponse, WatchResponse
from minik8s.apiserver.webhooks import WebhookAnswer
from minik8s.machinery.errors import ApiError, Conflict, Timeout
from minik8s.machinery.suggest import unknown

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext
    from minik8s.apiserver.watching import WatchSession

Act = Callable[[ApiRequest, Proceed], Awaitable[ApiResponse]]
Inside = Callable[[Callable[[], object]], object]


def _at_once(act: Callable[[], object]) -> object:
    return act()


WebhookFault = Literal["refuse", "timeout", "nonsense"]
_WEBHOOKS: dict[str, WebhookAnswer] = {
    "refuse": ConnectionRefusedError(),
    "timeout": TimeoutError(),
    "nonsense": (200, b"<html>It works!</html>"),
}
"""What comes of the call."""
_HOW_OFTEN = ("times", "after", "probability")
_LOST = "the server was unable to return a response in the time allotted, but may still be processing the request"


class FaultNeverFired(AssertionError):
    """A declared fault met no request."""


class Stall:
    """Open watches that are held back: a context manager that lets them go."""

    def __init__(self, sessions: Sequence[WatchSession], inside: Inside) -> None:
        self._sessions, self._inside = sessions, inside

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.heal()

    def heal(self) -> None:
        """Lets the watches tell again what there is as it comes."""
        for session in self._sessions:
            self._inside(partial(session.hold, 0))


@attrs.define(eq=False)
class Fault:
    """One declared fault; a context manager that takes it back. `fired` counts the requests that it met.

    `where` and `act` are None for one that meets no requests, but calls of webhooks.

    times       how often it fires at most; None is without end
    after       how many matching requests are spared first
    probability chance to fire for each request that is not spared
    """

    faults: RequestFaults
    what: str
    where: Where | None
    act: Act | None
    times: int | None = attrs.field(default=None, validator=optional(ge(1)))
    after: int = attrs.field(default=0, validator=ge(0))
    probability: float = attrs.field(default=1.0, validator=[gt(0), le(1)])
    fired: int = 0
    seen: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.faults.remove(self)
        if error is None and not self.fired:
            met = "matching requests" if self.where else "calls"
            raise FaultNeverFired(f"{self} never fired: {self.seen} {met}")

    def fires(self, chance: Callable[[], float]) -> bool:
        """Whether it meets this matching request; counts it."""
        self.seen += 1
        if self.seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        if self.probability < 1.0 and chance() >= self.probability:
            return False
        self.fired += 1
        return True

    def __str__(self) -> str:
        return f"fault {self.what!r}" + (f" on {self.where}" if self.where else "")


class RequestFaults:
    """The declared faults of one server: the part of `cluster.faults` that concerns requests."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._faults: list[Fault] = []
        self.inside: Inside = _at_once
        """How what wakes tasks is called: in the cluster's loop, which may run in another thread."""

    def refuse(self, code: int, *, message: str = "", retry_after: int = 0, **options: Any) -> Fault:
        """Answers with a failure: any code of 400 or above. `retry_after` (seconds) makes most clients try again.

        Raises ValueError for a code that is no failure.
        """
        if not 400 <= code <= 599:
            raise ValueError(f"{code} is no failure; a refusal has a code from 400 to 599")

        async def act(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            raise _failure(code, message, retry_after, request)

        return self._declare(f"refuse {code}", act, options)

    def delay(self, seconds: float, **options: Any) -> Fault:
        """Lets the request wait at the door, on the cluster's clock."""

        async def act(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            await self._ctx.clock.sleep(seconds)
            return await proceed(request)

        return self._declare(f"delay {seconds:g} s", act, options)

    def lose_answer(self, **options: Any) -> Fault:
        """Carries the request out, and then answers 504 as if it had taken too long."""

        async def act(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            response = await proceed(request)
            if isinstance(response, WatchResponse):
                response.close()
            raise Timeout(_LOST)

        return self._declare("lose the answer", act, options)

    def stale(self, revisions: int, **options: Any) -> Fault:
        """Answers lists as they were so many revisions ago, as an API server's cache that is behind does."""

        async def act(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            store = self._ctx.store
            oldest = store.statistics().compacted
            if "continue" not in request.options and store.revision - revisions > oldest:
                past = {"resourceVersion": str(store.revision - revisions), "resourceVersionMatch": "Exact"}
                request = attrs.evolve(request, options={**request.options, **past})
            return await proceed(request)

        return self._declare(f"{revisions} revisions stale", act, {"verb": "list", **options})

    def stall_watches(self, seconds: float, **options: Any) -> Fault:
        """Holds back what watches that begin now have to tell; no event is lost."""

        async def act(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            response = await proceed(request)
            if isinstance(response, WatchResponse):
                response.events, response.session = self._late(response.events, seconds), None
            return response

        return self._declare(f"stall {seconds:g} s", act, {"verb": "watch", **options})

    def drop_watches(self, resource: str = "", **where: Any) -> int:
        """Ends the open watches that are meant (all by default) as a broken connection would; how many there were.

        `where` as in `Where`: namespace, user, agent. Raises FaultNeverFired when no such watch is open.
        """
        ended = self._open(resource, where)
        for session in ended:
            self.inside(session.close)
        return len(ended)

    def stall_open_watches(self, seconds: float, resource: str = "", **where: Any) -> Stall:
        """Holds back what watches that are open now have to tell, each batch for so long; no event is lost.

        Lasts until its context ends or `heal`. Raises FaultNeverFired when no such watch is open.
        """
        stalled = self._open(resource, where)
        for session in stalled:
            self.inside(partial(session.hold, seconds))
        return Stall(stalled, self.inside)

    def withhold_bookmarks(self, **options: Any) -> Fault:
        """Keeps bookmarks from watches that begin now: their clients do not learn how far they are in quiet times.

        The one that ends the initial events of a watch list is told all the same: no server leaves that out.
        """

        async def act(request: ApiRequest, proceed: Proceed) -> ApiResponse:
            response = await proceed(request)
            if isinstance(response, WatchResponse):
                response.events, response.session = _without_bookmarks(response.events), None
            return response

        return self._declare("withhold bookmarks", act, {"verb": "watch", **options})

    def fail_webhook(self, name: str, how: WebhookFault = "refuse", *, times: int | None = None) -> Fault:
        """Has calls of an admission webhook fail, by its name: nobody listens ("refuse"), nobody answers before its
        timeout ("timeout"), or something answers nonsense ("nonsense"). Its failure policy says what that means.

        Raises ValueError for a webhook that no configuration has.
        """
        if how not in _WEBHOOKS:
            raise ValueError(f"a webhook can fail by {', '.join(_WEBHOOKS)}, not by {how!r}")
        kinds = (VALIDATING_WEBHOOK_CONFIGURATIONS, MUTATING_WEBHOOK_CONFIGURATIONS)
        configured = [hook for kind in kinds for found in self._ctx.world.list(kind) for hook in found["webhooks"]]
        if name not in [hook["name"] for hook in configured]:
            raise ValueError(unknown("webhook", name, [hook["name"] for hook in configured]))

        fault = Fault(self, f"{how} calls of webhook {name}", None, None, times)
        self._faults.append(fault)

        async def fail(called: str, timeout: float) -> WebhookAnswer | None:
            if called != name or not fault.fires(self._ctx.rng.random):
                return None
            if how == "timeout":
                await self._ctx.clock.sleep(timeout)
            return _WEBHOOKS[how]

        self._ctx.webhooks.faults[fault] = fail
        return fault

    async def compact(self) -> None:
        """Forgets all history: watches and lists that go on from the past get 410 Gone."""
        await self._ctx.store.compact(self._ctx.store.revision)

    @property
    def unfired(self) -> list[Fault]:
        """The faults that met no request so far."""
        return [fault for fault in self._faults if not fault.fired]

    def remove(self, fault: Fault) -> None:
        """Takes a fault back; harmless when that has been done."""
        if fault in self._faults:
            self._faults.remove(fault)
        self._ctx.webhooks.faults.pop(fault, None)
        if not self._faults and self._intercept in self._ctx.interceptors:
            self._ctx.interceptors.remove(self._intercept)

    def verify(self) -> None:
        """Raises FaultNeverFired when a fault met no request; those are taken back, and so told once."""
        if unfired := self.unfired:
            for fault in unfired:
                self.remove(fault)
            raise FaultNeverFired(f"{'; '.join(map(str, unfired))}: never fired")

    def _declare(self, what: str, act: Act, options: dict[str, Any]) -> Fault:
        own = {key: options.pop(key) for key in _HOW_OFTEN if key in options}
        fault = Fault(self, what, where_of(self._ctx, options, *_HOW_OFTEN), act, **own)
        self._faults.append(fault)
        if self._intercept not in self._ctx.interceptors:
            self._ctx.interceptors.append(self._intercept)
        return fault

    async def _intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        """The first fault that fires has the request."""
        for fault in list(self._faults):
            if fault.where is None or fault.act is None or not fault.where.matches(request):
                continue
            if fault.fires(self._ctx.rng.random):
                return await fault.act(request, proceed)
        return await proceed(request)

    def _open(self, resource: str, where: dict[str, Any]) -> list[WatchSession]:
        """The open watches that are meant, at least one."""
        chosen = where_of(self._ctx, {"verb": "watch", "resource": resource, **where})
        found = [s for s in list(self._ctx.sessions) if s.is_open and chosen.matches(s.request)]
        if not found:
            raise FaultNeverFired(f"no watch is open that would be meant by {chosen}")
        return sorted(found, key=lambda session: session.number)

    async def _late(self, events: WatchStream, seconds: float) -> AsyncIterator[list[WatchEvent]]:
        try:
            async for batch in events:
                await self._ctx.clock.sleep(seconds)
                yield batch
        finally:
            await events.aclose()  # type: ignore[attr-defined]


async def _without_bookmarks(events: WatchStream) -> AsyncIterator[list[WatchEvent]]:
    try:
        async for batch in events:
            told = [e for e in batch if e.type != "BOOKMARK" or "annotations" in e.object["metadata"]]
            if told:
                yield told
    finally:
        await events.aclose()  # type: ignore[attr-defined]


def _failure(code: int, message: str, retry_after: int, request: ApiRequest) -> ApiError:
    resource = request.resource
    if code == 409 and not message:
        return Conflict.modified(resource.plural, resource.group, request.name)
    status = {"message": message or f"injected fault: {code}", "code": code}
    error = ApiError.from_status(status)
    error.name, error.kind, error.group, error.retry_after = request.name, resource.plural, resource.group, retry_after
    return error
