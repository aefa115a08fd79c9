"""Answers that are no API objects: text, documents, redirections."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from minik8s.api.request import JSON

TEXT = "text/plain; charset=utf-8"
NOSNIFF = {"x-content-type-options": "nosniff"}
"""What Go's `http.Error` sends along."""


@attrs.frozen
class PlainResponse:
    """A finished answer."""

    body: bytes
    media_type: str = JSON
    code: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    only_get: bool = True


NOT_FOUND = PlainResponse(b"404 page not found\n", TEXT, 404)
TOO_MANY = PlainResponse(
    b"Too many requests, please try again later.\n", TEXT, 429, {"retry-after": "1", **NOSNIFF}, only_get=False
)
