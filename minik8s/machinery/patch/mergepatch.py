"""Merge patch (RFC 7386): maps merge, null deletes, anything else replaces.

What is not touched is shared with the original; nulls inside newly added maps are dropped, as evanphx/json-patch does.
"""

from __future__ import annotations

from typing import Any

from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import CONTAINERS, Doc, Obj
from minik8s.machinery.patch.gotext import not_decoded


def apply_merge_patch(doc: Doc, patch: Any) -> Obj:
    """The patched document; raises BadRequest when the patch is not a JSON object."""
    if not isinstance(patch, dict):
        raise BadRequest(f"error decoding patch: {not_decoded(patch, 'map[string]interface {}')}")
    return _merge(doc, patch)


def _merge(doc: Doc, patch: Doc) -> Obj:
    result: Obj = dict(doc)
    for key, value in patch.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(old, dict):
            result[key] = _merge(old, value)
        else:
            result[key] = without_nulls(value)
    return result


def without_nulls(value: Any) -> Any:
    """A value that becomes part of a document: maps in it lose their null members, list items stay."""
    if isinstance(value, dict):
        return {k: without_nulls(v) if isinstance(v, CONTAINERS) else v for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_nulls(v) if isinstance(v, CONTAINERS) else v for v in value]
    return value
