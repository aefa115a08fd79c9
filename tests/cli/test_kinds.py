"""Names of resources, as users write them."""

from __future__ import annotations

import click
import pytest

from minik8s.api.resources import BUILTIN
from minik8s.apiserver.discovery import aggregated_core, aggregated_groups
from minik8s.cli.kinds import Kinds, parse_targets, qualified

KINDS = Kinds.from_discovery([aggregated_core(BUILTIN), aggregated_groups(BUILTIN)])


@pytest.mark.parametrize(
    "name", ["deploy", "deployment", "deployments", "Deployment", "deployments.apps", "deployment.v1.apps"]
)
def test_every_way_to_name_a_kind(name: str) -> None:
    """Plural, singular, short name and kind all name it, with and without group and version."""
    assert KINDS.find(name).group_resource == "deployments.apps"


def test_core_comes_before_groups() -> None:
    """A name that two groups serve is the core group's; the other one is reached by its group."""
    assert KINDS.find("events").group == ""
    assert KINDS.find("events.events.k8s.io").group == "events.k8s.io"


def test_unknown_kind() -> None:
    """A kind that is not served is refused with kubectl's words."""
    with pytest.raises(click.ClickException, match='the server doesn\'t have a resource type "frobs"'):
        KINDS.find("frobs")


def test_category_names_each_resource_once() -> None:
    """`all` is every resource of the category, and one that two versions serve is there once."""
    members = [resource.group_resource for resource in KINDS.expand("all")]
    assert {"pods", "services", "deployments.apps", "jobs.batch"} <= set(members)
    assert len(members) == len(set(members))


def test_kind_of_an_object() -> None:
    """An object's resource is found by apiVersion and kind, and refused when either is missing or unknown."""
    assert KINDS.of({"apiVersion": "apps/v1", "kind": "Deployment"}).plural == "deployments"
    with pytest.raises(click.ClickException, match="needs apiVersion and kind"):
        KINDS.of({"kind": "Pod"})
    with pytest.raises(click.ClickException, match='no matches for kind "Pod" in version "v9"'):
        KINDS.of({"apiVersion": "v9", "kind": "Pod"})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["po"], [("pod", ())]),
        (["po", "a", "b"], [("pod", ("a", "b"))]),
        (["po,svc"], [("pod", ()), ("service", ())]),
        (["po/a", "deploy/b"], [("pod", ("a",)), ("deployment.apps", ("b",))]),
    ],
)
def test_targets(arguments: list[str], expected: list[tuple[str, tuple[str, ...]]]) -> None:
    """Kinds with names after them, several kinds, and KIND/NAME pairs."""
    assert [(qualified(t.resource), t.names) for t in parse_targets(arguments, KINDS)] == expected


@pytest.mark.parametrize("arguments", [["po/"], ["/a"], ["po/a", "b"], ["po/a/b"], [","]])
def test_targets_that_are_none(arguments: list[str]) -> None:
    """What is neither form is refused."""
    with pytest.raises(click.ClickException):
        parse_targets(arguments, KINDS)
