"""Answers in protobuf, for built-in kinds and for what the metadata of all kinds is shown in.

An object's message is made once for each stored entry and kept beside its JSON, so that a LIST is a join of slices here
too and a watch event costs its frame. Formats: apimachinery `pkg/runtime/serializer/protobuf` (the envelope),
`pkg/util/framer` (a stream: four bytes of length before each message, which has no envelope of its own).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from minik8s.api.request import PROTOBUF, Encoded, ListResult, WatchEvent
from minik8s.api.resource import Resource
from minik8s.apiserver.encoding import partial_metadata
from minik8s.apiserver.negotiation import Representation
from minik8s.apiserver.response import ApiResponse, ListResponse, ObjectResponse
from minik8s.machinery.meta import Doc, Obj
from minik8s.schema import table
from minik8s.schema.protowrite import ENVELOPE_TAIL, encode_envelope, encode_message, envelope_head, message_type
from minik8s.schema.table import Type
from minik8s.schema.wire import message_field, message_head, string_field

CHUNK = 250
Messages = list[bytes]


def encode_object(doc: Doc) -> bytes | None:
    """A document in its envelope; None when it has no protobuf form."""
    api_version, kind = doc.get("apiVersion", ""), doc.get("kind", "")
    type_ = message_type(api_version, kind)
    return None if type_ is None else encode_envelope(api_version, kind, encode_message(doc, type_))


def encoder_for(
    resource: Resource[Any], response: ApiResponse, representation: Representation
) -> ProtobufEncoder | None:
    """The encoder of an answer about a resource; None when the answer has no protobuf form."""
    version = f"meta.k8s.io/{representation.version}"
    if representation.shape != "object":
        shown = partial(partial_metadata, version=representation.version)
        return ProtobufEncoder(
            table.struct("meta/v1", "PartialObjectMetadata"), (version, "PartialObjectMetadataList"), shown
        )
    api_version, kind = resource.api_version, resource.kind
    if isinstance(response, ObjectResponse):
        api_version, kind = response.document.get("apiVersion", ""), response.document.get("kind", "")
    type_ = message_type(api_version, kind)
    return None if type_ is None else ProtobufEncoder(type_, (api_version, f"{kind}List"))


class ProtobufEncoder:
    """Encodes the answers to one request; the counterpart of `encoding.Encoder`.

    `shape` makes of an object what is shown of it; None shows it as it is, from the stored message. `list_kind` is the
    envelope's apiVersion and kind of a list.
    """

    media_type = PROTOBUF

    def __init__(self, type: Type, list_kind: tuple[str, str], shape: Callable[[Obj], Obj] | None = None) -> None:
        self._type, self._list_kind, self._shape = type, list_kind, shape

    @property
    def shares_events(self) -> bool:
        return self._shape is None

    def object(self, response: ObjectResponse) -> bytes:
        """The body of an answer with one document."""
        return self._envelope(response.document, response.source)

    def list(self, response: ListResponse) -> Iterator[bytes]:
        """The body of a list, in chunks; empty ones while what comes first is not known yet, so that others may run."""
        result = response.result
        metadata: Obj = {"resourceVersion": result.resource_version, "continue": result.continue_ or None}
        metadata["remainingItemCount"] = result.remaining or None
        head = message_field(1, encode_message(metadata, table.struct("meta/v1", "ListMeta")))
        messages: Messages = []
        for start in range(0, len(result.items), CHUNK):
            messages += self._messages(result, slice(start, start + CHUNK))
            yield b""
        items = [message_head(2, len(message)) for message in messages]
        size = len(head) + sum(map(len, items)) + sum(map(len, messages))
        parts = [part for pair in zip(items, messages, strict=True) for part in pair]
        glue = envelope_head(*self._list_kind, size) + head
        for start in range(0, len(parts), 2 * CHUNK):
            yield glue + b"".join(parts[start : start + 2 * CHUNK])
            glue = b""
        yield glue + ENVELOPE_TAIL

    def event(self, event: WatchEvent) -> bytes:
        """One frame of a watch stream."""
        if self._shape is None and event.frame is not None:
            return event.frame
        failed = event.type == "ERROR"
        raw = (encode_object(event.object) or b"") if failed else self._envelope(event.object, event.source)
        message = string_field(1, event.type) + message_field(2, message_field(1, raw))
        frame = len(message).to_bytes(4, "big") + message
        if self._shape is None:
            event.frame = frame
        return frame

    def _envelope(self, doc: Obj, source: Encoded | None) -> bytes:
        if self._shape is not None:
            doc, source = self._shape(doc), None
        return encode_envelope(doc["apiVersion"], doc["kind"], self._message(doc, source))

    def _messages(self, result: ListResult, part: slice) -> Messages:
        items = result.items[part]
        if (shape := self._shape) is not None:
            return [self._message(shape(item), None) for item in items]
        sources: Sequence[Encoded | None] = result.sources[part] if result.sources else [None] * len(items)
        return [self._message(item, source) for item, source in zip(items, sources, strict=True)]

    def _message(self, doc: Obj, source: Encoded | None) -> bytes:
        if source is None:
            return encode_message(doc, self._type)
        if source.message is None:
            source.message = encode_message(doc, self._type)
        return source.message
