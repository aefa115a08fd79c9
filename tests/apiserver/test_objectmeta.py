"""Metadata that the server itself sets and keeps."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.apiserver import objectmeta

IDENTITY = {"uid": "mine", "creationTimestamp": "then", "generation": 9, "resourceVersion": "4", "selfLink": "/x"}


def test_a_creator_does_not_choose_identity() -> None:
    """What a creator claims about uid, times, version and deletion is replaced; names and labels are theirs."""
    obj: dict[str, Any] = {
        "metadata": {**IDENTITY, "name": "n", "labels": {"a": "b"}, "deletionTimestamp": "t", "namespace": "other"}
    }
    objectmeta.begin_create(obj, "ns")
    assert not {"uid", "creationTimestamp", "deletionTimestamp"} & set(obj["metadata"])
    objectmeta.identify(obj, uid="u", now="now", has_generation=True)
    assert obj["metadata"] == {
        "name": "n",
        "labels": {"a": "b"},
        "namespace": "ns",
        "uid": "u",
        "generation": 1,
        "creationTimestamp": "now",
    }


def test_cluster_scoped_objects_have_no_namespace_and_not_every_kind_has_a_generation() -> None:
    """Without namespace and generation there are no such fields."""
    obj: dict[str, Any] = {"metadata": {"name": "n", "namespace": "x"}}
    objectmeta.begin_create(obj, "")
    objectmeta.identify(obj, uid="u", now="now", has_generation=False)
    assert obj["metadata"] == {"name": "n", "uid": "u", "creationTimestamp": "now"}


def test_an_update_cannot_change_identity() -> None:
    """An update keeps what the server owns, also what the caller left out or made up."""
    old = {"metadata": {"name": "n", "uid": "u", "creationTimestamp": "then", "generation": 2, "resourceVersion": "7"}}
    obj: dict[str, Any] = {"metadata": {"name": "n", **IDENTITY, "deletionTimestamp": "t", "labels": {"a": "b"}}}
    objectmeta.begin_update(obj, old)
    assert obj["metadata"] == {**old["metadata"], "labels": {"a": "b"}}


@pytest.mark.parametrize(
    ("changed", "grows"),
    [
        ({"spec": 2}, True),
        ({"data": 1}, True),
        ({"status": 1}, False),
        ({"metadata": {"labels": {}}}, False),
        ({}, False),
    ],
)
def test_what_changes_the_generation(changed: dict[str, Any], grows: bool) -> None:
    """Everything but metadata and status counts as spec."""
    old: dict[str, Any] = {"kind": "K", "metadata": {}, "spec": 1}
    assert objectmeta.spec_changed({**old, **changed}, old) is grows


@pytest.mark.parametrize(
    ("propagation", "expected"),
    [
        ("", ["mine", "orphan"]),
        ("Background", ["mine"]),
        ("Foreground", ["mine", "foregroundDeletion"]),
        ("Orphan", ["mine", "orphan"]),
    ],
)
def test_deletion_finalizers(propagation: str, expected: list[str]) -> None:
    """A policy replaces what an earlier one left, no policy leaves it."""
    assert objectmeta.deletion_finalizers({"metadata": {"finalizers": ["mine", "orphan"]}}, propagation) == expected


def test_a_mark_of_deletion() -> None:
    """The marked object says when, how gracefully and for whom it waits, and is finished when nobody is left."""
    obj = {"kind": "ConfigMap", "metadata": {"name": "n", "generation": 1}}
    assert not objectmeta.is_finished(obj)
    waiting = objectmeta.mark_deleted(obj, when="t", grace=0, finalizers=["f"])
    assert waiting["metadata"] == {
        "name": "n",
        "generation": 2,
        "deletionTimestamp": "t",
        "deletionGracePeriodSeconds": 0,
        "finalizers": ["f"],
    }
    assert not objectmeta.is_finished(waiting)
    assert objectmeta.is_finished(objectmeta.mark_deleted(obj, when="t", grace=0, finalizers=[]))
    assert not objectmeta.is_finished(objectmeta.mark_deleted(obj, when="t", grace=30, finalizers=[]))
    assert obj["metadata"] == {"name": "n", "generation": 1}, "the stored object is not touched"
