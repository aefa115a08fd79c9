"""Who owns what: adoption, release, and hands off everything else."""

from __future__ import annotations

from typing import Any

import pytest

from minik8s.controllers.ownership import selector_of, sort_claims
from minik8s.machinery.selectors import LabelSelector

APP = LabelSelector.from_map({"app": "web"})


def thing(name: str, app: str = "web", *, leaving: bool = False) -> Any:
    metadata: Any = {"name": name, "labels": {"app": app}}
    return {"metadata": metadata | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})}


def names(objects: Any) -> list[str]:
    return [obj["metadata"]["name"] for obj in objects]


def test_matching_orphans_are_adopted_and_strays_released() -> None:
    """What is owned and matches stays, what no longer matches goes, orphans that match come; leaving ones do not."""
    owned = [thing("mine"), thing("stray", "other"), thing("going", leaving=True)]
    orphans = [thing("orphan"), thing("other", "other"), thing("gone", leaving=True)]
    claims = sort_claims(thing("owner"), APP, owned, orphans)
    assert names(claims.owned) == ["mine", "going"]
    assert names(claims.adopt) == ["orphan"]
    assert names(claims.release) == ["stray"]


def test_leaving_owners_change_nothing() -> None:
    """An owner that is being deleted neither adopts nor releases."""
    claims = sort_claims(thing("owner", leaving=True), APP, [thing("stray", "other")], [thing("orphan")])
    assert (claims.owned, claims.adopt, claims.release) == ((), (), ())


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"app": "web"}, True),
        ({"app": "other"}, False),
        (None, False),
        ({}, False),
    ],
)
def test_selectors_of_both_kinds(selector: Any, expected: bool) -> None:
    """ReplicaSets have label selectors, ReplicationControllers plain maps; none at all selects nothing."""
    assert selector_of({"spec": {"selector": selector}}).matches({"app": "web"}) is expected
