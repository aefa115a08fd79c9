"""Telling templates apart: a hash for names and labels, and an identity for comparing.

A workload controller names what it makes after the hash of the template it made it from. Upstream hashes the Go
structure; any stable function of the template serves clients equally well. Upstream: `controller_utils.go` ComputeHash.
"""

from __future__ import annotations

from typing import Any

import orjson

from minik8s.machinery.meta import Doc
from minik8s.machinery.names import SUFFIX_ALPHABET

HASH_LABEL = "pod-template-hash"
_FNV_OFFSET, _FNV_PRIME = 2166136261, 16777619


def template_identity(template: Doc) -> bytes:
    """Equal for templates that make the same pods: the hash label and fields without a value do not count."""
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    return orjson.dumps(_bare({**template, "metadata": metadata}), option=orjson.OPT_SORT_KEYS)


def template_hash(template: Doc, collision_count: int | None = None) -> str:
    """Up to ten characters for labels and names; `collision_count` gives another hash for the same template."""
    data = template_identity(template)
    if collision_count is not None:
        data += collision_count.to_bytes(8, "little")
    return safe_encode(str(fnv32a(data)))


def fnv32a(data: bytes) -> int:
    """The 32-bit FNV-1a hash."""
    value = _FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return value


def safe_encode(text: str) -> str:
    """Each character as one of the alphabet that cannot spell words (rand.SafeEncodeString)."""
    return "".join(SUFFIX_ALPHABET[ord(char) % len(SUFFIX_ALPHABET)] for char in text)


def _bare(value: Any) -> Any:
    """The value without nulls and empty objects, which say the same as absence."""
    if isinstance(value, dict):
        return {k: bare for k, v in value.items() if (bare := _bare(v)) not in (None, {})}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value
