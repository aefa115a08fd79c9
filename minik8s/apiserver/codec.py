"""What the store is told about documents: their revision, their bytes, and the words they are found by."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from minik8s.machinery.frozen import freeze
from minik8s.machinery.meta import Doc, Obj
from minik8s.store.protocol import Key, Revision

Reader = Callable[[Doc], str]


class DocumentCodec:
    """A `ValueCodec` for JSON documents.

    `indexed` gives, per group-resource, the field selector paths the store may keep an index for, with their readers.
    """

    def __init__(self, indexed: Callable[[str], Mapping[str, Reader]], *, frozen: bool) -> None:
        self._indexed = indexed
        self._frozen = frozen

    def stamp(self, value: Obj, revision: Revision) -> Obj:
        stamped = {**value, "metadata": {**value["metadata"], "resourceVersion": str(revision)}}
        return freeze(stamped) if self._frozen else stamped

    def encode(self, value: Obj) -> bytes:
        return orjson.dumps(value)

    def word(self, key: Key, value: Obj, property: str) -> str | None:
        read = self._indexed(key[0]).get(property)
        return None if read is None else read(value)
