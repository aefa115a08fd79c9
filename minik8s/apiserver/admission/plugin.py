"""What an admission plugin is: it sees a write before it is stored, may change the object, and may refuse it.

All plugins' `admit` run first, in order, then all their `validate`. What users register at run time (hooks, policies,
webhooks) follows each of the two, and may be awaited: see `apiserver.admitting`. Plugins read the server's own objects
through a `World`, synchronously: between such a read and the write that follows nothing else runs. Upstream:
k8s.io/apiserver/pkg/admission.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal, Protocol

import attrs

from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.authorization import Authorizer
from minik8s.machinery.errors import Forbidden, StatusCause
from minik8s.machinery.meta import Doc, Obj

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


@attrs.define
class Attributes:
    """One write as plugins see it. `object` is a private copy that may be changed, None for deletions."""

    request: ApiRequest
    operation: Operation
    object: Obj | None
    old: Doc | None
    warnings: list[str]
    dry_run: bool
    kind: tuple[str, str] | None = None
    """(apiVersion, kind) of `object`, where it is not the resource's own: a Scale, a Binding, an Eviction."""
    options: Doc | None = None
    """The DeleteOptions of a deletion; the options of other writes stand in the request."""

    @property
    def namespace(self) -> str:
        return self.request.namespace

    @property
    def name(self) -> str:
        """The object's name, or what its name is going to be made from."""
        metadata = (self.object or {}).get("metadata") or {}
        return metadata.get("name") or self.request.name or metadata.get("generateName", "")

    def concerns(self, operation: Operation, *group_resources: str) -> bool:
        """Whether this is that operation on one of these resources itself, not on a subresource."""
        request = self.request
        return (
            self.operation == operation
            and not request.subresource
            and request.resource.group_resource in group_resources
        )

    def annotate(self, key: str, value: str) -> None:
        """Leaves a note in the request's audit entry; the first under a key stays, as upstream has it."""
        self.request.audit_annotations.setdefault(key, value)

    def forbidden(self, why: str, causes: Iterable[StatusCause] = ()) -> Forbidden:
        """`pods "x" is forbidden: <why>`."""
        resource = self.request.resource
        return Forbidden.object(resource.plural, resource.group, self.name, why, causes=causes)


class World(Protocol):
    """The server's own store: stored documents, never to be changed; and who says what is allowed."""

    @property
    def authorizer(self) -> Authorizer: ...

    def now(self) -> datetime: ...

    def get(self, resource: Resource[Any], name: str, namespace: str = "") -> Doc | None: ...

    def list(self, resource: Resource[Any], namespace: str = "") -> Sequence[Doc]: ...

    @property
    def revision(self) -> int:
        """The revision of the newest write."""
        ...

    def changes(self, resource: Resource[Any], after: int) -> Iterable[tuple[str, str, Doc | None]] | None:
        """(namespace, name, document or None when deleted) of what was written above a revision, oldest first.

        None when that was too long ago: then `list` has to be asked.
        """
        ...


class AdmissionPlugin:
    """The base: neither changes nor refuses anything. `name` is upstream's name of the plugin."""

    name: ClassVar[str] = ""
    resources: ClassVar[Collection[str] | None] = None
    """What it is about, by group and plural (`pods`, `deployments.apps`), None for everything: of writes to other
    resources it is not asked (`chains`). Their subresources are meant as well."""
    stands_on: ClassVar[Collection[str] | None] = None
    """The resources, by group and plural, whose objects it goes by when an object is created, next to the object itself
    without what fills its holes (`Strategy.holes`). As long as none of them changes it would say the same of an
    equal one, and is not asked again. None: it has to be asked. Nothing to say for those that are last."""
    is_last: ClassVar[bool] = False
    """Whether `validate` runs after policies and webhooks, with nothing awaited between it and the store."""

    def must_see(self, request: ApiRequest, body: Doc) -> bool:
        """Whether it has to be asked about this creation all the same, because it goes by something else as well.

        `body` is as the client has sent it: nobody has looked at it.
        """
        return False

    def admit(self, attributes: Attributes, world: World) -> None:
        """May change `attributes.object`; raises ApiError to refuse."""

    def validate(self, attributes: Attributes, world: World) -> None:
        """Raises ApiError to refuse; must not change anything."""
