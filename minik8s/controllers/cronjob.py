"""The cronjob controller: creates Jobs by the clock."""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import CRON_JOBS, JOBS
from minik8s.client.lister import key_of
from minik8s.controllers.cronjob_plan import Plan, plan, started, until_next
from minik8s.controllers.podcontrol import is_namespace_terminating
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, owned
from minik8s.machinery.errors import AlreadyExists, ApiError, NotFound
from minik8s.machinery.meta import Doc, controller_of, name_of, namespace_of, revision_of, uid_of


class CronJobController(Reconciler[Any]):
    name: ClassVar[str] = "cronjob"
    component: ClassVar[str] = "cronjob-controller"
    resource: ClassVar[Resource[Any]] = CRON_JOBS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (CRON_JOBS,)
    watches: ClassVar[tuple[Watch, ...]] = (owned(JOBS),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.informers(JOBS).lister

    def _on_object(self, old: Any, new: Any) -> None:
        """A new schedule counts from now on: times that it would have had before are no reason to look at once."""
        if old is not None and new is not None and _clockwork(old) != _clockwork(new):
            wait = until_next(new, self.clock.now())
            if wait is not None:
                self.queue.add_after(key_of(new), wait)
                return
        super()._on_object(old, new)

    async def reconcile(self, cronjob: Any) -> Requeue | None:
        todo = plan(cronjob, self.jobs.by_index("owner", uid_of(cronjob)), self.clock.now())
        for kind, reason, text in todo.notes:
            self.recorder.event(cronjob, "Warning" if kind == "Warning" else "Normal", reason, text)
        for job in todo.replaced:
            await self._delete(cronjob, job)
        status = await self._start(cronjob, todo)
        await self.write_status(cronjob, status)
        for job in todo.outdated:
            await self._delete(cronjob, job)
        return Requeue.after(todo.recheck)

    async def _start(self, cronjob: Doc, todo: Plan) -> Doc:
        """Creates the Job that is due; the status with it."""
        if todo.create is None or todo.scheduled is None:
            return todo.status
        try:
            job: Doc = await self.client.create(JOBS, todo.create)
        except AlreadyExists:  # by a pass that could not write its status
            job = await self.client.get(JOBS, name_of(todo.create), namespace=namespace_of(todo.create))
            owner = controller_of(job)
            if owner is None or owner["uid"] != uid_of(cronjob):
                return todo.status  # somebody else's Job stands for that time
        except ApiError as error:
            if not is_namespace_terminating(error):
                self.recorder.event(cronjob, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        else:
            self.recorder.event(cronjob, "Normal", "SuccessfulCreate", f"Created job {name_of(job)}")
        await self.jobs.caught_up(revision_of(job))
        return started(todo.status, job, todo.scheduled)

    async def _delete(self, cronjob: Doc, job: Doc) -> None:
        name = name_of(job)
        try:
            gone = await self.client.delete(
                JOBS, name, namespace=namespace_of(job), propagation="Background", uid=uid_of(job)
            )
        except NotFound:
            return
        except ApiError as error:
            self.recorder.event(cronjob, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        self.recorder.event(cronjob, "Normal", "SuccessfulDelete", f"Deleted job {name}")
        await self.jobs.caught_up(revision_of(gone) if "metadata" in gone else 0)


def _clockwork(cronjob: Doc) -> tuple[Any, Any]:
    return cronjob["spec"]["schedule"], cronjob["spec"].get("timeZone")
