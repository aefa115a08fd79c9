"""The disruption controller: keeps the figures of PodDisruptionBudgets by which evictions are granted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from minik8s.api.disruption import with_failure
from minik8s.api.resource import Resource
from minik8s.api.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS
from minik8s.client.lister import Key, key_of
from minik8s.controllers.disruption_plan import needs_scales, plan
from minik8s.controllers.runtime import Context, Reconciler, Requeue, Watch, mapped
from minik8s.machinery.errors import ApiError, Conflict, NotFound
from minik8s.machinery.meta import Doc, controller_of, labels_of, name_of, namespace_of, uid_of
from minik8s.machinery.selectors import LabelSelector, go_selector


class NoController(Exception):
    """A pod's owner is gone, or of a kind that has no scale."""


class DisruptionController(Reconciler[Any]):
    name: ClassVar[str] = "disruption"
    component: ClassVar[str] = "controllermanager"
    account: ClassVar[str] = "disruption-controller"
    resource: ClassVar[Resource[Any]] = POD_DISRUPTION_BUDGETS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (POD_DISRUPTION_BUDGETS,)
    watches: ClassVar[tuple[Watch, ...]] = (mapped(PODS, "_budgets_of"),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.informers(PODS).lister
        self.sets = self.informers(REPLICA_SETS).lister
        self.deployments = self.informers(DEPLOYMENTS).lister
        self._resources = context.resources

    def _budgets_of(self, pod: Doc) -> Iterable[Key]:
        labels = labels_of(pod)
        for budget in self.lister.all(namespace_of(pod)):
            if _selector(budget).matches(labels):
                yield key_of(budget)

    async def reconcile(self, budget: Any) -> Requeue | None:
        pods = self.pods.select(_selector(budget), namespace_of(budget))
        if not pods:
            self.recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        try:
            scales = await self._scales(budget, pods) if needs_scales(budget) else {}
            todo = plan(budget, pods, scales, self.clock.now())
        except (NoController, ValueError) as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self.recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", text)
            await self.write_status(budget, with_failure(budget.get("status") or {}, str(error), self.clock.now()))
            return None
        for pod in todo.late:
            text = f"Pod was expected by PDB {namespace_of(budget)}/{name_of(budget)} to be deleted but it wasn't"
            self.recorder.event(pod, "Warning", "NotDeleted", text)
        await self.write_status(budget, todo.status)
        return Requeue.after(todo.recheck)

    async def _scales(self, budget: Doc, pods: Sequence[Doc]) -> Mapping[str, int]:
        """The replicas that the pods' owners want, by the owners' uid. Raises NoController."""
        scales: dict[str, int] = {}
        owners: set[str] = set()
        unmanaged = False
        for pod in pods:
            reference = controller_of(pod)
            if reference is None:
                unmanaged = True
            elif reference["uid"] not in owners:
                owners.add(reference["uid"])
                found = await self._scale(pod, reference)
                if not found:
                    raise NoController(f'found no controllers for pod "{name_of(pod)}"')
                scales.update(found)
        if unmanaged:
            selector = go_selector(budget["spec"].get("selector"))
            text = (
                f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged."
                " As a result, the status of the PDB cannot be calculated correctly, which may result in undefined"
                ' behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer'
                " value."
            )
            self.recorder.event(budget, "Warning", "UnmanagedPods", text)
        return scales

    async def _scale(self, pod: Doc, reference: Doc) -> dict[str, int]:
        """The owner's, or its Deployment's, uid and replicas; nothing when that is gone."""
        namespace = namespace_of(pod)
        group = reference["apiVersion"].rpartition("/")[0]
        if (group, reference["kind"]) == (REPLICA_SETS.group, REPLICA_SETS.kind):
            rs = self.sets.get(reference["name"], namespace)
            owner = controller_of(rs) if rs is not None else None
            if owner is not None and owner["kind"] == DEPLOYMENTS.kind:
                return _replicas(self.deployments.get(owner["name"], namespace), owner)
            return _replicas(rs, reference)
        for resource in self._resources():
            if (resource.group, resource.kind) == (group, reference["kind"]):
                break
        else:
            return {}
        if resource.subresource("scale") is None:
            raise NoController(f"{resource.group_resource} does not implement the scale subresource")
        try:
            scale = await self.client.get(resource, reference["name"], namespace=namespace, subresource="scale")
        except (NotFound, Conflict):
            return {}
        except ApiError as error:
            raise NoController(str(error)) from error
        return _replicas(scale, reference)


def _replicas(obj: Doc | None, reference: Doc) -> dict[str, int]:
    if obj is None or uid_of(obj) != reference["uid"]:
        return {}
    return {uid_of(obj): int((obj.get("spec") or {}).get("replicas") or 0)}


def _selector(budget: Doc) -> LabelSelector:
    return LabelSelector.from_object(budget["spec"].get("selector"))
