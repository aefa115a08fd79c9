"""What the expressions of a MutatingAdmissionPolicy construct: `Object{spec: Object.spec{...}}` and `JSONPatch{...}`.

Upstream: k8s.io/apiserver `pkg/cel/mutation` and `pkg/cel/library/jsonpatch.go`.
"""

from __future__ import annotations

import re

from .declare import table
from .types import DYN, STRING, CelField, CelType, object_of

JSON_PATCH = object_of("JSONPatch", {"op": STRING, "path": STRING, "from": STRING, "value": DYN})
_OBJECT = re.compile(r"Object(\.[A-Za-z_]\w*)*")


def _any_field(name: str) -> CelField:
    return CelField(name, DYN)


def struct_type(name: str) -> CelType | None:
    """The type that `name{...}` constructs."""
    if name == "JSONPatch":
        return JSON_PATCH
    if _OBJECT.fullmatch(name):
        return CelType("object", name, (), _any_field)
    return None


OBJECT = CelType("object", "Object", (), _any_field)
FUNCTIONS = table(
    [("jsonpatch.escapeKey", "(string) -> string", lambda key: key.replace("~", "~0").replace("/", "~1"))]
)
