"""From client-side to server-side apply: the annotation in which kubectl notes what it applied last.

When `kubectl apply --server-side` (manager `kubectl`, and no other) meets an object that client-side apply has made,
the fields that the annotation states and that still have the stated values are kubectl's own, not a conflict; and
the annotation is kept up to date so that client-side apply goes on working. Upstream: apimachinery
`managedfields/internal/lastappliedmanager.go` and `lastappliedupdater.go`.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from minik8s.machinery.fieldset import FieldSet, difference
from minik8s.machinery.managedfields import UNTRACKED, tracked
from minik8s.machinery.meta import Doc, Obj
from minik8s.machinery.patch.shape import Shape
from minik8s.machinery.patch.stated import Errors, stated_fields
from minik8s.machinery.patch.typed import compare, shape_node

MANAGER = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
MAX_ANNOTATIONS_BYTES = 256 * 1024
"""All annotations of an object together; where the configuration does not fit, the annotation goes."""


def fields_in_force(live: Doc, api_version: str, type: Shape) -> FieldSet:
    """The fields that the annotation states and that have the stated values; empty when there is nothing to read."""
    try:
        config = orjson.loads(_annotations(live).get(ANNOTATION) or "null")
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(config, dict) or config.get("apiVersion") != api_version:
        return {}
    errors: Errors = []
    node = shape_node(type)
    config, live = tracked(config, UNTRACKED), tracked(live, UNTRACKED)
    fields = stated_fields(config, node, errors)
    if errors:
        return {}
    changed, removed = compare(config, live, node)
    return difference(difference(fields, changed or {}), removed or {})


def kept_up(document: Obj, config: Doc, manager: str) -> Obj:
    """The applied document with the annotation saying what was applied now, if kubectl applied and it has one."""
    if manager != MANAGER or not _annotations(document).get(ANNOTATION):
        return document
    metadata = dict(config.get("metadata") or {})
    if metadata.get("annotations"):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != ANNOTATION}
    annotations = {**_annotations(document), ANNOTATION: _go_json({**config, "metadata": metadata})}
    if sum(len(str(k).encode()) + len(str(v).encode()) for k, v in annotations.items()) > MAX_ANNOTATIONS_BYTES:
        del annotations[ANNOTATION]
    return {**document, "metadata": {**document["metadata"], "annotations": annotations}}


def _annotations(doc: Doc) -> Obj:
    found: Any = (doc.get("metadata") or {}).get("annotations")
    return found if isinstance(found, dict) else {}


def _go_json(value: Obj) -> str:
    """JSON as Go's encoder writes it: keys in order, no spaces, HTML escaped, a line end."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text + "\n"
