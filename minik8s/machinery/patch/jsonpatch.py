"""JSON patch (RFC 6902) with the tolerances of the library that upstream uses, evanphx/json-patch 4.

Negative array indexes count from the end, `test` for null accepts an absent member, everything else that does not
apply is one generic 422. Only the containers along a changed path are copied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from minik8s.machinery.errors import BadRequest, Invalid, RequestEntityTooLarge
from minik8s.machinery.meta import Doc, Obj

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
"""All `copy` operations together may not add more (upstream's JSONPatchMaxCopyBytes)."""
DOES_NOT_APPLY = "the server rejected our request due to an error in our request"

_MISSING = object()


def apply_json_patch(doc: Doc, ops: Any) -> Obj:
    """The document after all operations, in order.

    Raises BadRequest when `ops` is no list of operations, RequestEntityTooLarge for too many of them, and Invalid
    with the generic message when one does not apply.
    """
    if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
        raise BadRequest("error decoding patch: a JSON patch is a list of operations")
    if len(ops) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        )
    result: Any = doc
    copied = 0
    for op in ops:
        if op.get("op") == "copy":
            copied += len(orjson.dumps(_get(result, _path(op, "from"))))
            if copied > MAX_COPIED_BYTES:
                raise Invalid(DOES_NOT_APPLY)
        result = _apply(result, op)
    if not isinstance(result, dict):
        raise Invalid(DOES_NOT_APPLY)
    return result


def equal(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; unlike Python, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(v, right[k]) for k, v in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _apply(doc: Any, op: Obj) -> Any:
    path = _path(op, "path")
    match op.get("op"):
        case "add":
            return _add(doc, path, op.get("value"))
        case "remove":
            return _remove(doc, path)
        case "replace":
            _get(doc, path)
            return _change(doc, path, _replacer(op.get("value")))
        case "move":
            source = _path(op, "from")
            return _add(_remove(doc, source), path, _get(doc, source))
        case "copy":
            return _add(doc, path, _get(doc, _path(op, "from")))
        case "test":
            expected = op.get("value")
            found = _get(doc, path, None if expected is None else _MISSING)
            if equal(found, expected):
                return doc
    raise Invalid(DOES_NOT_APPLY)


def _path(op: Obj, member: str) -> list[str]:
    """The decoded tokens of a JSON pointer; [] is the whole document."""
    pointer = op.get(member)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise Invalid(DOES_NOT_APPLY)
    return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]


def _get(doc: Any, path: list[str], default: Any = _MISSING) -> Any:
    """The value at `path`. A missing last member gives `default` if there is one."""
    for depth, token in enumerate(path):
        if isinstance(doc, dict) and token in doc:
            doc = doc[token]
        elif isinstance(doc, list):
            doc = doc[_index(token, len(doc))]
        elif isinstance(doc, dict) and depth == len(path) - 1 and default is not _MISSING:
            return default
        else:
            raise Invalid(DOES_NOT_APPLY)
    return doc


def _index(token: str, length: int) -> int:
    """A position among `length` ones; negative tokens count from the end."""
    digits = token.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 9:
        raise Invalid(DOES_NOT_APPLY)
    position = int(token) + (length if token.startswith("-") else 0)
    if not 0 <= position < length:
        raise Invalid(DOES_NOT_APPLY)
    return position


_Edit = Callable[[Any, str], None]
"""Changes one member of a container in place; the container is a fresh copy."""


def _change(doc: Any, path: list[str], edit: _Edit) -> Any:
    """`doc` with `edit` done to the container of the path's last token; what is off the path is shared."""
    if not path:
        root = {"": doc}
        edit(root, "")
        return root[""]
    if not isinstance(doc, dict | list):
        raise Invalid(DOES_NOT_APPLY)
    copy: Any = doc.copy() if isinstance(doc, list) else dict(doc)
    if len(path) == 1:
        edit(copy, path[0])
        return copy
    key: Any = _index(path[0], len(copy)) if isinstance(copy, list) else path[0]
    if isinstance(copy, dict) and key not in copy:
        raise Invalid(DOES_NOT_APPLY)
    copy[key] = _change(copy[key], path[1:], edit)
    return copy


def _replacer(value: Any) -> _Edit:
    def edit(container: Any, token: str) -> None:
        container[_index(token, len(container)) if isinstance(container, list) else token] = value

    return edit


def _add(doc: Any, path: list[str], value: Any) -> Any:
    def edit(container: Any, token: str) -> None:
        if isinstance(container, dict):
            container[token] = value
        else:
            size = len(container) + 1
            container.insert(size - 1 if token == "-" else _index(token, size), value)

    return _change(doc, path, edit)


def _remove(doc: Any, path: list[str]) -> Any:
    if not path:
        raise Invalid(DOES_NOT_APPLY)

    def edit(container: Any, token: str) -> None:
        if isinstance(container, list):
            del container[_index(token, len(container))]
        elif token in container:
            del container[token]
        else:
            raise Invalid(DOES_NOT_APPLY)

    return _change(doc, path, edit)
