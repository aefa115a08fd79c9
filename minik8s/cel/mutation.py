"""What the expressions of a MutatingAdmissionPolicy construct: `Object{spec: Object.spec{...}}` and `JSONPatch{...}`.

Upstream: k8s.io/apiserver `pkg/cel/mutation` and `pkg/cel/library/jsonpatch.go`.
"""

from __future__ import annotations

import re
from typing import Any

from .declare import table
from .errors import EvaluationError
from .types import DYN, STRING, CelField, CelType, object_of
from .values import Made

JSON_PATCH = object_of("JSONPatch", {"op": STRING, "path": STRING, "from": STRING, "value": DYN})
_OBJECT = re.compile(r"Object(\.[A-Za-z_]\w*)*")


def _any_field(name: str) -> CelField:
    return CelField(name, DYN)


def check_names(value: Any, path: str = "Object") -> None:
    """Raises EvaluationError when a constructed object's type does not follow its fields: `Object{a: Object.b{}}`."""
    if isinstance(value, Made) and value.name != "JSONPatch":
        if value.name != path:
            raise EvaluationError(
                f'unexpected type name "{value.name}", expected "{path}", which matches field name path from root'
                " Object type"
            )
        for field, item in value.items():
            check_names(item, f"{path}.{field}")
    elif isinstance(value, list):
        for item in value:
            check_names(item, path)
    elif isinstance(value, dict):
        for item in value.values():
            check_names(item, path)


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
