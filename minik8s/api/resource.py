"""A resource: the noun a URL names, as data.

A `Resource` says where a kind lives and what may be done with it; its shape is a `Type` of the type table, its
behaviour a `Strategy` (strategy.py) and its table columns `Columns` (columns/). Clients import only this
side, so naming a kind costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from minik8s.schema import table

T = TypeVar("T", bound=Mapping[str, Any], covariant=True)

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@attrs.frozen
class Subresource:
    """A part of a resource with verbs of its own; `kind`/`group`/`version` only where they differ from the parent's."""

    name: str
    verbs: tuple[str, ...]
    kind: str = ""
    group: str = ""
    version: str = ""


@attrs.frozen
class ScalePaths:
    """Where a custom resource keeps what its scale subresource shows; `selector` is empty when nowhere."""

    replicas: tuple[str, ...]
    status_replicas: tuple[str, ...]
    selector: tuple[str, ...] = ()


@attrs.frozen(eq=False)
class Custom:
    """What one version of a CustomResourceDefinition says, and a built-in kind's tables say elsewhere.

    type            the shape of its documents, made from the version's schema
    schema          the OpenAPI schema itself, for /openapi
    columns         additionalPrinterColumns
    scale           the paths of the scale subresource, None without one
    deprecated      the text of the Warning that comes with every answer, "" for none
    """

    type: table.Type
    schema: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    columns: tuple[Mapping[str, Any], ...] = ()
    scale: ScalePaths | None = None
    deprecated: str = ""


@attrs.frozen(eq=False, slots=True)
class Resource(Generic[T]):
    """One resource of one API version; T is the TypedDict of its documents."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: tuple[Subresource, ...] = ()
    singular: str = attrs.field(default=attrs.Factory(lambda self: self.kind.lower(), takes_self=True))
    list_kind: str = attrs.field(default=attrs.Factory(lambda self: f"{self.kind}List", takes_self=True))
    custom: Custom | None = None
    """Set by a server for what it serves by a CustomResourceDefinition; clients need not know."""
    api_version: str = attrs.field(init=False)
    """`v1` or `apps/v1`, as in a document's apiVersion. Like `group_resource` asked for many times in every write."""
    group_resource: str = attrs.field(init=False)
    """`pods` or `deployments.apps`: how errors and store keys name it, whatever the version."""

    @api_version.default
    def _api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @group_resource.default
    def _group_resource(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def group_kind(self) -> str:
        """`Pod` or `Deployment.apps`."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @property
    def type(self) -> table.Type:
        """The shape of its documents. Raises KeyError for a custom resource that no server has made."""
        if self.custom is not None:
            return self.custom.type
        return table.struct(self.api_version if self.group else "core/v1", self.kind)

    def subresource(self, name: str) -> Subresource | None:
        for subresource in self.subresources:  # every write asks; a generator would cost it twice as much
            if subresource.name == name:
                return subresource
        return None

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, an object or a subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/".join(parts)


def custom_resource(
    group: str, version: str, plural: str, kind: str, *, namespaced: bool = True
) -> Resource[dict[str, Any]]:
    """A resource that some server serves by a CustomResourceDefinition, for use with a client.

    FOOS = custom_resource("example.com", "v1", "foos", "Foo")
    """
    return Resource(group, version, plural, kind, namespaced)


_VERSION = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?", re.ASCII)


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sorts versions as discovery does: GA before beta before alpha, the higher number first, then other names."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return 3, 0, 0, version
    level = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return level, -int(match[1]), -int(match[3] or 0), version
