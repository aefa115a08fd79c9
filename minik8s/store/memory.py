"""The store in memory: dictionaries for what is, logs for what happened.

Shape: resource -> namespace -> name -> Entry, with a name list that is sorted when somebody lists. Every
resource has a log; a namespace or a term has one of its own while somebody watches it, so that a writer wakes
only those whom its change concerns. No method suspends, so each call is a transaction; callers still
write compare-and-swap loops, because another implementation may stand behind the same protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import anyio

from minik8s.machinery.causes import ORIGIN
from minik8s.store.log import ChangeLog
from minik8s.store.protocol import (
    Change,
    Compacted,
    Entry,
    FutureRevision,
    Key,
    Page,
    Prefix,
    Revision,
    RevisionMismatch,
    StoreStatistics,
    Term,
    Value,
    ValueCodec,
)
from minik8s.store.tables import Table

DEFAULT_HISTORY = 10_000
"""Changes that a log keeps at least."""


class MemoryStore:
    """A `Store` (see protocol.py for the promises) that lives and dies with the process."""

    def __init__(self, codec: ValueCodec, *, history: int = DEFAULT_HISTORY) -> None:
        self._codec = codec
        self._history = history
        self._revision: Revision = 0
        self._floor: Revision = 0
        self._tables: dict[str, Table] = {}
        self._watched: dict[tuple[Prefix, Term | None], ChangeLog] = {}
        self._properties: Counter[str] = Counter()
        """Those by which somebody watches, and how many of the logs that are."""
        self._awaited: dict[str, list[Callable[[], object]]] = {}
        self._writes = 0
        self.closed = False

    def adopt(self, codec: ValueCodec, history: int) -> None:
        """Has `codec` encode and index from now on: a store that was forked or loaded begins a life of its own."""
        self._codec, self._history = codec, history
        for table in self._tables.values():
            table.adopt(codec)

    def fork(self) -> MemoryStore:
        """A store with the same entries, revision and history, which shares every value with this one."""
        branch = MemoryStore(self._codec, history=self._history)
        branch._revision, branch._floor = self._revision, self._floor
        for name, table in self._tables.items():
            branch._tables[name] = table.copy(self._codec)
        return branch

    def restore(self, entries: Iterable[tuple[Key, Value, Revision, Revision]], revision: Revision) -> None:
        """Fills an empty store: (key, value, created, modified); what was before `revision` is compacted."""
        for key, value, created, modified in entries:
            entry = Entry(key, value, created, modified, self._codec)
            table = self._table(key[0])
            table.put(entry, None)
            table.changed = max(table.changed, modified)
        self._revision = self._floor = revision
        for table in self._tables.values():
            table.log.trim(revision)

    @property
    def revision(self) -> Revision:
        return self._revision

    def peek(self, key: Key) -> Entry | None:
        table = self._tables.get(key[0])
        return table.get(key) if table else None

    def scan(self, prefix: Prefix, *, term: Term | None = None) -> list[Entry]:
        table = self._tables.get(prefix[0])
        if table is None:
            return []
        return list(self._entries(table, prefix, self._revision, None, term))

    def occupied(self, resource: str) -> bool:
        table = self._tables.get(resource)
        return table is not None and bool(table.spaces)

    def when_occupied(self, resource: str, wake: Callable[[], object]) -> Revision | None:
        if self.occupied(resource):
            return None
        self._awaited.setdefault(resource, []).append(wake)
        return self._revision

    def last_change(self, resources: Iterable[str]) -> Revision:
        newest = 0
        for resource in resources:
            table = self._tables.get(resource)
            if table is not None and table.changed > newest:
                newest = table.changed
        return newest

    def changes(self, resource: str, after: Revision) -> list[Change]:
        table = self._tables.get(resource)
        return table.log.since(after) if table else []

    async def get(self, key: Key) -> Entry | None:
        return self.peek(key)

    async def range(
        self,
        prefix: Prefix,
        *,
        at: Revision | None = None,
        after: tuple[str, str] | None = None,
        limit: int | None = None,
        term: Term | None = None,
    ) -> Page:
        revision = self._revision if at is None else at
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision < self._floor:
            raise Compacted(revision, self._floor)
        table = self._tables.get(prefix[0])
        if table is None:
            return Page([], revision, None, 0)
        entries = self._entries(table, prefix, revision, after, term)
        if not limit:
            return Page(list(entries), revision, None, 0)
        found = list(entries)
        page, rest = found[:limit], len(found) - limit
        cursor = (page[-1].key[1], page[-1].key[2]) if rest > 0 else None
        return Page(page, revision, cursor, max(rest, 0))

    async def put(self, key: Key, value: Value, *, expect: Revision | None = None) -> Entry:
        table = self._table(key[0])
        old = table.get(key)
        self._check(key, old, expect)
        self._revision = revision = self._revision + 1
        stamped = self._codec.stamp(value, revision)
        entry = Entry(key, stamped, old.created if old else revision, revision, self._codec)
        table.put(entry, old)
        self._record(Change(revision, entry, old, False, None, ORIGIN.get()))
        if key[0] in self._awaited:
            for wake in self._awaited.pop(key[0]):
                wake()
        return entry

    async def delete(self, key: Key, *, expect: Revision | None = None) -> Entry | None:
        table = self._tables.get(key[0])
        old = table.get(key) if table else None
        self._check(key, old, expect)
        if table is None or old is None:
            return None
        self._revision = revision = self._revision + 1
        value = self._codec.stamp(old.value, revision)
        entry = Entry(key, value, old.created, revision, self._codec)
        table.remove(old)
        self._record(Change(revision, entry, old, True, None, ORIGIN.get()))
        return entry

    def watch(self, prefix: Prefix, *, after: Revision, term: Term | None = None) -> MemoryWatch:
        log = self._watch_log(prefix, term, after)
        return MemoryWatch(self, log, after, lambda: self._release(prefix, term, log))

    async def compact(self, through: Revision) -> None:
        self._floor = max(self._floor, min(through, self._revision))
        for table in self._tables.values():
            table.log.trim(self._floor)
        for log in self._watched.values():
            log.trim(self._floor)

    def sizes(self) -> dict[str, int]:
        counts = {name: self.size((name,)) for name in self._tables}
        return {name: count for name, count in counts.items() if count}

    def size(self, prefix: Prefix) -> int:
        table = self._tables.get(prefix[0])
        if table is None:
            return 0
        if len(prefix) > 1:
            space = table.spaces.get(prefix[1])
            return len(space.entries) if space is not None else 0
        return sum(len(space.entries) for space in table.spaces.values())

    def statistics(self) -> StoreStatistics:
        spaces = [space for table in self._tables.values() for space in table.spaces.values()]
        return StoreStatistics(
            revision=self._revision,
            compacted=self._floor,
            keys=sum(len(space.entries) for space in spaces),
            watchers=sum(log.readers for log in self._logs()),
            writes=self._writes,
            log_length=sum(len(table.log) for table in self._tables.values()),
        )

    async def aclose(self) -> None:
        self.closed = True
        for log in self._logs():
            log.wake()

    def _logs(self) -> Iterable[ChangeLog]:
        yield from (table.log for table in self._tables.values())
        yield from self._watched.values()

    def _table(self, resource: str) -> Table:
        table = self._tables.get(resource)
        if table is None:
            table = self._tables[resource] = Table(ChangeLog(self._history, self._floor), self._codec)
        return table

    def _check(self, key: Key, old: Entry | None, expect: Revision | None) -> None:
        actual = old.modified if old else 0
        if expect is not None and expect != actual:
            raise RevisionMismatch(key, expect, actual)

    def _record(self, change: Change) -> None:
        """Writes history: the resource's log, and the logs of those who watch less or more than that."""
        self._writes += 1
        key = change.entry.key
        resource, namespace, _ = key
        table = self._tables[resource]
        table.changed = change.revision
        table.log.append(change)
        watched = self._watched
        if not watched:
            return
        terms = self._terms(change.entry)
        if change.old is not None:
            terms |= self._terms(change.old)
        for prefix in (key, (resource, namespace), (resource,), ()):
            for term in (None, *terms):
                if (log := watched.get((prefix, term))) is not None:
                    log.append(change)

    def _terms(self, entry: Entry) -> set[Term]:
        """What somebody may watch the entry by."""
        words = [(property, self._codec.word(entry.key, entry.value, property)) for property in self._properties]
        return {(property, word) for property, word in words if word is not None}

    def _has(self, entry: Entry, term: Term) -> bool:
        return self._codec.word(entry.key, entry.value, term[0]) == term[1]

    def _is_in(self, entry: Entry, prefix: Prefix, after: tuple[str, str] | None, term: Term | None) -> bool:
        """Whether an entry is part of a range."""
        key = entry.key
        if key[: len(prefix)] != prefix or (after and key[1:] <= after):
            return False
        return term is None or self._has(entry, term)

    def _concerns(self, change: Change, prefix: Prefix, term: Term | None) -> bool:
        if change.entry.key[: len(prefix)] != prefix:
            return False
        return term is None or any(self._has(e, term) for e in (change.entry, change.old) if e is not None)

    def _entries(
        self, table: Table, prefix: Prefix, at: Revision, after: tuple[str, str] | None, term: Term | None
    ) -> Iterable[Entry]:
        if at != self._revision and (undone := table.log.since(at)):
            return self._past(table, undone, prefix, after, term)
        if len(prefix) == 3:
            entry = table.get((prefix[0], prefix[1], prefix[2]))
            return [entry] if entry is not None and self._is_in(entry, prefix, after, term) else []
        if term is None:
            return table.ordered(prefix[1] if len(prefix) == 2 else None, after)
        found = table.having(term)
        return [found[key] for key in sorted(found) if self._is_in(found[key], prefix, after, None)]

    def _past(
        self,
        table: Table,
        undone: list[Change],
        prefix: Prefix,
        after: tuple[str, str] | None,
        term: Term | None,
    ) -> list[Entry]:
        """The entries before `undone` happened, by taking those changes back."""
        entries = {entry.key: entry for entry in table.ordered(prefix[1] if len(prefix) > 1 else None, None)}
        for change in reversed(undone):
            key = change.entry.key
            if change.old is None:
                entries.pop(key, None)
            else:
                entries[key] = change.old
        return [entries[key] for key in sorted(entries) if self._is_in(entries[key], prefix, after, term)]

    def _watch_log(self, prefix: Prefix, term: Term | None, after: Revision) -> ChangeLog:
        if len(prefix) == 1 and term is None:
            log = self._table(prefix[0]).log
        else:
            log = self._narrow_log(prefix, term)
            if after < log.floor:
                self._reach_back(log, prefix, term, after)
        log.readers += 1
        return log

    def _narrow_log(self, prefix: Prefix, term: Term | None) -> ChangeLog:
        log = self._watched.get((prefix, term))
        if log is None:
            log = self._watched[prefix, term] = ChangeLog(self._history, self._revision)
            if term is not None:
                self._properties[term[0]] += 1
        return log

    def _reach_back(self, log: ChangeLog, prefix: Prefix, term: Term | None, after: Revision) -> None:
        """Gives the log of a prefix and term its history from `after` on, or as much of it as is known.

        Mostly there is none to give: whoever watches has just read what there is.
        """
        tables = [self._table(prefix[0])] if prefix else list(self._tables.values())
        begin = max(after, max((table.log.floor for table in tables), default=self._floor))
        if begin >= log.floor:
            return
        earlier = [
            change
            for table in tables
            for change in table.log.since(begin)
            if change.revision <= log.floor and self._concerns(change, prefix, term)
        ]
        log.prepend(sorted(earlier, key=lambda change: change.revision), begin)

    def _release(self, prefix: Prefix, term: Term | None, log: ChangeLog) -> None:
        log.readers -= 1
        if not log.readers and self._watched.get((prefix, term)) is log:
            del self._watched[prefix, term]
            if term is not None:
                self._properties -= Counter({term[0]: 1})  # drops what falls to zero


class MemoryWatch:
    """A reader of a log; its whole state is a position, so a cancelled wait loses nothing."""

    def __init__(self, store: MemoryStore, log: ChangeLog, after: Revision, release: Callable[[], None]) -> None:
        self._store = store
        self._log = log
        self._after = after
        self._position: int | None = None
        self._release: Callable[[], None] | None = release
        self._event: anyio.Event | None = None
        self._poked = False

    def __aiter__(self) -> MemoryWatch:
        return self

    async def __anext__(self) -> list[Change]:
        if self._position is None:
            self._position = self._log.position(self._after)
        while self._release is not None:
            if batch := self._log.read(self._position):
                self._position += len(batch)
                return batch
            if self._store.closed:
                self.close()
                break
            if self._poked:
                self._poked = False
                return []
            self._event = self._log.waiter()
            await self._event.wait()
        raise StopAsyncIteration

    @property
    def behind(self) -> int:
        """How many changes wait to be read."""
        if self._release is None or self._position is None:
            return 0
        return self._log.length_from(self._position)

    def seek(self, after: Revision) -> None:
        self._after, self._position = after, None

    def poke(self) -> None:
        self._poked = True
        if self._event is not None:
            self._event.set()

    def close(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None
            self.poke()
