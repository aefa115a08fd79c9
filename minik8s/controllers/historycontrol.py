"""Keeping the ControllerRevisions of a DaemonSet or StatefulSet in line with its template.

Upstream: `pkg/controller/history/controller_history.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from minik8s.api.resources import CONTROLLER_REVISIONS
from minik8s.controllers.history import identity, number, plan_history, superfluous
from minik8s.controllers.ownership import claim, index_orphans
from minik8s.controllers.runtime import Reconciler
from minik8s.machinery.errors import AlreadyExists, NotFound
from minik8s.machinery.meta import Doc, controller_of, evolve, name_of, namespace_of, revision_of, uid_of


class HistoryControl:
    """The revisions of the objects of one reconciler."""

    def __init__(self, reconciler: Reconciler[Any]) -> None:
        informer = reconciler.informers(CONTROLLER_REVISIONS)
        index_orphans(informer)
        self._reconciler, self._client, self._lister = reconciler, reconciler.client, informer.lister

    async def sync(self, owner: Doc) -> tuple[list[Doc], Doc]:
        """All revisions of the owner, and the one of its present template.

        Raises AlreadyExists after counting a collision in the owner's status when another template has its name.
        """
        resource = self._reconciler.resource
        revisions = list(await claim(self._client, resource, owner, CONTROLLER_REVISIONS, self._lister))
        todo = plan_history(owner, revisions)
        if todo.create:
            update = await self._create(owner, todo.update)
            return [*revisions, update], update
        if todo.renumber:
            update = await self._client.update(CONTROLLER_REVISIONS, todo.update)
            await self._lister.caught_up(revision_of(update))
            return [rev for rev in revisions if name_of(rev) != name_of(update)] + [update], update
        return revisions, todo.update

    async def truncate(self, owner: Doc, revisions: Sequence[Doc], live: Collection[str], current: str = "") -> None:
        """Deletes what is beyond revisionHistoryLimit; see `superfluous`."""
        last = 0
        for revision in superfluous(owner, revisions, live, current):
            try:
                gone = await self._client.delete(
                    CONTROLLER_REVISIONS, name_of(revision), namespace=namespace_of(revision), uid=uid_of(revision)
                )
            except NotFound:
                continue
            last = max(last, revision_of(gone) if "metadata" in gone else 0)
        await self._lister.caught_up(last)

    async def _create(self, owner: Doc, revision: Doc) -> Any:
        try:
            made = await self._client.create(CONTROLLER_REVISIONS, revision)
        except AlreadyExists:
            taken = await self._client.get(CONTROLLER_REVISIONS, name_of(revision), namespace=namespace_of(revision))
            reference = controller_of(taken)
            mine = reference is not None and reference["uid"] == uid_of(owner)
            if mine and identity(taken) == identity(revision) and number(taken) == number(revision):
                return taken
            status = owner.get("status") or {}
            count = (status.get("collisionCount") or 0) + 1
            await self._reconciler.write_status(owner, evolve(status, "collisionCount", value=count))
            raise
        await self._lister.caught_up(revision_of(made))
        return made
