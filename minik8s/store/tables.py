"""What a memory store holds of one resource: entries by namespace and name, indexes, and the history.

An index is made when somebody first looks for a property, and kept up from then on: most are asked for by nobody, and
each would cost every write, and every object a place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

from minik8s.store.log import ChangeLog
from minik8s.store.protocol import Entry, Key, Revision, Term, ValueCodec


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


class Index:
    """The entries of one resource by the word that they have for a property."""

    def __init__(self, property: str, codec: ValueCodec) -> None:
        self._property, self._codec = property, codec
        self._found: dict[str, dict[Key, Entry]] = {}

    def at(self, word: str) -> Mapping[Key, Entry]:
        return self._found.get(word, {})

    def replace(self, old: Entry | None, new: Entry | None) -> None:
        before, after = self._word(old), self._word(new)
        if old is not None and before is not None and before != after:
            found = self._found[before]
            del found[old.key]
            if not found:
                del self._found[before]
        if new is not None and after is not None:
            self._found.setdefault(after, {})[new.key] = new

    def _word(self, entry: Entry | None) -> str | None:
        return None if entry is None else self._codec.word(entry.key, entry.value, self._property)


class Table:
    """All entries of one resource, and its whole history."""

    def __init__(self, log: ChangeLog, codec: ValueCodec) -> None:
        self.spaces: dict[str, Space] = {}
        self.log = log
        self.changed: Revision = 0
        self._codec = codec
        self._indexes: dict[str, Index] = {}

    def copy(self, codec: ValueCodec) -> Table:
        """The same entries and history in containers of their own."""
        copied = Table(self.log.copy(), codec)
        copied.spaces = {name: space.copy() for name, space in self.spaces.items()}
        copied.changed = self.changed
        return copied

    def adopt(self, codec: ValueCodec) -> None:
        """Asks `codec` from now on, and forgets what the former one has said."""
        self._codec, self._indexes = codec, {}

    def get(self, key: Key) -> Entry | None:
        space = self.spaces.get(key[1])
        return space.entries.get(key[2]) if space else None

    def put(self, entry: Entry, old: Entry | None) -> None:
        key = entry.key
        space = self.spaces.get(key[1])
        if space is None:
            space = self.spaces[key[1]] = Space()
        space.put(key[2], entry)
        for index in self._indexes.values():
            index.replace(old, entry)

    def remove(self, entry: Entry) -> None:
        space = self.spaces[entry.key[1]]
        space.remove(entry.key[2])
        if not space.entries:
            del self.spaces[entry.key[1]]
        for index in self._indexes.values():
            index.replace(entry, None)

    def having(self, term: Term) -> Mapping[Key, Entry]:
        """The entries that have the term, in no order."""
        property, word = term
        index = self._indexes.get(property)
        if index is None:
            index = self._indexes[property] = Index(property, self._codec)
            for space in self.spaces.values():
                for entry in space.entries.values():
                    index.replace(None, entry)
        return index.at(word)

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
