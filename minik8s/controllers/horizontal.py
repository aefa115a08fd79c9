"""Scales workloads by what their pods use: the controller of HorizontalPodAutoscalers.

Every 15 seconds, and at once when its spec changes, an autoscaler is looked at; the deciding is in `horizontal_plan`
and its neighbours, the asking in `horizontal_metrics`. Upstream: `pkg/controller/podautoscaler`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import HORIZONTAL_POD_AUTOSCALERS, PODS
from minik8s.client.lister import Key
from minik8s.controllers import horizontal_plan as plan
from minik8s.controllers.horizontal_limits import DOWNSCALE_WINDOW, Memory
from minik8s.controllers.horizontal_metrics import Metrics, Target
from minik8s.controllers.runtime import Context, Reconciler, Requeue
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, evolve, labels_of, name_of, namespace_of
from minik8s.machinery.selectors import LabelSelector

SYNC_SECONDS = 15.0
"""--horizontal-pod-autoscaler-sync-period."""
LONGEST_MEMORY = timedelta(seconds=3600)
"""The longest window and period that validation allows."""


class HorizontalController(Reconciler[Any]):
    name: ClassVar[str] = "horizontalpodautoscaling"
    component: ClassVar[str] = "horizontal-pod-autoscaler"
    resource: ClassVar[Resource[Any]] = HORIZONTAL_POD_AUTOSCALERS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (HORIZONTAL_POD_AUTOSCALERS,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.pods = self.informers(PODS).lister
        self._metrics = Metrics(self.client, context.resources)
        self._memories: dict[Key, Memory] = {}
        self._selectors: dict[str, dict[str, LabelSelector]] = {}  # namespace -> autoscaler -> that of its target

    def _on_object(self, old: Any, new: Any) -> None:
        """Status updates, its own among them, are no reason to look before the time."""
        if new is not None and old is not None and old["spec"] == new["spec"]:
            return
        super()._on_object(old, new)

    async def deleted(self, namespace: str, name: str) -> None:
        self._memories.pop((namespace, name), None)
        self._selectors.get(namespace, {}).pop(name, None)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        memory = self._memories.setdefault((namespace_of(obj), name_of(obj)), Memory())
        memory.forget(self.clock.now() - max(LONGEST_MEMORY, timedelta(seconds=DOWNSCALE_WINDOW)))
        try:
            target, scale = await self._scale(obj)
        except (ApiError, LookupError) as error:
            await self._no_scale(obj, error)
            return Requeue(SYNC_SECONDS)
        current = (scale.get("spec") or {}).get("replicas") or 0
        memory.begin(current, self.clock.now())
        done = plan.enabled(obj["spec"], current) or await self._decide(obj, scale, current, memory)
        await self._carry_out(obj, target, scale, done, memory)
        return Requeue(SYNC_SECONDS)

    async def _carry_out(self, obj: Doc, target: Resource[Any], scale: Doc, done: plan.Pass, memory: Memory) -> None:
        current = (scale.get("spec") or {}).get("replicas") or 0
        conditions = list(done.conditions)
        for failure in done.silent or filter(None, [done.failed]):
            self.recorder.event(obj, "Warning", failure.event or failure.reason, failure.message)
        if done.failed is not None:
            total, text = len(obj["spec"].get("metrics") or ()), done.failed.error
            if invalid := len(done.silent):
                text = f"invalid metrics ({invalid} invalid out of {total}), first error is: {text}"
            self.recorder.event(obj, "Warning", "FailedComputeMetricsReplicas", text)
        elif done.rescale:
            conditions.append(await self._rescale(obj, target, scale, done, memory))
        now = self.clock.now()
        status = plan.status_of(obj, current, done, conditions, now)
        await self.write_status(obj, status)

    async def _rescale(
        self, obj: Doc, target: Resource[Any], scale: Doc, done: plan.Pass, memory: Memory
    ) -> plan.Condition:
        said = f"New size: {done.replicas}; reason: {done.reason}"
        try:
            changed = evolve(scale, "spec", "replicas", value=done.replicas)
            await self.client.update(target, changed, subresource="scale")
        except ApiError as error:
            self.recorder.event(obj, "Warning", "FailedRescale", f"{said}; error: {error}")
            return plan.refused(error)
        self.recorder.event(obj, "Normal", "SuccessfulRescale", said)
        plan.remember(memory, scale["spec"].get("replicas") or 0, done.replicas, self.clock.now())
        return plan.rescaled(done.replicas)

    async def _scale(self, obj: Doc) -> tuple[Resource[Any], Doc]:
        """The target's resource and its Scale. Raises ApiError, or LookupError for a kind that has none."""
        reference = obj["spec"]["scaleTargetRef"]
        group = (reference.get("apiVersion") or "").rpartition("/")[0]
        for resource in self.context.resources():
            if (resource.group, resource.kind) == (group, reference["kind"]) and resource.subresource("scale"):
                found: Any = await self.client.get(
                    resource, reference["name"], namespace=namespace_of(obj), subresource="scale"
                )
                return resource, found
        raise LookupError(
            f'unable to determine resource for scale target reference: no matches for kind "{reference["kind"]}" '
            f'in group "{group}"'
        )

    async def _no_scale(self, obj: Doc, error: Exception) -> None:
        text = f"the HPA controller was unable to get the target's current scale: {error}"
        condition = plan.Condition("AbleToScale", "False", "FailedGetScale", text)
        self.recorder.event(obj, "Warning", "FailedGetScale", str(error))
        conditions = condition.on((obj.get("status") or {}).get("conditions"), self.clock.now())
        await self.write_status(obj, {**(obj.get("status") or {}), "conditions": conditions})

    async def _decide(self, obj: Doc, scale: Doc, current: int, memory: Memory) -> plan.Pass:
        """What the metrics make of it; nothing where it is not clear whose they are."""
        text = (scale.get("status") or {}).get("selector") or ""
        if not text:
            missing = "the HPA target's scale is missing a selector"
            return plan.unselected(current, "InvalidSelector", missing, "SelectorRequired", "selector is required")
        try:
            selector = LabelSelector.parse(text)
        except ApiError as error:
            wrong = f"couldn't convert selector into a corresponding internal selector object: {error.message}"
            return plan.unselected(current, "InvalidSelector", wrong)
        pods = self.pods.select(selector, namespace_of(obj))
        if rivals := self._rivals(obj, selector, pods):
            shared = f"pods by selector {text} are controlled by multiple HPAs: [{' '.join(rivals)}]"
            return plan.unselected(current, "AmbiguousSelector", shared)
        present, now = (scale.get("status") or {}).get("replicas", 0), self.clock.now()
        target = Target(obj, pods, text, current, present, now)
        readings = [await self._metrics.read(target, metric) for metric in obj["spec"].get("metrics") or ()]
        return plan.decide(obj["spec"], current, readings, memory, now)

    def _rivals(self, obj: Doc, selector: LabelSelector, pods: list[Any]) -> list[str]:
        """The autoscalers that scale these pods, if they are several."""
        others = self._selectors.setdefault(namespace_of(obj), {})
        others[name_of(obj)] = selector
        if len(others) == 1:
            return []
        found = [name for name, one in others.items() if any(one.matches(labels_of(pod)) for pod in pods)]
        return [f"{namespace_of(obj)}/{name}" for name in sorted(found)] if len(found) > 1 else []
