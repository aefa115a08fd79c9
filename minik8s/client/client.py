"""The typed client: the verbs of the API over a transport.

    pod = await client.get(PODS, "web", namespace="default")

Objects go in and come out as JSON documents; what comes out is shared with the server and other readers and
must not be mutated (`machinery.meta.evolve` makes changed copies). Failures are `ApiError`s.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, TypeVar

import attrs

from minik8s.api.request import (
    ADMIN,
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    ApiRequest,
    ByteStream,
    User,
    Verb,
    WatchEvent,
    WatchStream,
)
from minik8s.api.resource import Resource
from minik8s.api.users import named
from minik8s.client.transport import Transport
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc

T = TypeVar("T", bound=Mapping[str, Any])

Absence = Callable[[Resource[Any], Callable[[], object]], int | None]
"""(resource, wake): the revision at which there was no object, with `wake` to be called at the first one, or None."""

_PATCH_TYPES = {"json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_PATCH}


def _unknown(_: Resource[Any], __: Callable[[], object]) -> int | None:
    """Who has to ask the server."""
    return None


@attrs.define(eq=False)
class ObjectList(Generic[T]):
    """A page of a list. `resource_version` is where a watch goes on; `continue_` is "" on the last page."""

    items: list[T]
    resource_version: str
    continue_: str = ""
    remaining: int | None = None


class Client:
    """Calls on behalf of one user.

    `field_manager` owns what the client writes, as far as a call does not say otherwise; by default it is the
    `user_agent` up to its first "/". `in_process` says that the server believes whatever user a call names.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        user: User = ADMIN,
        user_agent: str = "minik8s",
        field_manager: str = "",
        in_process: bool = False,
        absent: Absence | None = None,
    ) -> None:
        self._transport = transport
        self.user = user
        self.user_agent = user_agent
        self.field_manager = field_manager
        self._in_process = in_process
        self.absent: Absence = absent or _unknown
        """Whether there is no object of a resource at all, where the server can tell without being asked."""

    def as_agent(self, user_agent: str, *, field_manager: str = "") -> Client:
        """The same client under another user agent: how a component signs its writes."""
        return self._with(self.user, user_agent, field_manager)

    def as_component(
        self, user_agent: str, user: str, groups: Sequence[str] = (), *, field_manager: str = ""
    ) -> Client:
        """How a component of the cluster calls: under its user agent and, in process, as its own user.

        Its rights are not looked up (see `User.trusted`). Over HTTP it is whoever its kubeconfig makes it.
        """
        if not self._in_process:
            return self._with(self.user, user_agent, field_manager)
        who = named(user, groups)
        who = User(who.name, who.uid, who.groups, who.extra, trusted=True)
        return self._with(who, user_agent, field_manager)

    def as_user(
        self, name: str, *, groups: Sequence[str] = (), uid: str = "", extra: Mapping[str, Sequence[str]] | None = None
    ) -> Client:
        """The same client as somebody else, as `kubectl --as` is: it may do what that user may.

        Over HTTP its requests carry Impersonate-* headers, for which this client's own user needs the permission.
        """
        return self._with(named(name, groups, uid, extra), self.user_agent, self.field_manager)

    def over(self, wrap: Callable[[Transport], Transport]) -> Client:
        """The same client with its transport wrapped: for those who look at what is asked."""
        return Client(
            wrap(self._transport),
            user=self.user,
            user_agent=self.user_agent,
            field_manager=self.field_manager,
            in_process=self._in_process,
        )

    def _with(self, user: User, user_agent: str, field_manager: str) -> Client:
        return Client(
            self._transport,
            user=user,
            user_agent=user_agent,
            field_manager=field_manager,
            in_process=self._in_process,
            absent=self.absent,
        )

    async def get(
        self, resource: Resource[T], name: str, *, namespace: str = "", subresource: str = "", **options: str
    ) -> T:
        """One object. Raises NotFound."""
        return await self._call("get", resource, namespace, name, subresource, options)

    async def find(self, resource: Resource[T], name: str, *, namespace: str = "") -> T | None:
        """One object, or None when there is none."""
        try:
            return await self.get(resource, name, namespace=namespace)
        except NotFound:
            return None

    async def list(
        self,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
        resource_version: str = "",
    ) -> ObjectList[T]:
        """Objects of a namespace, or of all namespaces when it is "". `limit` 0 means all."""
        options = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit or ""),
            resourceVersion=resource_version,
        )
        if continue_:
            options["continue"] = continue_
        result = await self._transport.list(self._request("list", resource, namespace, "", "", options))
        return ObjectList(result.items, result.resource_version, result.continue_, result.remaining)  # type: ignore[arg-type]

    def watch_batches(
        self,
        resource: Resource[Any],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        **options: str,
    ) -> AbstractAsyncContextManager[WatchStream]:
        """Events in batches as the server has them: what informers use. ERROR events are delivered, not raised."""
        options |= _given(
            labelSelector=label_selector, fieldSelector=field_selector, resourceVersion=resource_version, watch="true"
        )
        return self._transport.watch(self._request("watch", resource, namespace, "", "", options))

    async def watch(
        self,
        resource: Resource[T],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Events one by one. Without `resource_version` it starts with an ADDED for everything that exists."""
        async with self.watch_batches(
            resource,
            namespace=namespace,
            label_selector=label_selector,
            field_selector=field_selector,
            resource_version=resource_version,
        ) as batches:
            async for batch in batches:
                for event in batch:
                    yield event

    async def create(
        self,
        resource: Resource[T],
        obj: Doc,
        *,
        namespace: str = "",
        subresource: str = "",
        name: str = "",
        **options: str,
    ) -> T:
        """Creates; the namespace defaults to the object's own, its kind to the resource's. With `subresource` (binding,
        eviction, token) `name` is the object's. Raises AlreadyExists, Invalid, Forbidden."""
        namespace = namespace or obj.get("metadata", {}).get("namespace", "")
        if not subresource:
            obj = _typed(resource, obj)
        return await self._call("create", resource, namespace, name, subresource, options, obj)

    async def update(self, resource: Resource[T], obj: Doc, *, subresource: str = "", **options: str) -> T:
        """Replaces. Raises Conflict when the object's resourceVersion is stale."""
        meta = obj["metadata"]
        if subresource in ("", "status"):
            obj = _typed(resource, obj)
        return await self._call("update", resource, meta.get("namespace", ""), meta["name"], subresource, options, obj)

    async def update_status(self, resource: Resource[T], obj: Doc, **options: str) -> T:
        """Replaces the status and nothing else."""
        return await self.update(resource, obj, subresource="status", **options)

    async def patch(
        self,
        resource: Resource[T],
        name: str,
        patch: Doc | Sequence[Doc],
        *,
        namespace: str = "",
        type: str = "merge",
        subresource: str = "",
        **options: str,
    ) -> T:
        """`type` is "merge", "strategic" or "json" (a list of operations)."""
        return await self._call(
            "patch", resource, namespace, name, subresource, options, patch, content_type=_PATCH_TYPES[type]
        )

    async def apply(
        self,
        resource: Resource[T],
        obj: Doc,
        *,
        manager: str = "",
        force: bool = True,
        subresource: str = "",
        dry_run: bool = False,
    ) -> T:
        """Server-side apply: the object is to have these fields, owned by `manager` (the client's by default).

        Creates what does not exist. Raises Conflict when another manager owns a field, unless `force`.
        """
        meta = obj["metadata"]
        if subresource in ("", "status"):
            obj = _typed(resource, obj)
        options = {"fieldManager": manager or self.field_manager or self.user_agent.partition("/")[0]}
        if dry_run:
            options["dryRun"] = "All"
        if force:
            options["force"] = "true"
        return await self._call(
            "patch", resource, meta.get("namespace", ""), meta["name"], subresource, options, obj, APPLY_PATCH
        )

    async def delete(
        self,
        resource: Resource[Any],
        name: str,
        *,
        namespace: str = "",
        grace_period: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> Mapping[str, Any]:
        """Deletes, or begins to. `uid` and `resource_version` are preconditions (Conflict when they differ)."""
        body: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_period is not None:
            body["gracePeriodSeconds"] = grace_period
        if propagation:
            body["propagationPolicy"] = propagation
        if preconditions := _given(uid=uid, resourceVersion=resource_version):
            body["preconditions"] = preconditions
        return await self._call("delete", resource, namespace, name, "", {}, body)

    async def delete_all(
        self, resource: Resource[T], *, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> ObjectList[T]:
        """Deletes a whole collection; answers what was deleted or begun to be."""
        options = _given(labelSelector=label_selector, fieldSelector=field_selector)
        result = await self._transport.list(self._request("deletecollection", resource, namespace, "", "", options))
        return ObjectList(result.items, result.resource_version)  # type: ignore[arg-type]

    def logs(
        self, resource: Resource[Any], name: str, *, namespace: str, **options: str
    ) -> AbstractAsyncContextManager[ByteStream]:
        """A pod's log as bytes; options are those of the log subresource (`container`, `follow`, `tailLines`, …)."""
        return self._transport.stream(self._request("get", resource, namespace, name, "log", options))

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def _call(
        self,
        verb: Verb,
        resource: Resource[Any],
        namespace: str,
        name: str,
        subresource: str,
        options: dict[str, str],
        body: Any = None,
        content_type: str = "",
    ) -> Any:
        return await self._transport.call(
            self._request(verb, resource, namespace, name, subresource, options, body, content_type)
        )

    def _request(
        self,
        verb: Verb,
        resource: Resource[Any],
        namespace: str,
        name: str,
        subresource: str,
        options: dict[str, str],
        body: Any = None,
        content_type: str = "",
    ) -> ApiRequest:
        if self.field_manager and verb in ("create", "update", "patch"):
            options.setdefault("fieldManager", self.field_manager)
        return ApiRequest(
            verb=verb,
            resource=resource,
            namespace=namespace,
            name=name,
            subresource=subresource,
            options=options,
            body=body,
            content_type=content_type,
            user=self.user,
            user_agent=self.user_agent,
        )


def _typed(resource: Resource[Any], obj: Doc) -> Doc:
    """The object with its kind, which servers want to be told of custom resources."""
    if "kind" in obj and "apiVersion" in obj:
        return obj
    return {"kind": resource.kind, "apiVersion": resource.api_version, **obj}


def _given(**options: str) -> dict[str, str]:
    return {key: value for key, value in options.items() if value}
