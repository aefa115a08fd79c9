"""Admission hooks: Python functions of the process that the cluster runs in, asked like webhooks but without HTTP.

    def no_latest(review: Review) -> None:
        for container in review.object["spec"]["containers"]:
            if container["image"].endswith(":latest"):
                review.deny("images need a tag")

    cluster.admission.add(no_latest, resources=["pods"], operations=["CREATE"])

A function is plain or `async`. One that was added as mutating (the default) may change `review.object` in place or put
another document there; what it leaves is defaulted and validated like any other. To refuse, it calls `review.deny` or
raises an `ApiError` of its choice; any other exception is its bug, and the client's request fails with a 500 naming it.
Hooks run in the order in which they were added: mutating ones before the policies and webhooks that mutate, the others
before those that validate. They hold no lock: an object may change while an `async` hook waits, and is then asked about
again.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeAlias

import attrs

from minik8s.api.request import User
from minik8s.apiserver.admission.matching import names_resource
from minik8s.apiserver.admission.plugin import Attributes, Operation
from minik8s.machinery.errors import ApiError, Forbidden, InternalError
from minik8s.machinery.meta import Doc, Obj, copy_document

OPERATIONS = ("CREATE", "UPDATE", "DELETE", "CONNECT")


@attrs.define
class Review:
    """What a hook is asked about. `object` is None for deletions, `old` (never to be changed) for creations.

    `resource` is the plural with group and subresource: `pods`, `deployments.apps`, `pods/status`,
    `deployments.apps/scale`. `warnings` go to the client, `audit_annotations` to the audit log.
    """

    operation: Operation
    resource: str
    namespace: str
    name: str
    user: User
    dry_run: bool
    object: Obj | None
    old: Doc | None
    warnings: list[str]
    audit_annotations: dict[str, str]

    def deny(self, why: str) -> None:
        """Refuses the request: 403 with this text."""
        raise Denied(why)


class Denied(Exception):
    """Raised by `Review.deny`."""


HookFunction: TypeAlias = Callable[[Review], Awaitable[None] | None]


@attrs.frozen(eq=False)
class Hook:
    """A function with what it wants to be asked about; `*` is everything but subresources, `*/*` everything."""

    function: HookFunction
    resources: tuple[str, ...] = ("*",)
    operations: tuple[str, ...] = ("CREATE", "UPDATE")
    mutating: bool = True
    name: str = ""

    def wants(self, operation: str, resource: str) -> bool:
        """Names match as in a webhook's rules: `*` without subresources, `pods/*` with the pod itself, `*/*` all."""
        if operation not in self.operations and "*" not in self.operations:
            return False
        plural, _, subresource = resource.partition("/")
        return names_resource(self.resources, plural, subresource)


class Hooks:
    """The hooks of one cluster, `cluster.admission`."""

    def __init__(self) -> None:
        self.mutating: list[Hook] = []
        self.validating: list[Hook] = []

    def add(
        self,
        function: HookFunction | Hook,
        *,
        resources: Iterable[str] = ("*",),
        operations: Iterable[str] = ("CREATE", "UPDATE"),
        mutating: bool = True,
        name: str = "",
    ) -> Hook:
        """Asks `function` from now on. Raises ValueError for an operation that does not exist."""
        hook = function if isinstance(function, Hook) else self._hook(function, resources, operations, mutating, name)
        if unknown := [o for o in hook.operations if o not in (*OPERATIONS, "*")]:
            raise ValueError(f"operations are {', '.join(OPERATIONS)} or *, not {', '.join(unknown)}")
        (self.mutating if hook.mutating else self.validating).append(hook)
        return hook

    @staticmethod
    def _hook(
        function: HookFunction, resources: Iterable[str], operations: Iterable[str], mutating: bool, name: str
    ) -> Hook:
        if isinstance(resources, str) or isinstance(operations, str):
            raise ValueError("resources and operations are lists of names")
        return Hook(function, tuple(resources), tuple(operations), mutating, name)

    def remove(self, hook: Hook) -> None:
        """Does not ask it any more. Raises ValueError when it is not there."""
        (self.mutating if hook.mutating else self.validating).remove(hook)

    def __iter__(self) -> Iterator[Hook]:
        return iter([*self.mutating, *self.validating])


async def ask(hook: Hook, attributes: Attributes) -> Obj | None:
    """What the hook makes of the object; raises ApiError when it refuses."""
    resource = resource_of(attributes)
    if not hook.wants(attributes.operation, resource):
        return attributes.object
    review = _review(attributes, resource)
    name = hook.name or getattr(hook.function, "__name__", type(hook.function).__name__)
    try:
        waiting = hook.function(review)
        if inspect.isawaitable(waiting):
            await waiting
    except Denied as denied:
        raise Forbidden(f'admission hook "{name}" denied the request: {denied}') from None
    except ApiError:
        raise
    except Exception as error:
        raise InternalError(
            f'Internal error occurred: failed calling admission hook "{name}": {type(error).__name__}: {error}'
        ) from error
    return review.object


def resource_of(attributes: Attributes) -> str:
    """`pods`, `deployments.apps/scale`."""
    request = attributes.request
    plural = request.resource.group_resource
    return f"{plural}/{request.subresource}" if request.subresource else plural


def _review(attributes: Attributes, resource: str) -> Review:
    request = attributes.request
    return Review(
        attributes.operation,
        resource,
        attributes.namespace,
        attributes.name,
        request.user,
        attributes.dry_run,
        copy_document(attributes.object),
        attributes.old,
        attributes.warnings,
        request.audit_annotations,
    )
