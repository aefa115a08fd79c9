"""The replicaset controller: keeps as many pods as `spec.replicas` says, no more and no fewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import PODS, REPLICA_SETS
from minik8s.controllers.ownership import adopters, claim, index_orphans
from minik8s.controllers.podcontrol import PodControl, pod_from_template
from minik8s.controllers.replicaset_plan import Plan, plan, with_failure
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped, owned
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, controller_of, name_of


class ReplicaSetController(Reconciler[Any]):
    """ReplicaSets; the ReplicationController's controller is a subclass that only has other names."""

    name: ClassVar[str] = "replicaset"
    component: ClassVar[str] = "replicaset-controller"
    resource: ClassVar[Resource[Any]] = REPLICA_SETS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (REPLICA_SETS,)
    watches: ClassVar[tuple[Watch, ...]] = (owned(PODS), mapped(PODS, adopters))

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        informer = self.informers(PODS)
        index_orphans(informer)
        self.pods = informer.lister
        self.control = PodControl(self.client, self.recorder)

    async def reconcile(self, rs: Any) -> Requeue | None:
        pods = await claim(self.client, self.resource, rs, PODS, self.pods)
        todo = plan(rs, pods, self._related(rs, pods), self.clock.now())
        rs = await self.write_status(rs, todo.status)
        reason, error = await self._act(rs, todo)
        await self.write_status(rs, with_failure(rs.get("status") or {}, reason, str(error or ""), self.clock.now()))
        if error is not None:
            raise error
        return Requeue.after(todo.recheck)

    async def _act(self, rs: Doc, todo: Plan) -> tuple[str, ApiError | None]:
        """Creates or deletes; the reason and error of a failure."""
        if todo.create:
            pod = pod_from_template(rs["spec"]["template"], rs, f"{name_of(rs)}-")
            revision, error = await self.control.create_many([pod] * todo.create, rs)
            reason = "FailedCreate"
        else:
            revision, error = await self.control.delete_many(todo.delete, rs)
            reason = "FailedDelete"
        await self.pods.caught_up(revision)
        return (reason, error) if error is not None else ("", None)

    def _related(self, rs: Doc, pods: Sequence[Doc]) -> Sequence[Doc]:
        """Its own pods and those of the other sets of the same controller."""
        owner = controller_of(rs)
        if owner is None:
            return pods
        siblings = self.lister.by_index("owner", owner["uid"])
        return [pod for sibling in siblings for pod in self.pods.by_index("owner", sibling["metadata"]["uid"])]
