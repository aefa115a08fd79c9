"""Watchers that want the same and have seen the same share one reader.

A watcher costs a task, a wake-up and five generators for every event, most of which is repeated for each of a thousand
clients that watch the same collection. So one of them leads: it reads and encodes, and what it sends is written to its
followers as well, which sleep meanwhile. Nobody is held up by anybody: a follower whose connection is full, or
who has something of its own to say (a bookmark, its end), goes on by itself from where it was, with its own cursor into
the store's log, and joins again when it has caught up. A leader who cannot send, or leaves, sets its followers free.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from typing import Any, Protocol

import anyio
import attrs

from minik8s.api.request import WatchEvent, WatchStream
from minik8s.store.protocol import Revision


class Stream(Protocol):
    """The raw side of an HTTP answer: of one in chunks that has begun, but for `answer`, which is a whole one."""

    @property
    def ready(self) -> bool:
        """Whether the connection is open and takes more."""
        ...

    def write_now(self, data: bytes) -> None: ...

    def answer(self, send: Any, code: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Answers a request at once, whose ASGI `send` says which; False if that has to be done by `send`."""
        ...

    def abort(self) -> None:
        """Ends the connection in the middle of an answer."""
        ...


class Session(Protocol):
    """A watch as `WatchSession` keeps it. `key` is what it watches; `seen` is the last change it has told of."""

    @property
    def key(self) -> Hashable: ...
    @property
    def seen(self) -> Revision: ...
    def resume(self, after: Revision) -> None:
        """Goes on behind that revision."""
        ...

    @property
    def alone(self) -> bool:
        """Whether others must not read for it, nor it for others."""
        ...

    wake: Callable[[], object] | None
    """Called when the session has something of its own to say."""
    leave: Callable[[], object] | None
    """Called when the session can read for others no more."""
    begun: Callable[[], object]
    """Called when the present state has been sent, if it was asked for, and changes are what comes next."""


@attrs.define(eq=False)
class Follower:
    """A watcher for whom others write, up to and including the revision `seen`."""

    stream: Stream
    seen: Revision
    released: anyio.Event = attrs.field(factory=anyio.Event)


@attrs.define(eq=False)
class Group:
    """`leader` is the one who surely reads; all followers have seen everything up to `seen`."""

    leader: Session
    seen: Revision
    followers: set[Follower] = attrs.field(factory=set)

    def deliver(self, data: bytes, seen: Revision) -> None:
        """Sends everybody what happened between `self.seen` and `seen`."""
        frame = b"%x\r\n%b\r\n" % (len(data), data)
        full = [follower for follower in self.followers if not follower.stream.ready]
        for follower in full:
            self.release(follower)
        for follower in self.followers:
            follower.stream.write_now(frame)
        self.seen = seen

    def release(self, follower: Follower) -> None:
        """Lets a follower go on by itself."""
        if follower in self.followers:
            self.followers.remove(follower)
            follower.seen = self.seen
            follower.released.set()

    def dissolve(self) -> None:
        for follower in list(self.followers):
            self.release(follower)


class Fanout:
    """The groups of one server."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, Group] = {}

    async def lines(
        self,
        session: Session,
        events: WatchStream,
        encode: Callable[[list[WatchEvent]], bytes],
        stream: Stream,
        count: Callable[[int], object] = int,
    ) -> AsyncIterator[bytes]:
        """What a watcher has to send itself; what others write for it does not appear here.

        `count` is told how many events were sent to whomsoever.
        """
        seen = session.seen
        session.leave = lambda: self._abdicate(session)
        try:
            async for batch in events:
                data = encode(batch)
                count(len(batch) * (1 + self._share(session, seen, data, stream)))
                yield data
                seen = session.seen
                group = self._groups.get(session.key)
                if group is not None and group.leader is not session and group.seen == seen and not session.alone:
                    await _follow(group, session, stream)
                    seen = session.seen
        finally:
            self._abdicate(session)

    def _share(self, session: Session, before: Revision, data: bytes, stream: Stream) -> int:
        """Leads if nobody does. Whoever comes first with the next batch delivers it to the followers: how many."""
        followers = 0
        if session.alone:
            return followers
        group = self._groups.get(session.key)
        if group is None:
            self._groups[session.key] = Group(session, session.seen)
        elif before == group.seen and session.seen != before:
            group.deliver(data, session.seen)
            followers = len(group.followers)
        if not stream.ready:
            self._abdicate(session)
        return followers

    def _abdicate(self, session: Session) -> None:
        group = self._groups.get(session.key)
        if group is not None and group.leader is session:
            del self._groups[session.key]
            group.dissolve()


async def _follow(group: Group, session: Session, stream: Stream) -> None:
    """Sleeps while others write; afterwards the session goes on from there."""
    follower = Follower(stream, group.seen)
    group.followers.add(follower)
    session.wake = lambda: group.release(follower)
    try:
        await follower.released.wait()
    finally:
        session.wake = None
        group.release(follower)
    session.resume(follower.seen)
