"""Merge patch: the examples of RFC 7386's appendix that apply to objects, and Kubernetes' own cases."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minik8s.machinery.errors import BadRequest
from minik8s.machinery.patch.mergepatch import apply_merge_patch


@pytest.mark.parametrize(
    ("doc", "patch", "expected"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
        ({"a": [1]}, {"a": [{"b": None}, None]}, {"a": [{}, None]}),
    ],
)
def test_vectors(doc: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    """Maps merge, null deletes, the rest replaces; inputs stay as they are."""
    before = copy.deepcopy((doc, patch))
    assert apply_merge_patch(doc, patch) == expected
    assert (doc, patch) == before


@pytest.mark.parametrize("patch", [[], "x", None, 1])
def test_not_an_object(patch: Any) -> None:
    """Anything but an object is a BadRequest."""
    with pytest.raises(BadRequest, match="error decoding patch"):
        apply_merge_patch({}, patch)


def test_shares_what_is_unchanged() -> None:
    """Members the patch does not name are the same objects."""
    doc = {"a": {"b": [1]}, "c": {"d": 1}}
    result = apply_merge_patch(doc, {"c": {"d": 2}})
    assert result["a"] is doc["a"]
