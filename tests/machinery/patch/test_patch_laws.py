"""Laws of merge patch, JSON patch and strategic merge patch."""

from __future__ import annotations

import copy

from hypothesis import assume, given
from hypothesis import strategies as st

from minik8s.machinery.patch.jsonpatch import apply_json_patch
from minik8s.machinery.patch.mergepatch import apply_merge_patch
from minik8s.machinery.patch.strategic import apply_strategic
from minik8s.schema import table
from tests.machinery.patch.generation import LAWS, NAMES, VALUES, Doc

JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | VALUES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)

DOCS = st.dictionaries(NAMES, JSON, max_size=3)

PATCHES = st.dictionaries(NAMES, st.none() | JSON | st.dictionaries(NAMES, st.none() | JSON, max_size=3), max_size=3)


def merge_diff(old: Doc, new: Doc) -> Doc:
    """The merge patch from one document to another."""
    patch: Doc = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key not in old or type(old[key]) is not type(value) or old[key] != value:
            both = isinstance(value, dict) and isinstance(old.get(key), dict)
            patch[key] = merge_diff(old[key], value) if both else value
    return patch


def composed(first: Doc, second: Doc) -> Doc:
    """One merge patch for two in turn; nulls are kept, for they have something to delete."""
    result = dict(first)
    for key, value in second.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = composed(result[key], value) if both else value
    return result


@LAWS
@given(DOCS, DOCS)
def test_merge_patch_of_a_difference(old: Doc, new: Doc) -> None:
    """The patch from one document to another makes the other of it; with the one back it is undone."""
    there = apply_merge_patch(old, merge_diff(old, new))
    assert there == new
    assert apply_merge_patch(there, merge_diff(new, old)) == old


@LAWS
@given(DOCS, PATCHES)
def test_merge_patch_twice(doc: Doc, patch: Doc) -> None:
    """An empty patch changes nothing, and a patch done twice is a patch done once."""
    assert apply_merge_patch(doc, {}) == doc
    once = apply_merge_patch(doc, patch)
    assert apply_merge_patch(once, patch) == once


def is_composable(doc: Doc, first: Doc, second: Doc) -> bool:
    """Not where the first patch puts a value, at any depth, and the second merges a map: the composition would find the
    document's own map there."""
    for key, value in second.items():
        if isinstance(value, dict) and key in first:
            old, new = doc.get(key), first[key]
            if not (isinstance(new, dict) and isinstance(old, dict) and is_composable(old, new, value)):
                return False
    return True


@LAWS
@given(DOCS, PATCHES, PATCHES)
def test_merge_patches_compose(doc: Doc, first: Doc, second: Doc) -> None:
    """Two patches in turn are their composition, wherever there is one."""
    assume(is_composable(doc, first, second))
    in_turn = apply_merge_patch(apply_merge_patch(doc, first), second)
    assert in_turn == apply_merge_patch(doc, composed(first, second))


@LAWS
@given(DOCS, st.data())
def test_json_patch_and_its_inverse(doc: Doc, data: st.DataObject) -> None:
    """What an operation did, its inverse undoes; a test of the old value in front of it passes."""
    key, value = data.draw(NAMES), data.draw(JSON)
    path = f"/{key}"
    if key in doc:
        there: list[Doc] = [{"op": "test", "path": path, "value": doc[key]}]
        there.append(data.draw(st.sampled_from([{"op": "remove"}, {"op": "replace", "value": value}])) | {"path": path})
        back = {"op": "add", "path": path, "value": doc[key]}
    else:
        there = [{"op": "add", "path": path, "value": value}]
        back = {"op": "remove", "path": path}
    before = copy.deepcopy(doc)
    changed = apply_json_patch(doc, there)
    assert doc == before
    assert apply_json_patch(changed, [back]) == doc


CONTAINERS = st.lists(
    st.fixed_dictionaries({"name": st.sampled_from("abcd")}, optional={"image": VALUES, "args": st.lists(VALUES)}),
    max_size=4,
    unique_by=lambda container: container["name"],
)


@LAWS
@given(CONTAINERS, CONTAINERS)
def test_strategic_merge_of_lists(live: list[Doc], patch: list[Doc]) -> None:
    """A merge list has every element of both sides once, the patch's fields in it, and its order idempotent."""
    pod = table.struct("core/v1", "Pod")

    def merged(containers: list[Doc], body: Doc) -> list[Doc]:
        found: list[Doc] = apply_strategic({"spec": {"containers": containers}}, {"spec": body}, pod)["spec"][
            "containers"
        ]
        return found

    once = merged(live, {"containers": patch})
    names = [container["name"] for container in once]
    assert sorted(names) == sorted({c["name"] for c in (*live, *patch)})
    by_name = {container["name"]: container for container in once}
    for container in patch:
        assert by_name[container["name"]].items() >= container.items()
    assert merged(once, {"containers": patch}) == once
    assert merged(once, {"containers": []}) == once
    assert merged(once, {"$setElementOrder/containers": [{"name": name} for name in names]}) == once
    backwards = [{"name": name} for name in reversed(names)]
    assert merged(once, {"$setElementOrder/containers": backwards}) == once[::-1]
