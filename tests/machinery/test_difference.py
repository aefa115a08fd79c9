"""Differences between documents: the fields that differ, by paths that a person would write."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.machinery.difference import differences

CASES: list[tuple[Any, Any, list[str]]] = [
    ({"a": 1}, {"a": 1}, []),
    ({"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}, ["spec.replicas: 1 -> 3"]),
    ({"a": None}, {}, ["a: null -> (none)"]),
    ({}, {"a": {"b": 1}}, ['a: (none) -> {"b":1}']),
    ({"a": {}}, {"a": []}, ["a: {} -> []"]),
    ({"a": [1, 2]}, {"a": [1, 3]}, ["a: [1,2] -> [1,3]"]),
    (
        {"c": [{"name": "x", "image": "a"}, {"name": "y"}]},
        {"c": [{"name": "y"}, {"name": "x", "image": "b"}]},
        ['c[x].image: "a" -> "b"'],
    ),
    ({"c": [{"name": "x"}]}, {"c": []}, ['c[x]: {"name":"x"} -> (none)']),
    (
        {"c": [{"name": "x"}, {"name": "x"}]},
        {"c": [{"name": "x"}]},
        ['c: [{"name":"x"},{"name":"x"}] -> [{"name":"x"}]'],
    ),
    ({"labels": {"a/b": "1"}}, {"labels": {"a/b": "2"}}, ['labels[a/b]: "1" -> "2"']),
    ({"metadata": {"resourceVersion": "1", "managedFields": []}}, {"metadata": {"resourceVersion": "2"}}, []),
    ({"a": "x" * 100}, {"a": ""}, [f'a: "{"x" * 68}… -> ""']),
]


@pytest.mark.parametrize(("before", "after", "told"), CASES)
def test_differences(before: Any, after: Any, told: list[str]) -> None:
    """From one document to the other, fields are named by path and list members by what tells them apart."""
    assert [str(difference) for difference in differences(before, after)] == told
