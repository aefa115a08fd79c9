"""From answers to bytes, in the shape that was negotiated.

Where the store holds an object's bytes they are used as they are: a list of built-in objects is a join of slices, a
watch event two small strings around shared bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from minik8s.api.columns import Columns, columns_for
from minik8s.api.request import PROTOBUF, YAML, ListResult, WatchEvent
from minik8s.api.resource import Resource
from minik8s.apiserver.negotiation import Representation
from minik8s.apiserver.response import ListResponse, ObjectResponse
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema import codec

CHUNK = 250
"""Objects a chunk of a LIST: large enough to amortise a write, small enough not to hold up the loop."""
_META_VERSION = "meta.k8s.io/"


def encode_document(doc: Doc, representation: Representation, *, pretty: bool = False) -> bytes:
    """One JSON or YAML document with a trailing newline, or one in protobuf, which the caller knows to be possible."""
    if representation.media_type == PROTOBUF:
        from minik8s.apiserver.protobuf import encode_object

        return encode_object(doc) or b""
    if representation.media_type == YAML:
        return codec.dumps_yaml(doc)
    options = orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if pretty else 0)
    return orjson.dumps(doc, option=options)


class Encoder:
    """Encodes the answers to one request. `include` is the includeObject parameter of tables."""

    def __init__(
        self,
        resource: Resource[Any],
        representation: Representation,
        *,
        now: Callable[[], datetime],
        include: str,
        pretty: bool,
    ) -> None:
        self.resource, self.representation, self.pretty = resource, representation, pretty
        self._now, self._include = now, include or "Metadata"
        self._columns: Columns | None = columns_for(resource) if representation.shape == "table" else None
        self._described = False

    @property
    def is_plain(self) -> bool:
        """Whether stored bytes can be sent as they are."""
        return self.representation.shape == "object" and self.representation.media_type != YAML and not self.pretty

    @property
    def media_type(self) -> str:
        return self.representation.media_type

    @property
    def shares_events(self) -> bool:
        return self.representation.shape == "object"

    def object(self, response: ObjectResponse) -> bytes:
        """The body of an answer with one document."""
        if self.is_plain and response.source is not None:
            return response.source.encoded + b"\n"
        return encode_document(self._shaped(response.document), self.representation, pretty=self.pretty)

    def list(self, response: ListResponse) -> Iterator[bytes]:
        """The body of a list, in chunks."""
        result = response.result
        if self.is_plain and result.sources is not None:
            yield from self._joined(result)
            return
        yield encode_document(self._list_document(result), self.representation, pretty=self.pretty)

    def event(self, event: WatchEvent) -> bytes:
        """One line of a watch stream."""
        if self.representation.shape == "object":
            if event.wire is None:
                event.wire = _line(event)
            return event.wire
        shaped = event.object if event.type == "ERROR" else self._shaped(event.object)
        return orjson.dumps({"type": event.type, "object": shaped}, option=orjson.OPT_APPEND_NEWLINE)

    def _joined(self, result: ListResult) -> Iterator[bytes]:
        head = {"kind": self.resource.list_kind, "apiVersion": self.resource.api_version}
        opening = orjson.dumps({**head, "metadata": _list_metadata(result), "items": []})[:-2]
        sources = result.sources or ()
        skip = len(f'{{"kind":"{self.resource.kind}","apiVersion":"{self.resource.api_version}",')
        if self.resource.custom is not None:
            skip = 1  # only the items of built-in lists leave out what they are
        glue = opening + (b"{" if sources else b"")
        for start in range(0, len(sources), CHUNK):
            chunk = sources[start : start + CHUNK]
            yield glue + b",{".join([memoryview(source.encoded)[skip:] for source in chunk])
            glue = b",{"
        yield (b"" if sources else opening) + b"]}\n"

    def _list_document(self, result: ListResult) -> Obj:
        shape, version = self.representation.shape, self.representation.version
        metadata = _list_metadata(result)
        if shape == "table":
            return self._table(result.items, metadata)
        if shape == "partial-list":
            items = [partial_metadata(item, version) for item in result.items]
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": _META_VERSION + version,
                "metadata": metadata,
                "items": items,
            }
        items = result.items
        if self.resource.custom is None:
            items = [{k: v for k, v in item.items() if k not in ("kind", "apiVersion")} for item in items]
        head = {"kind": self.resource.list_kind, "apiVersion": self.resource.api_version}
        return {**head, "metadata": metadata, "items": items}

    def _shaped(self, doc: Obj) -> Doc:
        shape, version = self.representation.shape, self.representation.version
        if shape == "table":
            return self._table([doc], {"resourceVersion": doc["metadata"].get("resourceVersion", "")})
        if shape == "object":
            return doc
        return partial_metadata(doc, version)

    def _table(self, items: Sequence[Obj], metadata: Obj) -> Obj:
        columns = self._columns
        assert columns is not None
        definitions = None if self._described else [column.to_dict() for column in columns.definitions]
        self._described = True
        return {
            "kind": "Table",
            "apiVersion": _META_VERSION + self.representation.version,
            "metadata": metadata,
            "columnDefinitions": definitions,
            "rows": [self._row(columns, item) for item in items],
        }

    def _row(self, columns: Columns, item: Obj) -> Obj:
        is_bookmark = "uid" not in item["metadata"] and len(item) <= 3
        row: Obj = {"cells": [] if is_bookmark else columns.cells(item, self._now())}
        if not is_bookmark and (conditions := columns.conditions(item)):
            row["conditions"] = conditions
        row["object"] = self._row_object(item)
        return row

    def _row_object(self, item: Obj) -> Obj | None:
        if self._include == "None":
            return None
        return item if self._include == "Object" else partial_metadata(item, self.representation.version)


def _line(event: WatchEvent) -> bytes:
    body = event.source.encoded if event.source is not None else orjson.dumps(event.object)
    return b'{"type":"' + event.type.encode() + b'","object":' + body + b"}\n"


def _list_metadata(result: ListResult) -> Obj:
    metadata: Obj = {"resourceVersion": result.resource_version}
    if result.continue_:
        metadata["continue"] = result.continue_
    if result.remaining:
        metadata["remainingItemCount"] = result.remaining
    return metadata


def partial_metadata(doc: Doc, version: str) -> Obj:
    """What metadata-only clients see of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": _META_VERSION + version,
        "metadata": doc["metadata"],
    }
