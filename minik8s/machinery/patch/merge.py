"""Merging an applied configuration into a live document, and taking out what its applier has given up.

Both follow structured-merge-diff (`typed/merge.go`, `typed/remove.go`, `merge/update.go`), whose order of list
elements clients can see. New documents share what did not change with the old ones.
"""

from __future__ import annotations

from typing import Any

from minik8s.machinery.fieldset import SELF, FieldSet, is_member
from minik8s.machinery.meta import Obj
from minik8s.machinery.patch.typed import ABSENT, UNTYPED, Node, Relation


def merge(live: Any, config: Any, node: Node) -> Any:
    """The live value with the configuration's fields in it; ABSENT where the configuration says null."""
    relation = node.relation
    if relation is Relation.UNTYPED:
        relation = Relation.MAP if isinstance(config, dict) else Relation.LEAF
    match relation:
        case Relation.STRUCT | Relation.MAP:
            return live if config is None else _merge_maps(live, config, node)
        case Relation.SET | Relation.KEYED:
            return live if config is None else _merge_lists(live, config, node)
    return ABSENT if config is None else config


def _merge_maps(live: Any, config: Obj, node: Node) -> Obj:
    result: Obj = dict(live) if isinstance(live, dict) else {}
    for key, value in config.items():
        merged = merge(result.get(key, ABSENT), value, node.child(key) or UNTYPED)
        if merged is ABSENT:
            result.pop(key, None)
        else:
            result[key] = merged
    return result


def _merge_lists(live: Any, config: list[Any], node: Node) -> list[Any]:
    """Walks both lists at once: elements of the live list keep their places as far as the configuration's order lets
    them (structured-merge-diff's `visitListItems`)."""
    old = live if isinstance(live, list) else []
    left, right = [node.element(v) for v in old], [node.element(v) for v in config]
    by_left, by_right = dict(zip(left, old, strict=True)), dict(zip(right, config, strict=True))
    if len(by_left) < len(left):  # elements that the live list has twice do not merge: the configuration's replaces all
        by_left = {key: by_left[key] if left.count(key) == 1 else ABSENT for key in by_left}
    shared = [key for key in right if key in by_left]
    item = node.item_node
    result: list[Any] = []
    done: set[str] = set()
    i = j = turn = 0  # places in the live list, in the configuration, and among the shared elements

    def take(key: str) -> None:
        nonlocal turn
        result.append(merge(by_left.get(key, ABSENT), by_right[key], item))
        done.add(key)
        if turn < len(shared) and shared[turn] == key:
            turn += 1

    while i < len(left) or j < len(right):
        if i < len(left) and j < len(right):
            if left[i] == right[j]:
                take(left[i])
                i, j = i + 1, j + 1
                continue
            if left[i] in by_right and turn < len(shared) and shared[turn] != left[i]:
                i += 1  # it will come from the configuration's side
                continue
        if i < len(left):
            if left[i] not in by_right:
                result.append(old[i])
                i += 1
                continue
            if left[i] in done:
                i += 1
        if j < len(right):
            take(right[j])
            j += 1
    return result


def remove(value: Any, given_up: FieldSet, owned: FieldSet, node: Node) -> Any:
    """The value without what `given_up` names and nobody in `owned` holds; ABSENT when nothing is left of it.

    A struct's field counts as given up, or as owned, when anything below it is: so a whole struct goes, with the
    defaults in it, when its last owned field goes.
    """
    if isinstance(value, dict) and node.relation is not Relation.LEAF:
        return _remove_members(value, given_up, owned, node)
    if isinstance(value, list) and node.relation in (Relation.SET, Relation.KEYED):
        return _remove_elements(value, given_up, owned, node)
    return value


def _goes(given_up: FieldSet, owned: FieldSet | None, named: bool) -> bool:
    return (named or is_member(given_up)) and (owned is None or not (named or is_member(owned)))


def _remove_members(value: Obj, given_up: FieldSet, owned: FieldSet, node: Node) -> Any:
    result = value
    for key, below in given_up.items():
        name = key[2:]
        if key == SELF or name not in value:
            continue
        kept: Any = ABSENT
        child = node.child(name) or UNTYPED
        if not _goes(below, owned.get(key), node.relation is Relation.STRUCT and child is not UNTYPED):
            kept = remove(value[name], below, owned.get(key) or {}, child)
            if kept is value[name]:
                continue
        if result is value:
            result = dict(value)
        if kept is ABSENT:
            del result[name]
        else:
            result[name] = kept
    return result if result or not value else ABSENT


def _remove_elements(value: list[Any], given_up: FieldSet, owned: FieldSet, node: Node) -> Any:
    item_node = node.item_node
    result = []
    for item in value:
        key = node.element(item)
        below = given_up.get(key)
        if below is None:
            result.append(item)
        elif not _goes(below, owned.get(key), named=False):
            kept = remove(item, below, owned.get(key) or {}, item_node)
            result.append({} if kept is ABSENT else kept)
    if len(result) == len(value) and all(map(_same, result, value)):
        return value
    return result or ABSENT


def _same(left: Any, right: Any) -> bool:
    return left is right
