"""The statefulset controller: pods with names and storage of their own, in their order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, ClassVar, Literal

from minik8s.api.resource import Resource
from minik8s.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from minik8s.client.lister import Key
from minik8s.controllers.historycontrol import HistoryControl
from minik8s.controllers.ownership import adopters, claim, index_orphans
from minik8s.controllers.podcontrol import batch_sizes, is_namespace_terminating, side_by_side
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped, owned
from minik8s.controllers.statefulset_plan import Plan, Revisions, plan
from minik8s.controllers.statefulset_pods import ordinal_of, revision_name
from minik8s.machinery.errors import AlreadyExists, ApiError, NotFound
from minik8s.machinery.meta import Doc, name_of, namespace_of, revision_of, uid_of

Verb = Literal["create", "delete", "update"]


class StatefulSetController(Reconciler[Any]):
    name: ClassVar[str] = "statefulset"
    component: ClassVar[str] = "statefulset-controller"
    resource: ClassVar[Resource[Any]] = STATEFUL_SETS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (STATEFUL_SETS,)
    watches: ClassVar[tuple[Watch, ...]] = (
        owned(PODS),
        mapped(PODS, adopters),
        mapped(PERSISTENT_VOLUME_CLAIMS, "_claiming"),
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        informer = self.informers(PODS)
        index_orphans(informer)
        self.pods = informer.lister
        self.claims = self.informers(PERSISTENT_VOLUME_CLAIMS).lister
        self.history = HistoryControl(self)

    def _claiming(self, pvc: Doc) -> Iterable[Key]:
        """The set that the claim is for: it may wait for a former pod's claim to go, so that it can make another."""
        namespace, name = namespace_of(pvc), name_of(pvc)
        for sts in self.lister.all(namespace):
            templates = sts["spec"].get("volumeClaimTemplates") or ()
            if any(name.startswith(f"{name_of(template)}-{name_of(sts)}-") for template in templates):
                yield namespace, name_of(sts)

    async def reconcile(self, sts: Any) -> Requeue | None:
        revisions, update = await self.history.sync(sts)
        pods = await claim(
            self.client, self.resource, sts, PODS, self.pods, member=lambda pod: ordinal_of(sts, pod) is not None
        )
        named = (sts.get("status") or {}).get("currentRevision")
        current = next((rev for rev in revisions if name_of(rev) == named), update)
        find = partial(self.claims.get, namespace=namespace_of(sts))
        todo = plan(sts, Revisions(current, update), pods, find, self.clock.now())
        sts = await self.write_status(sts, todo.status)
        await self._act(sts, todo)
        live = {name_of(current), name_of(update), *map(revision_name, pods)}
        await self.history.truncate(sts, revisions, live)
        return Requeue.after(todo.recheck)

    async def _act(self, sts: Doc, todo: Plan) -> None:
        """Claims before the pods that need them. Raises the first error."""
        written: list[Doc] = [await self.client.update(PERSISTENT_VOLUME_CLAIMS, pvc) for pvc in todo.owned]
        written += [await self._create_claim(sts, pod, pvc) for pod, pvc in todo.new_claims]
        await self.claims.caught_up(max(map(revision_of, written), default=0))
        revision, error = 0, None
        creations = iter([partial(self._create, sts, pod) for pod in todo.create])
        for size in batch_sizes(len(todo.create)):
            done, error = await side_by_side([next(creations) for _ in range(size)])
            revision = max(revision, done)
            if error is not None:
                break
        changes: list[Callable[[], Awaitable[int]]] = [partial(self._repair, sts, pod) for pod in todo.repair]
        changes += [partial(self._delete, sts, pod) for pod in todo.delete]
        done, other = await side_by_side(changes)
        await self.pods.caught_up(max(revision, done))
        if (failure := error or other) is not None:
            raise failure

    async def _create_claim(self, sts: Doc, pod: str, pvc: Doc) -> Doc:
        about = f"Claim {name_of(pvc)}"
        try:
            made = await self.client.create(PERSISTENT_VOLUME_CLAIMS, pvc)
        except ApiError as error:
            text = f"create {about} for Pod {pod} in StatefulSet {name_of(sts)} failed error: {error}"
            self.recorder.event(sts, "Warning", "FailedCreate", text)
            raise
        text = f"create {about} Pod {pod} in StatefulSet {name_of(sts)} success"
        self.recorder.event(sts, "Normal", "SuccessfulCreate", text)
        return made

    async def _create(self, sts: Doc, pod: Doc) -> int:
        try:
            made = await self.client.create(PODS, pod)
        except AlreadyExists:
            raise
        except ApiError as error:
            if not is_namespace_terminating(error):
                self._announce(sts, "create", pod, error)
            raise
        self._announce(sts, "create", pod)
        return revision_of(made)

    async def _repair(self, sts: Doc, pod: Doc) -> int:
        try:
            written = await self.client.update(PODS, pod)
        except ApiError as error:
            self._announce(sts, "update", pod, error)
            raise
        self._announce(sts, "update", pod)
        return revision_of(written)

    async def _delete(self, sts: Doc, pod: Doc) -> int:
        try:
            gone = await self.client.delete(PODS, name_of(pod), namespace=namespace_of(pod), uid=uid_of(pod))
        except NotFound:
            return 0
        except ApiError as error:
            self._announce(sts, "delete", pod, error)
            raise
        self._announce(sts, "delete", pod)
        return revision_of(gone)

    def _announce(self, sts: Doc, verb: Verb, pod: Doc, error: ApiError | None = None) -> None:
        text = f"{verb} Pod {name_of(pod)} in StatefulSet {name_of(sts)}"
        if error is None:
            self.recorder.event(sts, "Normal", f"Successful{verb.title()}", f"{text} successful")
        else:
            self.recorder.event(sts, "Warning", f"Failed{verb.title()}", f"{text} failed error: {error}")
