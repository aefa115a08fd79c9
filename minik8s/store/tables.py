"""What a memory store holds of one resource: entries by namespace and name, indexes of terms, and the history."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from minik8s.store.log import ChangeLog
from minik8s.store.protocol import Entry, Key, Revision, Term


class Space:
    """The entries of one resource in one namespace."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._names: list[str] | None = []

    def copy(self) -> Space:
        copied = Space()
        copied.entries, copied._names = dict(self.entries), None
        return copied

    def names(self) -> list[str]:
        if self._names is None:
            self._names = sorted(self.entries)
        return self._names

    def put(self, name: str, entry: Entry) -> None:
        if name not in self.entries:
            self._names = None
        self.entries[name] = entry

    def remove(self, name: str) -> None:
        del self.entries[name]
        self._names = None


class Table:
    """All entries of one resource, and its whole history."""

    def __init__(self, log: ChangeLog) -> None:
        self.spaces: dict[str, Space] = {}
        self.by_term: dict[Term, dict[Key, Entry]] = {}
        self.log = log
        self.changed: Revision = 0

    def copy(self) -> Table:
        """The same entries and history in containers of their own."""
        copied = Table(self.log.copy())
        copied.spaces = {name: space.copy() for name, space in self.spaces.items()}
        copied.by_term = {term: dict(found) for term, found in self.by_term.items()}
        copied.changed = self.changed
        return copied

    def get(self, key: Key) -> Entry | None:
        space = self.spaces.get(key[1])
        return space.entries.get(key[2]) if space else None

    def put(self, entry: Entry, old: Entry | None) -> None:
        key = entry.key
        space = self.spaces.get(key[1])
        if space is None:
            space = self.spaces[key[1]] = Space()
        space.put(key[2], entry)
        self._unindex(old, keep=entry.terms)
        for term in entry.terms:
            self.by_term.setdefault(term, {})[key] = entry

    def remove(self, entry: Entry) -> None:
        space = self.spaces[entry.key[1]]
        space.remove(entry.key[2])
        if not space.entries:
            del self.spaces[entry.key[1]]
        self._unindex(entry, keep=frozenset())

    def ordered(self, namespace: str | None, after: tuple[str, str] | None) -> Iterator[Entry]:
        """Entries in order of (namespace, name), beginning behind `after`."""
        for name_space in sorted(self.spaces) if namespace is None else [namespace]:
            space = self.spaces.get(name_space)
            if space is None or (after and name_space < after[0]):
                continue
            names = space.names()
            start = bisect_right(names, after[1]) if after and name_space == after[0] else 0
            for name in names[start:] if start else names:
                yield space.entries[name]

    def _unindex(self, old: Entry | None, keep: frozenset[Term]) -> None:
        if old is None:
            return
        for term in old.terms - keep:
            found = self.by_term[term]
            del found[old.key]
            if not found:
                del self.by_term[term]
