"""What the store is told about documents: their revision, their bytes, and the terms they are found by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from minik8s.machinery.frozen import freeze
from minik8s.machinery.meta import Doc, Obj
from minik8s.store.protocol import Key, Revision, Term

KNOWN_TERMS = 8192
"""Sets of terms that are remembered, so as to be shared."""
_NO_TERMS: frozenset[Term] = frozenset()
Reader = Callable[[Doc], str]


class DocumentCodec:
    """A `ValueCodec` for JSON documents.

    `indexed` gives, per group-resource, the field selector paths the store keeps an index for, with their readers.
    """

    def __init__(self, indexed: Callable[[str], Mapping[str, Reader]], *, frozen: bool) -> None:
        self._indexed = indexed
        self._frozen = frozen
        self._known: dict[tuple[Term, ...], frozenset[Term]] = {}

    def stamp(self, value: Obj, revision: Revision) -> Obj:
        stamped = {**value, "metadata": {**value["metadata"], "resourceVersion": str(revision)}}
        return freeze(stamped) if self._frozen else stamped

    def encode(self, value: Obj) -> bytes:
        return orjson.dumps(value)

    def terms(self, key: Key, value: Obj) -> frozenset[Term]:
        readers = self._indexed(key[0])
        if not readers:
            return _NO_TERMS
        terms = tuple([(path, read(value)) for path, read in readers.items()])
        known = self._known.get(terms)  # the pods of a node and the events of a pod have the same: one set will do
        if known is None:
            if len(self._known) >= KNOWN_TERMS:
                self._known.clear()
            known = self._known[terms] = frozenset(terms)
        return known
