"""Names and groups."""

from __future__ import annotations

import pytest

from minik8s.api.users import account_of, named


@pytest.mark.parametrize(
    ("name", "groups", "expected"),
    [
        ("alice", [], ["system:authenticated"]),
        ("alice", ["devs"], ["devs", "system:authenticated"]),
        ("alice", ["system:authenticated", "devs"], ["system:authenticated", "devs"]),
        ("alice", ["system:unauthenticated"], ["system:unauthenticated"]),
        ("system:anonymous", [], ["system:unauthenticated"]),
        ("system:anonymous", ["devs"], ["devs", "system:unauthenticated"]),
        (
            "system:serviceaccount:shop:robot",
            [],
            ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
        ),
        ("system:serviceaccount:shop:robot", ["x"], ["x", "system:authenticated"]),
        ("system:serviceaccount:shop", [], ["system:authenticated"]),
    ],
)
def test_groups(name: str, groups: list[str], expected: list[str]) -> None:
    """A user is in the groups that are named, and in those that follow from what is known."""
    assert list(named(name, groups).groups) == expected


def test_accounts() -> None:
    """A service account's user name says which it is; others say nothing."""
    assert account_of("system:serviceaccount:shop:robot") == ("shop", "robot")
    for other in ("alice", "system:serviceaccount:", "system:serviceaccount:a", "system:serviceaccount:a:b:c"):
        assert account_of(other) is None
