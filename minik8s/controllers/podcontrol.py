"""Carrying out a plan on pods: many creations in growing batches, many deletions side by side, an event for each.

Upstream: `RealPodControl` and `slowStartBatch`. The batches double, so that a pod that cannot be created costs a few
requests and not five hundred.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import anyio

from minik8s.api.resources import PODS
from minik8s.client.client import Client
from minik8s.client.events import EventRecorder
from minik8s.machinery.errors import ApiError, NotFound
from minik8s.machinery.meta import Doc, Obj, controller_reference, name_of, namespace_of, revision_of, uid_of

SIDE_BY_SIDE = 16

Act = Callable[[], Awaitable[int]]
"""Does something to an object and returns its new revision."""


def pod_from_template(template: Doc, owner: Doc, prefix: str) -> Obj:
    """A pod to create: named `<prefix>` plus a random suffix, controlled by `owner`."""
    given = template.get("metadata") or {}
    metadata: Obj = {key: dict(given[key]) for key in ("labels", "annotations") if given.get(key)}
    if given.get("finalizers"):
        metadata["finalizers"] = list(given["finalizers"])
    metadata |= {
        "generateName": prefix,
        "namespace": namespace_of(owner),
        "ownerReferences": [controller_reference(owner)],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template.get("spec") or {}}


class PodControl:
    """Creates and deletes pods for owners, and tells of it in events on the owner."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder

    async def create(self, pod: Doc, owner: Doc) -> Any:
        """Returns the pod; an event either way, except when the namespace is on its way out."""
        try:
            created = await self._client.create(PODS, pod)
        except ApiError as error:
            if not is_namespace_terminating(error):
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name_of(created)}")
        return created

    async def delete(self, pod: Doc, owner: Doc) -> int:
        """Returns the revision after which the pod is seen to be leaving; 0 when it had gone before."""
        name = name_of(pod)
        try:
            result = await self._client.delete(PODS, name, namespace=namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return 0
        except ApiError as error:
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        return revision_of(result)

    async def create_many(self, pods: Sequence[Doc], owner: Doc) -> tuple[int, ApiError | None]:
        """Creates in slow-start batches and stops after the first batch with an error.

        Returns the highest revision written and that error; a terminating namespace is no error.
        """
        revision = 0
        remaining = iter(pods)
        for size in batch_sizes(len(pods)):
            acts = [self._creation(next(remaining), owner) for _ in range(size)]
            done, error = await side_by_side(acts)
            revision = max(revision, done)
            if error is not None:
                return revision, None if is_namespace_terminating(error) else error
        return revision, None

    async def delete_many(self, pods: Sequence[Doc], owner: Doc) -> tuple[int, ApiError | None]:
        """Deletes all; returns the highest revision written and the first error."""
        return await side_by_side([self._deletion(pod, owner) for pod in pods])

    def _creation(self, pod: Doc, owner: Doc) -> Act:
        async def act() -> int:
            return revision_of(await self.create(pod, owner))

        return act

    def _deletion(self, pod: Doc, owner: Doc) -> Act:
        async def act() -> int:
            return await self.delete(pod, owner)

        return act


def batch_sizes(count: int) -> Iterator[int]:
    """1, 2, 4, 8, … adding up to `count`."""
    size = 1
    while count > 0:
        yield min(size, count)
        count -= size
        size *= 2


async def side_by_side(acts: Sequence[Act]) -> tuple[int, ApiError | None]:
    """Runs all, a few at a time, also past errors; the highest revision and the first error."""
    revisions = [0]
    errors: list[ApiError] = []
    waiting = iter(acts)

    async def work() -> None:
        for act in waiting:
            try:
                revisions.append(await act())
            except ApiError as error:
                errors.append(error)

    if len(acts) == 1:
        await work()
    elif acts:
        async with anyio.create_task_group() as group:
            for _ in range(min(len(acts), SIDE_BY_SIDE)):
                group.start_soon(work)
    return max(revisions), errors[0] if errors else None


def is_namespace_terminating(error: ApiError) -> bool:
    """Whether a creation was refused because its namespace is being deleted: nothing to complain about."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)
