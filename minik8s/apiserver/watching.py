"""watch: what is, then what happens, in order and without gaps.

The session below is a reader of the store's log. Its timers (bookmarks, the stream's own end) only poke it, so
that it looks at its flags between two batches; nothing runs per watcher while nothing happens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from itertools import count
from typing import Any

import attrs

from minik8s.api.request import ApiRequest, WatchEvent
from minik8s.api.resource import Resource
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.options import check_list_options, integer_option, truth, watch_errors
from minik8s.apiserver.reading import parse_version, too_large
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import WatchResponse
from minik8s.apiserver.selection import Selection, selection
from minik8s.clock import TimerHandle
from minik8s.machinery.errors import ApiError, BadRequest, Expired, unexplained
from minik8s.machinery.meta import Doc, Obj, evolve
from minik8s.store.protocol import Change, Compacted, Entry, Revision

BOOKMARK_SECONDS = 60.0
_numbers = count()
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@attrs.frozen
class WatchOptions:
    """How a watch begins: `after` is None when the present state comes first. `timeout` is in seconds."""

    after: Revision | None
    bookmarks: bool
    mark_initial: bool
    timeout: float


def watch_options(ctx: ServerContext, request: ApiRequest) -> WatchOptions:
    """Raises Invalid or BadRequest."""
    options = request.options
    check_list_options(watch_errors(options))
    streaming = truth(options, "sendInitialEvents")
    revision = _revision(options.get("resourceVersion", ""))
    from_now = "sendInitialEvents" in options and not streaming
    if streaming and revision > ctx.store.revision:
        raise too_large(revision, ctx.store.revision)
    after: Revision | None = revision
    if streaming or (not from_now and revision == 0):
        after = None
    elif from_now and revision == 0:
        after = ctx.store.revision
    timeout = integer_option(options, "timeoutSeconds")
    return WatchOptions(
        after=after,
        bookmarks=truth(options, "allowWatchBookmarks"),
        mark_initial=streaming,
        timeout=timeout if timeout else ctx.rng.uniform(1800, 3600),
    )


def _revision(text: str) -> Revision:
    """Where to begin; a version that is no number is a 500 here, and only here, as upstream has it."""
    try:
        return parse_version(text)
    except BadRequest as error:
        raise unexplained(error.message.removeprefix("invalid resource version: ")) from None


async def watch(ctx: ServerContext, served: Served, request: ApiRequest) -> WatchResponse:
    """A stream of events; see WatchOptions for where it begins."""
    options = watch_options(ctx, request)
    session = WatchSession(ctx, selection(served, request), options, request)
    ctx.sessions.add(session)
    return WatchResponse(session.events(), served.resource, session.close, session=session)


class WatchSession:
    """One watcher's state between two batches."""

    def __init__(self, ctx: ServerContext, chosen: Selection, options: WatchOptions, request: ApiRequest) -> None:
        self._ctx, self._chosen, self._options = ctx, chosen, options
        self.request = request
        self.number = next(_numbers)
        """Counts the watches of the process: an order for those who look for some."""
        self.delay = 0.0
        self._served = chosen.served
        after = ctx.store.revision if options.after is None else options.after
        self.seen = after
        self.wake: Callable[[], object] | None = None
        self.leave: Callable[[], object] | None = None
        self.begun: Callable[[], object] = _nothing
        self._watch = ctx.store.watch(chosen.prefix, after=after, term=chosen.term)
        self._bookmark_due = False
        self._ended = False
        self._timers: list[TimerHandle] = []

    @property
    def key(self) -> Hashable:
        """Equal for watchers that are told the same about every change; None when nobody else is."""
        shared = self._chosen.is_everything and self._served.shares_bytes
        return (self._chosen.prefix, self._chosen.term) if shared else None

    @property
    def resource(self) -> Resource[Any]:
        """What is watched."""
        return self._served.resource

    @property
    def alone(self) -> bool:
        """Whether its reader is not to be shared: it is held back."""
        return self.delay > 0

    @property
    def is_open(self) -> bool:
        return not self._ended

    @property
    def behind(self) -> int:
        """How many changes its client has not been told of, unless another reads for it."""
        return self._watch.behind if self.wake is None else 0

    def hold(self, seconds: float) -> None:
        """Tells each batch so much later from now on; 0 ends that."""
        self.delay = seconds
        for part in (self.leave, self.wake):
            if part is not None:
                part()

    def resume(self, after: Revision) -> None:
        """Goes on behind `after`: what lies before has been told by somebody else."""
        self.seen = after
        self._watch.seek(after)

    def close(self) -> None:
        """Ends the stream; harmless when it has ended."""
        self._ended = True
        for timer in self._timers:
            timer.cancel()
        self._watch.close()

    async def events(self) -> AsyncIterator[list[WatchEvent]]:
        """Batches, none empty."""
        clock, options = self._ctx.clock, self._options
        try:
            self._timers.append(clock.call_later(options.timeout, self.end))
            if options.after is None and (batch := await self._initial()):
                yield batch
            self.begun()
            if options.bookmarks:
                self._schedule_bookmark()
            async for changes in self._watch:
                if self.delay:
                    await clock.sleep(self.delay)
                if changes:
                    if self._served.is_remote:
                        await self._served.ready(_documents(changes))
                    if batch := self._translate(changes):
                        yield batch
                elif self._bookmark_due:
                    self._schedule_bookmark()
                    yield [self._bookmark(self._ctx.store.revision)]
                if self._ended:
                    break
            if options.bookmarks and self._ended:
                yield [self._bookmark(self._ctx.store.revision)]
        except ApiError as error:
            yield [WatchEvent("ERROR", error.to_status())]
        except Compacted as error:
            status = Expired(f"too old resource version: {error.asked} ({error.oldest})").to_status()
            yield [WatchEvent("ERROR", status)]
        finally:
            self.close()

    async def _initial(self) -> list[WatchEvent]:
        chosen = self._chosen
        page = await self._ctx.store.range(chosen.prefix, at=self.seen, term=chosen.term)
        await self._served.ready([entry.value for entry in page.entries])
        events = [self._event("ADDED", entry) for entry in page.entries if chosen.matches(entry.value)]
        if self._options.bookmarks:
            events.append(self._bookmark(page.revision, initial=self._options.mark_initial))
        return events

    def _translate(self, changes: Sequence[Change]) -> list[WatchEvent]:
        events = []
        for change in changes:
            if change.revision > self.seen and (event := self._of_change(change)):
                events.append(event)
        self.seen = max(self.seen, changes[-1].revision)
        return events

    def _of_change(self, change: Change) -> WatchEvent | None:
        """What a change is to this watcher: an object may come into view or leave it."""
        if self._chosen.is_everything:
            return self._shared(change)
        now = not change.deleted and self._chosen.matches(change.entry.value)
        before = change.old is not None and self._chosen.matches(change.old.value)
        if now:
            return self._shared(change) if before else self._event("ADDED", change.entry)
        if not before or change.old is None:
            return None
        if change.deleted:
            return self._shared(change)
        gone = self._served.view(change.old.value)
        return WatchEvent("DELETED", evolve(gone, "metadata", "resourceVersion", value=str(change.revision)))

    def _shared(self, change: Change) -> WatchEvent:
        """The change's event as everybody sees it, made once."""
        if not self._served.shares_bytes:
            return self._event(_plain_type(change), change.entry)
        event: WatchEvent | None = change.memo
        if event is None:
            event = change.memo = WatchEvent(_plain_type(change), change.entry.value, change.entry)
        return event

    def _event(self, type_: Any, entry: Entry) -> WatchEvent:
        return WatchEvent(type_, self._served.view(entry.value), self._served.source(entry))

    def _bookmark(self, revision: Revision, *, initial: bool = False) -> WatchEvent:
        resource = self._served.resource
        metadata: Obj = {"resourceVersion": str(revision)}
        if initial:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        doc: Doc = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        return WatchEvent("BOOKMARK", dict(doc))

    def _schedule_bookmark(self) -> None:
        self._bookmark_due = False
        self._timers[1:] = [self._ctx.clock.call_later(BOOKMARK_SECONDS, self._due)]

    def _due(self) -> None:
        self._bookmark_due = True
        self._poke()

    def end(self) -> None:
        """Ends the stream after what has happened so far."""
        self._ended = True
        self._poke()

    def _poke(self) -> None:
        self._watch.poke()
        if self.wake is not None:
            self.wake()


def _nothing() -> None:
    """Nobody wants to know."""


def _documents(changes: Sequence[Change]) -> list[Obj]:
    """The stored documents that somebody may have to see."""
    old = [change.old.value for change in changes if change.old is not None]
    return [*old, *(change.entry.value for change in changes)]


def _plain_type(change: Change) -> Any:
    if change.deleted:
        return "DELETED"
    return "ADDED" if change.old is None else "MODIFIED"
