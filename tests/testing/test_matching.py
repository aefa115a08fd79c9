"""Matchers, and the differences that they tell."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.testing.matching import every, explain_comparison, like, some

POD: Any = {
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "main", "image": "a:1"}, {"name": "side", "image": "b:1"}], "priority": 0},
    "status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}], "podIPs": [{"ip": "1"}]},
}


def small(value: int) -> bool:
    """less than five"""
    return value < 5


CASES: list[tuple[Any, list[str]]] = [
    ({"metadata": {"labels": {"app": "web"}}}, []),
    ({"status": {"phase": "Running"}}, ["status.phase: wanted 'Running', found 'Pending'"]),
    ({"spec": {"containers": [{"name": "side", "image": "b:1"}]}}, []),
    ({"spec": {"containers": [{"name": "side", "image": "b:2"}]}}, [
        "spec.containers[name=side].image: wanted 'b:2', found 'b:1'"
    ]),
    ({"spec": {"containers": [{"name": "x"}]}}, ["spec.containers[name=x]: wanted {'name': 'x'}, found nothing"]),
    ({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, [
        "status.conditions[type=Ready].status: wanted 'True', found 'False'"
    ]),
    ({"status": {"podIPs": []}}, ["status.podIPs: wanted 0 items, found 1: [{'ip': '1'}]"]),
    ({"status": {"podIPs": [{"ip": str}]}}, []),
    ({"spec": {"nodeName": None, "containers": ...}}, []),
    ({"spec": {"nodeName": ..., "containers": None, "priority": small}}, [
        "spec.nodeName: wanted something, found nothing",
        f"spec.containers: wanted nothing, found {POD['spec']['containers']!r}",
    ]),
    ({"spec": {"priority": str}}, ["spec.priority: wanted str, found 0"]),
    ({"spec": {"priority": lambda value: value > 5}}, ["spec.priority: wanted <lambda>, found 0"]),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "differences"), CASES)
def test_like(wanted: Any, differences: list[str]) -> None:
    """Only what is named counts, items of lists are found by name, and each difference is one line with its path."""
    assert like(wanted).differences(POD) == differences
    assert (like(wanted) == POD) is not bool(differences)
    shown = explain_comparison("==", POD, like(wanted))
    assert shown == ["Pod shop/web is not like that", *differences]


def test_conditions() -> None:
    """`every` and `some` count, and say what is wrong with whom."""
    running = {"status": {"phase": "Running"}}
    other: Any = {**POD, "metadata": {"name": "b"}, "status": {"phase": "Running"}}
    assert every(running, count=1)([other])
    assert every(running, count=2).differences([POD]) == [
        "wanted 2 of them, found 1",
        "Pod shop/web.status.phase: wanted 'Running', found 'Pending'",
    ]
    assert every(running).differences([]) == ["wanted some, found none"]
    assert some(running)([POD, other])
    assert not some(running, count=2)([POD, other])
    assert some(running).differences([POD])[0] == "wanted at least one like that, found 0 of 1"


def test_other_comparisons_are_left_alone() -> None:
    """What is no matcher, or no `==`, is pytest's own affair."""
    assert explain_comparison("==", 1, 2) is None
    assert explain_comparison("!=", POD, like({})) is None
