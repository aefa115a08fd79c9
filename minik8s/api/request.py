"""What travels between a client and the API server, before and after HTTP.

An `ApiRequest` is a request that has been understood: which verb on which resource, with which options and
body. The HTTP app makes one from a URL, the in-process transport makes one directly; both hand it to the
same `dispatch`. Bodies of in-process calls are documents (no encoding), those of HTTP calls are bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from minik8s.api.resource import Resource
from minik8s.machinery.meta import Obj

Verb = Literal["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
METHODS: Mapping[Verb, str] = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
"""The HTTP method that a verb is asked by."""
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@attrs.frozen
class User:
    """Who asks. `groups` includes system:authenticated for everybody who proved an identity.

    `trusted` marks the cluster's own components, which are asked no questions. It exists in process only: no
    credentials and no headers make a user of that kind.
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    trusted: bool = False


ADMIN = User("system:admin", groups=("system:masters", "system:authenticated"))


@attrs.define(slots=True)
class ApiRequest:
    """One call on one resource.

    `options` are the query parameters (the first of equal ones wins; `repeated` holds all values of those given
    more than once). `body` is bytes with `content_type`, or a document that the caller must not change afterwards.
    `name` is "" for collections. `path` is what follows the subresource (proxy).
    """

    verb: Verb
    resource: Resource[Any]
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    path: str = ""
    options: Mapping[str, str] = attrs.field(factory=dict)
    repeated: Mapping[str, list[str]] = attrs.field(factory=dict)
    body: Any = None
    content_type: str = ""
    user: User = ADMIN
    user_agent: str = ""
    audit_annotations: dict[str, str] = attrs.field(factory=dict)
    """What admission has to say about the request in its audit entry."""


class Encoded(Protocol):
    """Something whose JSON bytes exist already or are made once: a stored entry.

    `message` is its protobuf once somebody has made it.
    """

    message: bytes | None

    @property
    def encoded(self) -> bytes: ...


@attrs.define(slots=True, eq=False)
class WatchEvent:
    """One event of a watch; `object` is the shared stored document, never to be mutated.

    `source` gives the same document's bytes when the server holds them; `wire` is the event's line in a JSON
    stream once somebody has made it, for all who send the same event, and `frame` the same in a stream of protobuf.
    """

    type: EventType
    object: Obj
    source: Encoded | None = None
    wire: bytes | None = None
    frame: bytes | None = None


@attrs.define(slots=True, eq=False)
class ListResult:
    """A list's items with the metadata of the list itself; items carry apiVersion and kind.

    `sources` gives the items' bytes, in the same order, when the server holds them.
    """

    items: list[Obj]
    resource_version: str
    continue_: str = ""
    remaining: int | None = None
    sources: Sequence[Encoded] | None = None


WatchStream: TypeAlias = AsyncIterator[list[WatchEvent]]
"""Batches of events, none empty. An ERROR event is the last one; its object is a Status."""
ByteStream: TypeAlias = AsyncIterator[bytes]
