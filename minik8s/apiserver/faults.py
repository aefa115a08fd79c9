"""Faults at the server's door, declared by a test: what can go wrong between a client and an API server.

    with cluster.faults.refuse(409, verb="update", resource="deployments.apps", times=2):
        ...                                   # whoever updates Deployments has to cope with two conflicts

    cluster.faults.lose_answer(verb="create", resource="jobs.batch", times=1)    # it is stored, the client is not told

A fault lasts until its context ends, or for the cluster's life without one. One that never fired is an error: the test
did not test what it says. Which requests are meant is `interception.Where`; chances are drawn from the cluster's seed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import attrs

from minik8s.api.request import ApiRequest, WatchEvent, WatchStream
from minik8s.apiserver.interception import Proceed, Where
from minik8s.apiserver.response import ApiResponse, WatchResponse
from minik8s.machinery.errors import ApiError, Conflict, Timeout

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

Act = Callable[[ApiRequest, Proceed], Awaitable[ApiResponse]]
_LOST = "the server was unable to return a response in the time allotted, but may still be processing the request"


class FaultNeverFired(AssertionError):
    """A declared fault met no request."""


@attrs.define(eq=False)
class Fault:
    """One declared fault; a context manager that takes it back. `fired` counts the requests that it met.

    times       how often it fires at most; None is without end
    after       how many matching requests are spared first
    probability chance to fire for each request that is not spared
    """

    faults: Faults
    what: str
    where: Where
    act: Act
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    fired: int = 0
    seen: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.faults.remove(self)
        if error is None and not self.fired:
            raise FaultNeverFired(f"{self} never fired: {self.seen} matching requests")

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
        return f"fault {self.what!r} on {self.where}"


class Faults:
    """The declared faults of one server, `cluster.faults`."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._faults: list[Fault] = []

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

    def drop_watches(self, resource: str = "") -> int:
        """Ends the open watches of a resource (all by default) as a broken connection would; how many there were."""
        ended = [s for s in list(self._ctx.sessions) if resource in ("", s.resource.group_resource)]
        for session in ended:
            session.close()
        return len(ended)

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
        if not self._faults and self._intercept in self._ctx.interceptors:
            self._ctx.interceptors.remove(self._intercept)

    def verify(self) -> None:
        """Raises FaultNeverFired when a fault met no request."""
        if unfired := self.unfired:
            raise FaultNeverFired(f"{'; '.join(map(str, unfired))}: never fired")

    def _declare(self, what: str, act: Act, options: dict[str, Any]) -> Fault:
        own = {key: options.pop(key) for key in ("times", "after", "probability") if key in options}
        fault = Fault(self, what, Where(**options), act, **own)
        self._faults.append(fault)
        if self._intercept not in self._ctx.interceptors:
            self._ctx.interceptors.append(self._intercept)
        return fault

    async def _intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        """The first fault that fires has the request."""
        for fault in list(self._faults):
            if fault.where.matches(request) and fault.fires(self._ctx.rng.random):
                return await fault.act(request, proceed)
        return await proceed(request)

    async def _late(self, events: WatchStream, seconds: float) -> AsyncIterator[list[WatchEvent]]:
        try:
            async for batch in events:
                await self._ctx.clock.sleep(seconds)
                yield batch
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
