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


def too_many(retry_after: int) -> PlainResponse:
    """For whom there is no room; `retry_after` is in seconds."""
    text = b"Too many requests, please try again later.\n"
    return PlainResponse(text, TEXT, 429, {"retry-after": str(retry_after), **NOSNIFF}, only_get=False)
