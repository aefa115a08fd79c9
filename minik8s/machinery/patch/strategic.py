"""Strategic merge patch: a merge patch that knows which lists merge, by which key, and in which order.

A port of apimachinery `pkg/util/strategicpatch/patch.go` (`mergeMap`, `mergeSlice`, `normalizeElementOrder`) to
functions that return new values. The field's strategy and merge key come from its type; directives
(`$patch`, `$retainKeys`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…`) come from the patch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minik8s.machinery.errors import BadRequest, Invalid
from minik8s.machinery.meta import CONTAINERS, Doc, Obj
from minik8s.machinery.patch.gotext import go_text, not_decoded
from minik8s.machinery.patch.shape import Shape, ShapeField

PATCH = "$patch"
RETAIN_KEYS = "$retainKeys"
SET_ORDER = "$setElementOrder"
DELETE_PRIMITIVES = "$deleteFromPrimitiveList"
_ORDER_OF, _DELETE_FROM = SET_ORDER + "/", DELETE_PRIMITIVES + "/"
"""What stands before the name of a list."""


def apply_strategic(doc: Doc, patch: Any, type: Shape) -> Obj:
    """The patched document of type `type`; raises BadRequest or Invalid when the patch is malformed."""
    if not isinstance(patch, dict):
        raise BadRequest(f"error decoding patch: {not_decoded(patch, 'map[string]interface {}')}")
    return _merge_map(doc, patch, type)


def _merge_map(original: Doc, patch: Doc, shape: Shape | None) -> Obj:
    directive = patch.get(PATCH)
    if directive == "replace":
        return _added({k: v for k, v in patch.items() if k != PATCH})
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise _unknown_directive(directive, patch)
    result = _retain(original, patch)
    ordered = _merge_ordered(result, patch, shape)
    for key, value in patch.items():
        if _is_directive(key):
            if key.startswith(_DELETE_FROM):
                _delete_primitives(result, key.partition("/")[2], value)
        elif key in ordered:
            continue
        elif value is None:
            result.pop(key, None)
        elif not isinstance(value, CONTAINERS):
            result[key] = value
        elif key in result:
            result[key] = _merge_value(result[key], value, *_lookup(shape, key))
        else:
            result[key] = _added(value)
    return result


def _merge_value(old: Any, new: Any, shape: Shape | None, field: ShapeField | None) -> Any:
    replaces = field is not None and "replace" in field.strategies
    if isinstance(old, dict) and isinstance(new, dict):
        return _added(new) if replaces else _merge_map(old, new, shape)
    if isinstance(old, list) and isinstance(new, list) and field is not None and "merge" in field.strategies:
        return _merge_list(old, new, new, field)
    return _added(new)


def _lookup(shape: Shape | None, key: str) -> tuple[Shape | None, ShapeField | None]:
    """The type of a member and, when the parent is a struct, its field."""
    if shape is None:
        return None, None
    if shape.kind == "map":
        return shape.item, None
    field = shape.fields.get(key)
    return (field.type, field) if field is not None else (None, None)


def _added(value: Any) -> Any:
    """A value that is new in the document: without nulls in its maps, and without directives."""
    if isinstance(value, dict):
        return {
            k: _added(v) if isinstance(v, CONTAINERS) else v
            for k, v in value.items()
            if v is not None and not _is_directive(k)
        }
    if isinstance(value, list):
        return [_added(v) for v in value if not (isinstance(v, dict) and v.get(PATCH) in ("delete", "replace"))]
    return value


def _is_directive(key: str) -> bool:
    return key.startswith("$") and (key in (PATCH, RETAIN_KEYS) or key.startswith((_ORDER_OF, _DELETE_FROM)))


def _retain(original: Doc, patch: Doc) -> Obj:
    """A copy of `original` without the keys that `$retainKeys` does not name."""
    if RETAIN_KEYS not in patch:
        return dict(original)
    keep = patch[RETAIN_KEYS]
    if not isinstance(keep, list):
        raise BadRequest("invalid patch format of retainKeys")
    if any(v is not None and k not in keep and not _is_directive(k) for k, v in patch.items()):
        raise BadRequest("invalid patch format of retainKeys")
    return {k: v for k, v in original.items() if k in keep}


def _delete_primitives(result: Obj, key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise BadRequest("invalid patch format of primitive list")
    if isinstance(result.get(key), list):
        result[key] = [v for v in result[key] if v not in values]


# lists


def _merge_ordered(result: Obj, patch: Doc, shape: Shape | None) -> set[str]:
    """Carries out every `$setElementOrder/<list>` together with its list; returns the lists it has dealt with."""
    done: set[str] = set()
    for directive, order in patch.items():
        if not directive.startswith(_ORDER_OF):
            continue
        key = directive.partition("/")[2]
        field = _lookup(shape, key)[1]
        current, new = result.get(key), patch.get(key)
        if key in patch and new is None:
            continue  # the whole list is deleted: nothing is left to order
        for value in (order, current, new):
            if value is not None and not isinstance(value, list):
                raise BadRequest("invalid patch format of setElementOrder list")
        if field is None or (current is None and new is None):
            continue
        _check_order(new or [], order, field.merge_key)
        result[key] = _merge_list(current or [], new or [], order, field)
        done.add(key)
    return done


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """The patch's elements must stand in the order list, in the same order."""
    rest = iter([_identity(item, key) for item in order])
    wanted = [_identity(v, key) for v in patch if not (isinstance(v, dict) and PATCH in v)]
    if not all(item in rest for item in wanted):
        texts = (go_text(patch), go_text(order))
        raise BadRequest(f"The order in patch list:\n{texts[0]}\n doesn't match {SET_ORDER} list:\n{texts[1]}\n")


def _merge_list(current: list[Any], patch: list[Any], order: list[Any], field: ShapeField) -> list[Any]:
    """The merged list, ordered by `order` (the patch itself when no directive says otherwise)."""
    key = field.merge_key
    if any(isinstance(v, list) for v in (*current, *patch)):
        raise Invalid("lists of lists are not supported")
    if not key:
        merged = list(dict.fromkeys(_identity(item, "") for item in (*current, *patch)))
    else:
        current, patch = _special_elements(current, patch, key)
        merged = _merge_elements(current, patch, key, field.type.item)
        order = [item for item in order if not (isinstance(item, dict) and PATCH in item)]
    return _in_order(merged, order, current, lambda item: _identity(item, key))


def _identity(item: Any, key: str) -> Any:
    """What tells one element of a merge list from another: the merge key's value, or the primitive itself."""
    if key and (not isinstance(item, dict) or key not in item):
        raise BadRequest(f"map: {go_text(item)} does not contain declared merge key: {key}")
    identity = item[key] if key else item
    if isinstance(identity, CONTAINERS):
        raise BadRequest("invalid patch format of primitive list")
    return identity


def _special_elements(current: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Carries out the elements that are directives; returns what is left of both lists."""
    plain, replace = [], False
    for element in patch:
        directive = element.get(PATCH) if isinstance(element, dict) else None
        if directive is None:
            plain.append(element)
        elif directive == "delete":
            gone = _identity(element, key)
            current = [item for item in current if item.get(key) != gone]
        elif directive == "replace":
            replace = True
        elif directive == "merge":
            raise BadRequest("merging lists cannot yet be specified in the patch")
        else:
            raise _unknown_directive(directive, element)
    return ([] if replace else current), plain


def _merge_elements(current: list[Any], patch: list[Any], key: str, shape: Shape | None) -> list[Any]:
    merged = list(current)
    for element in patch:
        identity = _identity(element, key)
        for index, item in enumerate(merged):
            if item.get(key) == identity:
                merged[index] = _merge_map(item, element, shape)
                break
        else:
            merged.append(_added(element))
    return merged


def _in_order(merged: list[Any], order: list[Any], server: list[Any], identity: Callable[[Any], Any]) -> list[Any]:
    """Elements that `order` names in its order, the others in the server's, woven together.

    The next element is the server's own only if both heads stood on the server and its own stood first.
    """
    wanted = {identity(item): index for index, item in reversed(list(enumerate(order)))}
    before = {identity(item): index for index, item in reversed(list(enumerate(server)))}
    identified = [(identity(item), item) for item in merged]
    named = sorted((pair for pair in identified if pair[0] in wanted), key=lambda pair: wanted[pair[0]])
    others = [pair for pair in identified if pair[0] not in wanted]
    result: list[Any] = []
    i = 0
    for own, item in named:
        place = before.get(own, -1)
        while i < len(others) and before.get(others[i][0], len(server)) < place:
            result.append(others[i][1])
            i += 1
        result.append(item)
    return result + [item for _, item in others[i:]]


def _unknown_directive(directive: Any, patch: Doc) -> BadRequest:
    return BadRequest(f"unknown patch type: {go_text(directive)} in map: {go_text(patch)}")
