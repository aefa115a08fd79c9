"""The deployment controller: keeps one ReplicaSet per template and moves replicas from the old ones to the new."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from minik8s.controllers.deployment_plan import Change, Plan, collided, create_failed, plan, scaling_event
from minik8s.controllers.deployment_revision import REVISION, find_new
from minik8s.controllers.deployment_rollout import is_rolling, size
from minik8s.controllers.ownership import adopters, claim, index_orphans
from minik8s.controllers.podcontrol import is_namespace_terminating
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped, owned
from minik8s.machinery.errors import AlreadyExists, ApiError, NotFound
from minik8s.machinery.meta import Doc, controller_of, name_of, namespace_of, revision_of, uid_of


def recreating(controller: Reconciler[Any], pod: Doc) -> Iterable[tuple[str, str]]:
    """The Deployment that waits for this pod's end before it creates the next ones (strategy Recreate)."""
    namespace, reference = namespace_of(pod), controller_of(pod)
    if reference is None or reference["kind"] != "ReplicaSet":
        return ()
    rs = controller.informers(REPLICA_SETS).lister.get(reference["name"], namespace)
    owner = controller_of(rs) if rs is not None else None
    deployment = controller.lister.get(owner["name"], namespace) if owner is not None else None
    if deployment is None or is_rolling(deployment):
        return ()
    return ((namespace, name_of(deployment)),)


class DeploymentController(Reconciler[Any]):
    name: ClassVar[str] = "deployment"
    component: ClassVar[str] = "deployment-controller"
    resource: ClassVar[Resource[Any]] = DEPLOYMENTS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (DEPLOYMENTS,)
    watches: ClassVar[tuple[Watch, ...]] = (
        owned(REPLICA_SETS),
        mapped(REPLICA_SETS, adopters),
        mapped(PODS, recreating),
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        informer = self.informers(REPLICA_SETS)
        index_orphans(informer)
        self.sets = informer.lister
        self.pods = self.informers(PODS).lister

    async def reconcile(self, deployment: Any) -> Requeue | None:
        if not deployment["spec"].get("selector"):
            text = "This deployment is selecting all pods. A non-empty selector is required."
            self.recorder.event(deployment, "Warning", "SelectingAll", text)
            return None
        sets = await claim(self.client, self.resource, deployment, REPLICA_SETS, self.sets)
        todo = plan(deployment, sets, self._pods(deployment, sets), self.clock.now())
        deployment = await self._write_revision(deployment, todo.revision)
        deployment = await self.write_status(deployment, todo.status)
        await self._act(deployment, todo)
        return Requeue.after(todo.recheck)

    def _pods(self, deployment: Doc, sets: Sequence[Doc]) -> dict[str, list[Any]]:
        """The pods of each set, which only strategy Recreate asks for."""
        if is_rolling(deployment):
            return {}
        return {uid_of(rs): self.pods.by_index("owner", uid_of(rs)) for rs in sets}

    async def _act(self, deployment: Any, todo: Plan) -> None:
        revisions = [0]
        if todo.create is not None:
            revisions.append(await self._create(deployment, todo.create))
        revisions += [await self._change(deployment, change) for change in todo.changes]
        for rs in todo.delete:
            try:
                gone = await self.client.delete(
                    REPLICA_SETS, name_of(rs), namespace=namespace_of(rs), uid=uid_of(rs), propagation="Background"
                )
                revisions.append(revision_of(gone) if "metadata" in gone else 0)
            except NotFound:
                continue
        await self.sets.caught_up(max(revisions))

    async def _change(self, deployment: Doc, change: Change) -> int:
        written = await self.client.update(REPLICA_SETS, change.after)
        self._announce(deployment, change.event)
        return revision_of(written)

    async def _create(self, deployment: Any, rs: Doc) -> int:
        """Creates the new set. A name that is taken by another template is counted as a collision."""
        try:
            created = await self.client.create(REPLICA_SETS, rs)
        except AlreadyExists:
            taken = await self.client.get(REPLICA_SETS, name_of(rs), namespace=namespace_of(rs))
            reference = controller_of(taken)
            if reference is not None and reference["uid"] == uid_of(deployment) and find_new(deployment, [taken]):
                return revision_of(taken)
            await self.write_status(deployment, collided(deployment))
            raise
        except ApiError as error:
            if not is_namespace_terminating(error):
                status = create_failed(deployment, rs, str(error), self.clock.now())
                await self.write_status(deployment, status)
                text = f'Failed to create new replica set "{name_of(rs)}": {error}'
                self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", text)
            raise
        self._announce(deployment, scaling_event(name_of(rs), 0, size(rs)))
        return revision_of(created)

    def _announce(self, deployment: Doc, text: str) -> None:
        if text:
            self.recorder.event(deployment, "Normal", "ScalingReplicaSet", text)

    async def _write_revision(self, deployment: Any, revision: str) -> Any:
        """The annotation that `kubectl rollout` shows."""
        if not revision:
            return deployment
        patch = {"metadata": {"annotations": {REVISION: revision}, "resourceVersion": _version(deployment)}}
        return await self.client.patch(self.resource, name_of(deployment), patch, namespace=namespace_of(deployment))


def _version(obj: Doc) -> str:
    return str(obj["metadata"].get("resourceVersion", ""))
