"""JSON patch: every operation, the tolerances, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from minik8s.machinery.errors import BadRequest, Invalid, RequestEntityTooLarge
from minik8s.machinery.patch.jsonpatch import DOES_NOT_APPLY, apply_json_patch, equal

DOC: dict[str, Any] = {"a": {"b": 1, "x/y": 2, "m~n": 3}, "l": [1, 2, 3], "n": None}


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        ({"op": "add", "path": "/a/c", "value": [1]}, {"a": {**DOC["a"], "c": [1]}}),
        ({"op": "add", "path": "/a/b", "value": 9}, {"a": {**DOC["a"], "b": 9}}),
        ({"op": "add", "path": "/l/1", "value": 9}, {"l": [1, 9, 2, 3]}),
        ({"op": "add", "path": "/l/-", "value": 9}, {"l": [1, 2, 3, 9]}),
        ({"op": "add", "path": "/l/-1", "value": 9}, {"l": [1, 2, 3, 9]}),
        ({"op": "add", "path": "/l/3", "value": 9}, {"l": [1, 2, 3, 9]}),
        ({"op": "remove", "path": "/a/x~1y"}, {"a": {"b": 1, "m~n": 3}}),
        ({"op": "remove", "path": "/a/m~0n"}, {"a": {"b": 1, "x/y": 2}}),
        ({"op": "remove", "path": "/l/-1"}, {"l": [1, 2]}),
        ({"op": "replace", "path": "/l/0", "value": None}, {"l": [None, 2, 3]}),
        ({"op": "replace", "path": "/a", "value": 1}, {"a": 1}),
        ({"op": "move", "from": "/l/0", "path": "/l/2"}, {"l": [2, 3, 1]}),
        ({"op": "copy", "from": "/a/b", "path": "/c"}, {"c": 1}),
        ({"op": "test", "path": "/l", "value": [1, 2, 3]}, {}),
        ({"op": "test", "path": "/n", "value": None}, {}),
        ({"op": "test", "path": "/absent", "value": None}, {}),
    ],
)
def test_operations(op: dict[str, Any], expected: dict[str, Any]) -> None:
    """Each operation gives the document that RFC 6902 says and leaves its input alone."""
    before = copy.deepcopy(DOC)
    assert apply_json_patch(DOC, [op]) == {**DOC, **expected}
    assert before == DOC


@pytest.mark.parametrize(
    ("op", "why"),
    [
        ({"op": "add", "path": "/x/y"}, 'add operation does not apply: doc is missing path: "/x/y": missing value'),
        (
            {"op": "add", "path": "/l/4", "value": 1},
            "error in add for path: '/l/4': Unable to access invalid index: 4: invalid index referenced",
        ),
        (
            {"op": "remove", "path": "/x"},
            "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            {"op": "replace", "path": "/x", "value": 1},
            "replace operation does not apply: doc is missing key: /x: missing value",
        ),
        (
            {"op": "replace", "path": "/x/y", "value": 1},
            "replace operation does not apply: doc is missing path: /x/y: missing value",
        ),
        ({"op": "test", "path": "/a/b", "value": 2}, "testing value /a/b failed: test failed"),
        ({"op": "jump", "path": "/x"}, "Unexpected kind: jump"),
        ({"path": "/x"}, "Unexpected kind: unknown"),
        ({"op": "add", "value": 1}, "add operation failed to decode path: missing value"),
        ({"op": "copy", "path": "/x"}, "copy operation failed to decode from: missing value"),
    ],
)
def test_why_it_does_not_apply(op: dict[str, Any], why: str) -> None:
    """The exception's text is the library's, for those who are told: the authors of webhooks."""
    with pytest.raises(Invalid) as raised:
        apply_json_patch(DOC, [op])
    assert str(raised.value) == why


@pytest.mark.parametrize(
    "op",
    [
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "/l/4", "value": 1},
        {"op": "add", "path": "/l/x", "value": 1},
        {"op": "add", "path": "/a/b/c", "value": 1},
        {"op": "remove", "path": "/x"},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/l/-4"},
        {"op": "replace", "path": "/x", "value": 1},
        {"op": "move", "from": "/x", "path": "/y"},
        {"op": "copy", "from": "/x", "path": "/y"},
        {"op": "test", "path": "/a/b", "value": 2},
        {"op": "test", "path": "/a/b", "value": True},
        {"op": "test", "path": "/x", "value": 1},
        {"op": "jump", "path": "/x"},
        {"op": "add", "path": "x", "value": 1},
        {"op": "add", "value": 1},
        {"op": "replace", "path": "", "value": 1},
    ],
)
def test_does_not_apply(op: dict[str, Any]) -> None:
    """What does not apply is one generic Invalid."""
    with pytest.raises(Invalid) as raised:
        apply_json_patch(DOC, [op])
    assert raised.value.message == DOES_NOT_APPLY
    assert raised.value.to_status()["details"] == {}


def test_limits() -> None:
    """No list, too many operations, and copies that would blow the document up are refused."""
    with pytest.raises(
        BadRequest, match=r"patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch$"
    ):
        apply_json_patch(DOC, {"op": "add"})
    with pytest.raises(BadRequest, match=r"cannot unmarshal string into Go value of type jsonpatch.Operation$"):
        apply_json_patch(DOC, ["add"])
    with pytest.raises(RequestEntityTooLarge, match="maximum operations in a JSON patch is 10000, got 10001"):
        apply_json_patch(DOC, [{"op": "test", "path": "/n", "value": None}] * 10001)
    doubling = [{"op": "copy", "from": "/a", "path": f"/a/{i}"} for i in range(60)]
    with pytest.raises(Invalid):
        apply_json_patch(DOC, doubling)


def test_shares_what_is_unchanged() -> None:
    """Only the containers on the path are new."""
    result = apply_json_patch(DOC, [{"op": "add", "path": "/a/z", "value": 1}])
    assert result["l"] is DOC["l"]
    assert result["a"] is not DOC["a"]


def test_rollout_undo() -> None:
    """The patch that `kubectl rollout undo` sends."""
    doc = {"metadata": {"name": "web", "annotations": {"a": "1"}}, "spec": {"replicas": 2, "template": {"x": 1}}}
    ops = [
        {"op": "replace", "path": "/spec/template", "value": {"x": 0}},
        {"op": "replace", "path": "/metadata/annotations", "value": {"a": "2"}},
    ]
    assert apply_json_patch(doc, ops) == {
        "metadata": {"name": "web", "annotations": {"a": "2"}},
        "spec": {"replicas": 2, "template": {"x": 0}},
    }


def test_json_equality() -> None:
    """Numbers equal numbers and booleans only booleans, at any depth."""
    assert equal({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]})
    assert not equal({"a": [True]}, {"a": [1]})
    assert not equal([1], [1, 2])
