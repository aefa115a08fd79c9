"""What becomes of an object, given its owners."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.controllers.gc_plan import (
    Verdict,
    judge,
    state_of_owner,
    without_blocks,
    without_finalizer,
    without_owners,
)

PLAIN: Any = {"metadata": {"uid": "u", "resourceVersion": "7"}}


@pytest.mark.parametrize(
    ("owners", "dependents", "finalizers", "verdict"),
    [
        ({}, [], [], Verdict()),
        ({"a": "solid"}, [], [], Verdict()),
        ({"a": "solid", "b": "dangling", "c": "waiting"}, [], [], Verdict(release=frozenset("bc"))),
        ({"a": "dangling"}, [], [], Verdict("Background")),
        ({"a": "dangling"}, [], ["orphan"], Verdict("Orphan")),
        ({"a": "dangling"}, [], ["foregroundDeletion"], Verdict("Foreground")),
        ({"a": "waiting"}, [], [], Verdict("Background")),
        ({"a": "waiting"}, [False], [], Verdict("Foreground")),
        ({"a": "waiting", "b": "dangling"}, [False, True], [], Verdict("Foreground", unblock=True)),
    ],
)
def test_verdicts(owners: Any, dependents: Any, finalizers: Any, verdict: Verdict) -> None:
    """A solid owner keeps the object; without one it goes, by the policy its owners and finalizers ask for."""
    assert judge({"metadata": {"finalizers": finalizers}}, owners, dependents) == verdict


def test_states() -> None:
    """An owner is dangling when its uid is not there, waiting when it goes in the foreground, else solid."""
    going = {"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    assert state_of_owner(None, "u") == "dangling"
    assert state_of_owner({"metadata": {"uid": "other"}}, "u") == "dangling"
    assert state_of_owner({"metadata": {"uid": "u"}}, "u") == "solid"
    assert state_of_owner({"metadata": going}, "u") == "solid"
    assert state_of_owner({"metadata": {**going, "finalizers": ["foregroundDeletion"]}}, "u") == "waiting"


def test_patches() -> None:
    """Patches hold for one version of one object, and are not made when nothing would change."""
    a, b = {"uid": "a", "blockOwnerDeletion": True}, {"uid": "b"}
    owned = {"metadata": {"uid": "u", "resourceVersion": "7", "ownerReferences": [a, b], "finalizers": ["x", "orphan"]}}
    version = {"uid": "u", "resourceVersion": "7"}
    assert without_owners(owned, {"a"}) == {"metadata": {**version, "ownerReferences": [b]}}
    assert without_owners(owned, {"a", "b"}) == {"metadata": {**version, "ownerReferences": None}}
    assert without_owners(owned, {"z"}) is None
    assert without_finalizer(owned, "orphan") == {"metadata": {**version, "finalizers": ["x"]}}
    assert without_finalizer(PLAIN, "orphan") is None
    unblocked = [{"uid": "a", "blockOwnerDeletion": False}, {"uid": "b", "blockOwnerDeletion": False}]
    assert without_blocks(owned) == {"metadata": {**version, "ownerReferences": unblocked}}
    assert without_blocks({"metadata": {**version, "ownerReferences": [b]}}) is None
