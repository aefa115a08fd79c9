"""The job controller: runs pods until enough of them have succeeded, and counts each exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import JOBS, PODS
from minik8s.client.lister import Key, key_of
from minik8s.controllers.job_plan import Plan, plan
from minik8s.controllers.job_pods import TRACKING, is_tracked
from minik8s.controllers.job_policy import Backoff
from minik8s.controllers.job_status import COMPLETE, concluded, finished_condition, settled
from minik8s.controllers.ownership import claim, index_orphans, wanting_owners
from minik8s.controllers.podcontrol import Act, PodControl, side_by_side
from minik8s.controllers.pods import is_active
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped, owned
from minik8s.machinery.errors import ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, controller_of, labels_of, name_of, namespace_of, revision_of, uid_of

MANAGER = "kubernetes.io/job-controller"
_TRACKED = "tracked by job"


def _tracked_by(pod: Doc) -> tuple[str, ...]:
    """namespace/name of the Job for which the pod is kept; the label tells it when the owner has been taken away."""
    if not is_tracked(pod):
        return ()
    owner = controller_of(pod)
    name = owner["name"] if owner is not None else labels_of(pod).get("batch.kubernetes.io/job-name", "")
    return (f"{namespace_of(pod)}/{name}",)


class JobController(Reconciler[Any]):
    name: ClassVar[str] = "job"
    component: ClassVar[str] = "job-controller"
    resource: ClassVar[Resource[Any]] = JOBS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (JOBS, PODS)
    watches: ClassVar[tuple[Watch, ...]] = (owned(PODS), mapped(PODS, "_wanting"))

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        """Also pods whose Job is gone wait for it, to lose their finalizer."""
        return obj["kind"] != PODS.kind or TRACKING in (obj["metadata"].get("finalizers") or ())

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        informer = self.informers(PODS)
        index_orphans(informer)
        informer.add_index(_TRACKED, _tracked_by)
        self.pods = informer.lister
        self.control = PodControl(self.client, self.recorder)
        self._backoffs: dict[Key, tuple[str, Backoff]] = {}

    def _wanting(self, pod: Doc) -> Iterable[Key]:
        """The Jobs that may adopt an orphan, and the one that still has to let go of it."""
        if controller_of(pod) is not None:
            return
        yield from wanting_owners(self.lister, pod)
        for text in _tracked_by(pod):
            namespace, _, name = text.partition("/")
            yield namespace, name

    async def deleted(self, namespace: str, name: str) -> None:
        self._backoffs.pop((namespace, name), None)
        pods = self.pods.by_index(_TRACKED, f"{namespace}/{name}")
        await self._untrack([pod for pod in pods if _is_job_pod(pod)])

    async def reconcile(self, job: Any) -> Requeue | None:
        if (job["spec"].get("managedBy") or MANAGER) != MANAGER:
            return None
        if finished_condition(job) is not None:
            self._backoffs.pop(key_of(job), None)
            await self._untrack([pod for pod in self.pods.by_index("owner", uid_of(job)) if is_tracked(pod)])
            return None
        pods = await claim(self.client, self.resource, job, PODS, self.pods, finalizers=(TRACKING,))
        todo = plan(job, pods, self._backoff(job), self.clock.now())
        error = await self._act(job, todo)
        status = todo.status if error is None else {**todo.status, **self._recounted(job)}
        job = await self.write_status(job, status)
        self._backoffs[key_of(job)] = uid_of(job), todo.backoff
        for reason, message in todo.events:
            self.recorder.event(job, "Normal", reason, message)
        await self._untrack(todo.untrack)
        await self._conclude(job, todo)
        if error is not None:
            raise error
        return Requeue.after(todo.recheck)

    def _backoff(self, job: Doc) -> Backoff:
        uid, backoff = self._backoffs.get(key_of(job), ("", Backoff()))
        return backoff if uid == uid_of(job) else Backoff()

    async def _act(self, job: Doc, todo: Plan) -> ApiError | None:
        if todo.uncounted:
            await self._untrack([pod for pod in todo.delete if is_tracked(pod)])
        revision, error = await self.control.delete_many(todo.delete, job)
        if error is None:
            created, error = await self.control.create_many(todo.create, job)
            revision = max(revision, created)
        await self.pods.caught_up(revision)
        return error

    def _recounted(self, job: Doc) -> dict[str, int]:
        """What really runs after a plan could not be carried out in full."""
        pods = self.pods.by_index("owner", uid_of(job))
        return {"active": sum(map(is_active, pods))}

    async def _untrack(self, pods: Sequence[Doc]) -> None:
        """Takes the finalizer from these pods. Raises the first error."""
        revision, error = await side_by_side([self._untracking(pod) for pod in pods])
        await self.pods.caught_up(revision)
        if error is not None:
            raise error

    def _untracking(self, pod: Doc) -> Act:
        patch = {"metadata": {"uid": uid_of(pod), "$deleteFromPrimitiveList/finalizers": [TRACKING]}}

        async def act() -> int:
            try:
                written = await self.client.patch(
                    PODS, name_of(pod), patch, namespace=namespace_of(pod), type="strategic"
                )
            except (NotFound, Conflict):
                return 0
            return revision_of(written)

        return act

    async def _conclude(self, job: Doc, todo: Plan) -> None:
        """Counts the pods that were let go and, when that was all, says that the Job is over."""
        tracked = {uid_of(pod) for pod in self.pods.by_index("owner", uid_of(job)) if is_tracked(pod)}
        status = settled(job["status"], tracked)
        last = concluded(status, self.clock.now()) if todo.decided and not tracked else None
        job = await self.write_status(job, last or status)
        if last is not None:
            self._announce(job)

    def _announce(self, job: Doc) -> None:
        end = finished_condition(job)
        assert end is not None, "a concluded Job has its last condition"
        if end["type"] != COMPLETE:
            self.recorder.event(job, "Warning", end["reason"], end["message"])
            return
        wanted = job["spec"].get("completions")
        if wanted is not None and job["status"].get("succeeded", 0) > wanted:
            text = "Too many succeeded pods running after completion count reached"
            self.recorder.event(job, "Warning", "TooManySucceededPods", text)
        self.recorder.event(job, "Normal", "Completed", "Job completed")


def _is_job_pod(pod: Doc) -> bool:
    """Whether a Job, or nobody any more, controls it."""
    owner = controller_of(pod)
    return owner is None or owner["kind"] == JOBS.kind
