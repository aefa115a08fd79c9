"""What a store promises. etcd's promises, in the shape the API server needs.

1. One revision for the whole store. Every successful write raises it by one; no two writes share one.
2. Compare and swap: a write with `expect` succeeds only if the key's modified revision is that one
   (0: the key must not exist), else it raises `RevisionMismatch` and changes nothing.
3. `range` is a consistent snapshot: all keys as of one revision, also of a past one that is not compacted.
4. A watch delivers every change with a revision above `after` that concerns its prefix, exactly once, in
   order of revision, whatever the reader's speed; a reader that history has left behind is told `Compacted`.
5. No writer ever waits for a reader.
6. The store never looks into a value. What depends on a value's content (its text form, the revision inside
   it, the words it can be found by) is asked of the `ValueCodec` that the store is made with.
7. An entry's encoded bytes are made once, when first asked for, and shared by everybody.

Keys are `(resource, namespace, name)`, ordered by those parts; a prefix is the first parts of a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

import attrs

Revision: TypeAlias = int
Key: TypeAlias = tuple[str, str, str]
"""`("pods", "default", "web")`, `("deployments.apps", …)`; the namespace is "" for cluster-scoped kinds."""
Prefix: TypeAlias = tuple[str, ...]
"""`()` everything, `(resource,)` all of a kind, `(resource, namespace)` all of a kind in a namespace, a whole key."""
Term: TypeAlias = tuple[str, str]
"""A property of values and the word for it that is looked for, such as `("spec.nodeName", "node-1")`."""
Value: TypeAlias = Any


class StoreError(Exception):
    """Base of what a store raises."""


class RevisionMismatch(StoreError):
    """Compare-and-swap failed; `actual` is the key's modified revision, 0 when it does not exist."""

    def __init__(self, key: Key, expected: Revision, actual: Revision) -> None:
        super().__init__(f"{'/'.join(key)}: expected revision {expected}, found {actual}")
        self.key, self.expected, self.actual = key, expected, actual


class Compacted(StoreError):
    """History no longer reaches back to the revision asked for; `oldest` is the first one still known."""

    def __init__(self, asked: Revision, oldest: Revision) -> None:
        super().__init__(f"revision {asked} has been compacted; the oldest is {oldest}")
        self.asked, self.oldest = asked, oldest


class FutureRevision(StoreError):
    """A range at a revision that has not been written yet."""

    def __init__(self, asked: Revision, current: Revision) -> None:
        super().__init__(f"revision {asked} is in the future; the current one is {current}")
        self.asked, self.current = asked, current


class ValueCodec(Protocol):
    """What a store may ask about a value without knowing what it is."""

    def stamp(self, value: Value, revision: Revision) -> Value:
        """The value as it is read back when it was written at `revision`; may be a new object."""
        ...

    def encode(self, value: Value) -> bytes:
        """The value's text form."""
        ...

    def word(self, key: Key, value: Value, property: str) -> str | None:
        """What the value has for a property that it may be looked for by; None when it has no such property."""
        ...


@attrs.define(eq=False)
class Entry:
    """A key's state as of one write. Immutable but for `encoded`, which remembers its result, and `message`, where
    readers keep another encoding that they made of the value.
    """

    key: Key
    value: Value
    created: Revision
    modified: Revision
    _codec: ValueCodec
    _encoded: bytes | None = None
    message: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """The value's bytes, made on first use."""
        if self._encoded is None:
            self._encoded = self._codec.encode(self.value)
        return self._encoded


@attrs.define(eq=False)
class Change:
    """One write. `entry` is the state it made; for a deletion the last state stamped with the deletion's revision.

    `old` is the state before, None when the key did not exist. Immutable but for `memo`, where readers keep what
    they derive from the change, so that a thousand of them derive it once.
    """

    revision: Revision
    entry: Entry
    old: Entry | None
    deleted: bool
    memo: Any = None
    origin: Any = None
    """What ORIGIN said when it was written."""


@attrs.frozen(eq=False)
class Page:
    """A part of a range. `after` is the cursor for the next page, None on the last; `remaining` counts what follows."""

    entries: list[Entry]
    revision: Revision
    after: tuple[str, str] | None
    remaining: int


@attrs.frozen
class StoreStatistics:
    """Counters since the store was made, and its size now."""

    revision: Revision
    compacted: Revision
    keys: int
    watchers: int
    writes: int
    log_length: int


class Watch(Protocol):
    """Batches of changes in order. Raises Compacted when history has left the reader behind.

    Waiting may be cancelled and taken up again without a loss. The iteration ends when the watch or the store is
    closed. A batch is empty only after `poke`, which lets a reader look at its own clock.
    """

    def __aiter__(self) -> Watch: ...

    async def __anext__(self) -> list[Change]: ...

    @property
    def behind(self) -> int:
        """How many changes wait to be read."""
        ...

    def seek(self, after: Revision) -> None:
        """The next batch begins behind `after`; not while somebody waits for one."""
        ...

    def poke(self) -> None:
        """Makes the pending or next wait return an empty batch."""
        ...

    def close(self) -> None: ...


class Store(Protocol):
    """See the module's docstring for the promises."""

    @property
    def revision(self) -> Revision:
        """The revision of the newest write."""
        ...

    async def get(self, key: Key) -> Entry | None: ...

    def peek(self, key: Key) -> Entry | None:
        """`get` without suspending, possibly from a cache that lags: what admission looks at."""
        ...

    def scan(self, prefix: Prefix, *, term: Term | None = None) -> list[Entry]:
        """`range` without suspending, possibly from a cache that lags."""
        ...

    def occupied(self, resource: str) -> bool:
        """Whether anything is stored under a resource; asked in every write, so it costs a look-up."""
        ...

    def when_occupied(self, resource: str, wake: Callable[[], object]) -> Revision | None:
        """Calls `wake`, once, right after the first entry of the resource was put; answers the revision of now.

        None, and no call, if there is an entry already.
        """
        ...

    def last_change(self, resources: Iterable[str]) -> Revision:
        """The revision of the newest write to one of these resources, 0 before the first; lags no more than `peek`."""
        ...

    def changes(self, resource: str, after: Revision) -> list[Change]:
        """What has happened under a resource above `after`, without waiting for more. Raises Compacted."""
        ...

    async def range(
        self,
        prefix: Prefix,
        *,
        at: Revision | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
        term: Term | None = None,
    ) -> Page:
        """Entries under a prefix that names a resource, in order of (namespace, name).

        `after` is an exclusive (namespace, name) cursor. `term` keeps only entries that have it. Raises
        Compacted or FutureRevision when `at` is out of reach.
        """
        ...

    async def put(self, key: Key, value: Value, *, expect: Revision | None = None) -> Entry:
        """Writes. `expect=0`: must not exist; `None`: whatever is there. Raises RevisionMismatch."""
        ...

    async def delete(self, key: Key, *, expect: Revision | None = None) -> Entry | None:
        """Removes; returns the final entry (stamped with the deletion's revision), None if there was none."""
        ...

    def watch(self, prefix: Prefix, *, after: Revision, term: Term | None = None) -> Watch:
        """Every change above `after` that concerns the prefix and, if given, whose old or new entry has `term`."""
        ...

    async def compact(self, through: Revision) -> None:
        """Forgets history up to and including `through`; current values stay."""
        ...

    def sizes(self) -> dict[str, int]:
        """How many objects there are of each resource that there are any of."""
        ...

    def size(self, prefix: Prefix) -> int:
        """The same under a prefix that names a resource and perhaps a namespace, without looking at objects."""
        ...

    def statistics(self) -> StoreStatistics: ...

    async def aclose(self) -> None:
        """Ends all watches."""
        ...
