"""Field sets: their algebra checked against sets of paths, and their texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minik8s.machinery.fieldset import difference, intersection, is_valid, paths, union

Path = tuple[str, ...]
PATHS = st.sets(st.lists(st.sampled_from(["f:a", "f:b", 'k:{"n":1}']), min_size=1, max_size=3).map(tuple), max_size=6)


def trie(members: set[Path]) -> dict[str, Any]:
    """The canonical trie of a set of paths."""
    root: dict[str, Any] = {}
    for path in sorted(members):
        node = root
        for element in path:
            node = node.setdefault(element, {})
    for path in members:
        node = root
        for element in path:
            node = node[element]
        if node:
            node["."] = {}
    return root


@given(PATHS, PATHS)
def test_algebra(left: set[Path], right: set[Path]) -> None:
    """Union, difference and intersection of tries are those of their members, in canonical form."""
    a, b = trie(left), trie(right)
    assert union(a, b) == trie(left | right)
    assert difference(a, b) == trie(left - right)
    assert intersection(a, b) == trie(left & right)
    assert (a, b) == (trie(left), trie(right))


def test_texts() -> None:
    """Members as error messages show them."""
    fields = {
        "f:spec": {
            "f:containers": {'k:{"name":"c1"}': {".": {}, "f:image": {}}},
            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {}},
        },
        "f:metadata": {"f:finalizers": {".": {}, 'v:"x"': {}}},
        "f:list": {"i:0": {}},
    }
    assert list(paths(fields)) == [
        ".list[0]",
        ".metadata.finalizers",
        '.metadata.finalizers[="x"]',
        '.spec.containers[name="c1"]',
        '.spec.containers[name="c1"].image',
        '.spec.ports[containerPort=80,protocol="TCP"]',
    ]


@pytest.mark.parametrize(
    ("fields", "valid"),
    [
        ({}, True),
        ({"f:a": {".": {}, 'v:"x"': {}, 'k:{"a":1}': {}}}, True),
        ({"a": {}}, False),
        ({"f:a": 1}, False),
        ({"x:a": {}}, False),
        ({"k:{": {}}, False),
        ({"k:1": {}}, False),
        ({"v:{}": {}}, False),
        ([], False),
    ],
)
def test_validity(fields: Any, valid: bool) -> None:
    """What a client sends as a field set is checked for being one."""
    assert is_valid(fields) is valid
