"""What a cluster calls its resources, from its own discovery: names, short names, kinds, groups and categories.

Resolving names as kubectl does, without knowing any kind: `po`, `pods`, `Pod`, `deployments.apps` and
`deployments.v1.apps` all work, and so do custom resources.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import click

from minik8s.api.resource import Resource
from minik8s.client.discovery import resources_of
from minik8s.machinery.meta import Doc


@attrs.frozen
class Kinds:
    """Resources in the order of discovery: core first, and of each group the preferred version first."""

    resources: tuple[Resource[Any], ...]

    @classmethod
    def from_discovery(cls, documents: Iterable[Doc]) -> Kinds:
        """From the aggregated discovery documents."""
        return cls(tuple(found for document in documents for found in resources_of(document)))

    def find(self, name: str) -> Resource[Any]:
        """The resource that a user means by `name`. Raises ClickException with kubectl's words."""
        for resource in self.resources:
            if name.lower() in _names(resource):
                return resource
        raise click.ClickException(f'the server doesn\'t have a resource type "{name}"')

    def expand(self, name: str) -> list[Resource[Any]]:
        """The resources of a category (`all`) once each, or the one of that name."""
        members: dict[str, Resource[Any]] = {}
        for resource in self.resources:
            if name in resource.categories:
                members.setdefault(resource.group_resource, resource)
        return list(members.values()) or [self.find(name)]

    def of(self, obj: Doc) -> Resource[Any]:
        """The resource of an object by its apiVersion and kind. Raises ClickException."""
        api_version, kind = obj.get("apiVersion"), obj.get("kind")
        if not api_version or not kind:
            raise click.ClickException("an object needs apiVersion and kind")
        for resource in self.resources:
            if (resource.api_version, resource.kind) == (api_version, kind):
                return resource
        raise click.ClickException(f'no matches for kind "{kind}" in version "{api_version}"')


@attrs.frozen
class Target:
    """Objects a command is for: those of the names, or all of the resource."""

    resource: Resource[Any]
    names: tuple[str, ...] = ()


def parse_targets(arguments: Sequence[str], kinds: Kinds) -> list[Target]:
    """`KIND[,KIND] [NAME...]` or `KIND/NAME...`. Raises ClickException."""
    if any("/" in argument for argument in arguments):
        return [_slashed(argument, kinds) for argument in arguments]
    found = [resource for name in arguments[0].split(",") if name for resource in kinds.expand(name)]
    if not found:
        raise click.ClickException("name the kind of resource to work on")
    return [Target(resource, tuple(arguments[1:])) for resource in found]


def _slashed(argument: str, kinds: Kinds) -> Target:
    kind, _, name = argument.partition("/")
    if not kind or not name or "/" in name:
        raise click.ClickException(f'"{argument}" is not KIND/NAME, as the other arguments are')
    return Target(kinds.find(kind), (name,))


def qualified(resource: Resource[Any]) -> str:
    """`pod` or `deployment.apps`: how kubectl names a kind before a slash."""
    return resource.group_kind.lower()


def _names(resource: Resource[Any]) -> set[str]:
    names = {resource.plural, resource.singular, resource.kind.lower(), *resource.short_names} - {""}
    suffixes = ["", f".{resource.version}.{resource.group}"]
    if resource.group:
        suffixes.append(f".{resource.group}")
    return {name + suffix for name in names for suffix in suffixes}
