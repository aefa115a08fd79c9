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
from minik8s.machinery.patch.gotext import not_decoded

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 * 1024 * 1024
"""All `copy` operations together may not add more (upstream's JSONPatchMaxCopyBytes)."""
DOES_NOT_APPLY = "the server rejected our request due to an error in our request"

_MISSING = object()


class DoesNotApply(Invalid):
    """The generic 422 of an operation that does not apply; `why` is what the library says, which webhooks are told."""

    def __init__(self, why: str) -> None:
        super().__init__(DOES_NOT_APPLY)
        self.why = why

    def __str__(self) -> str:
        return self.why


def apply_json_patch(doc: Doc, ops: Any) -> Obj:
    """The document after all operations, in order.

    Raises BadRequest when `ops` is no list of operations, RequestEntityTooLarge for too many of them, and
    DoesNotApply when one does not.
    """
    if not isinstance(ops, list):
        raise BadRequest(f"error decoding patch: {not_decoded(ops, 'jsonpatch.Patch')}")
    for op in ops:
        if not isinstance(op, dict):
            raise BadRequest(f"error decoding patch: {not_decoded(op, 'jsonpatch.Operation')}")
    if len(ops) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(ops)}"
        )
    result: Any = doc
    copied = 0
    for op in ops:
        try:
            if op.get("op") == "copy":
                copied += len(orjson.dumps(_get(result, _path(op, "from"))))
            changed = _apply(result, op) if copied <= MAX_COPIED_BYTES else None
        except Invalid:
            raise DoesNotApply(_why(result, op)) from None
        if copied > MAX_COPIED_BYTES:
            raise DoesNotApply(
                f"Unable to complete the copy, the accumulated size increase of copy is {copied}, "
                f"exceeding the limit {MAX_COPIED_BYTES}"
            )
        result = changed
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


def _why(doc: Any, op: Obj) -> str:
    """Upstream's words for an operation that does not apply to `doc`."""
    kind, path = op.get("op"), op.get("path")
    if kind not in ("add", "remove", "replace", "move", "copy", "test"):
        return f"Unexpected kind: {kind if isinstance(kind, str) else 'unknown'}"
    member = "from" if kind in ("move", "copy") else "path"
    pointer = op.get(member)
    if not isinstance(path, str) or not isinstance(pointer, str):
        return f"{kind} operation failed to decode {member if isinstance(path, str) else 'path'}: missing value"
    parent, _, key = pointer.rpartition("/")
    try:
        container = _get(doc, _path({member: parent}, member))
    except Invalid:
        container = None
    if not pointer or not isinstance(container, dict | list):
        shown = f'"{pointer}"' if kind in ("add", "remove") else pointer
        return f"{kind} operation does not apply: doc is missing {member}: {shown}: missing value"
    if kind == "replace":
        return f"replace operation does not apply: doc is missing key: {pointer}: missing value"
    if kind == "test":
        return f"testing value {pointer} failed: test failed"
    if isinstance(container, list):
        return f"error in {kind} for path: '{pointer}': Unable to access invalid index: {key}: invalid index referenced"
    return f"error in {kind} for path: '{pointer}': Unable to remove nonexistent key: {key}: missing value"


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
