"""What a client can read: from its Accept header to a representation.

Clauses are tried by their weight (q), named types before wildcards, else in order, and the first that can be served
wins; media-type parameters come in any order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import attrs

from minik8s.api.request import JSON, PROTOBUF, YAML, ApiRequest
from minik8s.machinery import field
from minik8s.machinery.errors import BadRequest, NotAcceptable

Shape = Literal["object", "table", "partial", "partial-list"]
_SHAPES: dict[str, Shape] = {
    "Table": "table",
    "PartialObjectMetadata": "partial",
    "PartialObjectMetadataList": "partial-list",
}
_TABLE_VERSIONS = ("v1", "v1beta1")
_REFUSAL = "only the following media types are accepted: "
REFUSAL = _REFUSAL + "application/json, application/yaml, application/vnd.kubernetes.protobuf"
WATCH_REFUSAL = _REFUSAL + "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
_INCLUDES = ("", "Metadata", "Object", "None")
_LISTING = ("list", "deletecollection")


@attrs.frozen
class Representation:
    """`media_type` is that of the answer; `shape` is what is made of the object; `version` that of meta.k8s.io."""

    media_type: str = JSON
    shape: Shape = "object"
    version: str = "v1"


DEFAULT = Representation()


@lru_cache(maxsize=512)
def negotiate(accept: str, *, streaming: bool = False, protobuf: bool = False, tables: bool = True) -> Representation:
    """Raises NotAcceptable when no clause can be served.

    `streaming` is for watches: a stream of YAML documents does not exist. `protobuf` says whether the whole object has
    such a form (custom resources have none; the metadata of every object has one, and a table never). `tables` says
    whether the answer can be one: that to a question which nothing stores has no columns.
    """
    if not accept.strip():
        return DEFAULT
    for clause in sorted(accept.split(","), key=_rank):
        found = _clause(clause, streaming)
        if found is not None and found.shape == "table" and not tables:
            continue
        if found is not None and (protobuf or found.media_type != PROTOBUF or found.shape != "object"):
            return found
    raise NotAcceptable(WATCH_REFUSAL if streaming else REFUSAL)


def _rank(clause: str) -> tuple[float, bool, bool]:
    """The order in which clauses are tried (upstream: goautoneg): a weight that is none counts as nothing."""
    media_type, *rest = (part.strip() for part in clause.split(";"))
    weight = next((part[2:] for part in rest if part.startswith("q=")), "1")
    try:
        wanted = float(weight)
    except ValueError:
        wanted = 0.0
    return -wanted, media_type.startswith("*"), media_type.endswith("/*")


def _clause(clause: str, streaming: bool) -> Representation | None:
    media_type, *rest = (part.strip() for part in clause.split(";"))
    parameters = dict(part.split("=", 1) for part in rest if "=" in part)
    media_type = media_type.lower()
    if media_type in ("*/*", "application/*"):
        media_type = JSON
    if media_type not in ((JSON, PROTOBUF) if streaming else (JSON, YAML, PROTOBUF)):
        return None
    if "stream" in parameters and not (streaming and parameters["stream"] == "watch"):
        return None
    wanted = parameters.get("as")
    if wanted is None:
        return Representation(media_type)
    if parameters.get("g") != "meta.k8s.io" or parameters.get("v") not in _TABLE_VERSIONS or wanted not in _SHAPES:
        return None
    if media_type == PROTOBUF and wanted == "Table":
        return None
    return Representation(media_type, _SHAPES[wanted], parameters["v"])


def has_protobuf(request: ApiRequest) -> bool:
    """Whether the answer to a request can be protobuf: whatever its document is, the table must know it."""
    from minik8s.schema.protowrite import message_type  # here: most clusters never hear of it

    resource = request.resource
    return request.subresource == "scale" or message_type(resource.api_version, resource.kind) is not None


def check_shape(representation: Representation, request: ApiRequest) -> None:
    """Raises NotAcceptable or BadRequest for a shape that the answer cannot take, before anything is done."""
    shape = representation.shape
    if shape == "table":
        include = request.options.get("includeObject", "")
        if include not in _INCLUDES:
            wrong = field.invalid("includeObject", include, "must be 'Metadata', 'Object', 'None', or empty")
            raise BadRequest(f"Unable to convert to Table as requested: {wrong.field}: {wrong.message}")
        return
    go_type = f"*{request.resource.version}.{request.resource.kind}"
    if shape == "partial" and request.verb in _LISTING:
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({go_type}List)")
    if shape == "partial-list" and request.verb not in _LISTING:
        raise NotAcceptable(
            f"you requested PartialObjectMetadataList, but the requested object is not a list ({go_type})"
        )
