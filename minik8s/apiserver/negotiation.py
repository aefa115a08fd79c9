"""What a client can read: from its Accept header to a representation.

Clauses are tried in order and the first that can be served wins; media-type parameters come in any order.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import attrs

from minik8s.api.request import JSON, YAML
from minik8s.machinery.errors import NotAcceptable

Shape = Literal["object", "table", "partial", "partial-list"]
_SHAPES: dict[str, Shape] = {
    "Table": "table",
    "PartialObjectMetadata": "partial",
    "PartialObjectMetadataList": "partial-list",
}
_TABLE_VERSIONS = ("v1", "v1beta1")
REFUSAL = (
    "only the following media types are accepted: application/json, application/yaml, "
    "application/vnd.kubernetes.protobuf"
)


@attrs.frozen
class Representation:
    """`media_type` is that of the answer; `shape` is what is made of the object; `version` that of meta.k8s.io."""

    media_type: str = JSON
    shape: Shape = "object"
    version: str = "v1"


DEFAULT = Representation()


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Representation:
    """Raises NotAcceptable when no clause can be served. Protobuf is never served, JSON stands beside it everywhere."""
    if not accept.strip():
        return DEFAULT
    for clause in accept.split(","):
        if found := _clause(clause):
            return found
    raise NotAcceptable(REFUSAL)


def _clause(clause: str) -> Representation | None:
    media_type, *rest = (part.strip() for part in clause.split(";"))
    parameters = dict(part.split("=", 1) for part in rest if "=" in part)
    media_type = media_type.lower()
    if media_type in ("*/*", "application/*"):
        media_type = JSON
    if media_type not in (JSON, YAML):
        return None
    wanted = parameters.get("as")
    if wanted is None:
        return Representation(media_type) if "stream" not in parameters else None
    if parameters.get("g") != "meta.k8s.io" or parameters.get("v") not in _TABLE_VERSIONS or wanted not in _SHAPES:
        return None
    return Representation(media_type, _SHAPES[wanted], parameters["v"])
