"""Eviction: the deletion of a pod that asks its disruption budget first.

The budget is charged here, in the request, and not by its controller: so two evictions can never spend the same
disruption. What a budget says to an eviction is decided by a pure function. Upstream: `pod/storage/eviction.go`.
"""

from __future__ import annotations

from datetime import datetime

import attrs

from minik8s.api.disruption import ALLOWED, SYNC_FAILED, with_allowed
from minik8s.api.pods import disruption_target, is_pod_ready, is_terminal
from minik8s.api.request import ApiRequest
from minik8s.api.resources import POD_DISRUPTION_BUDGETS
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.body import read_object
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.deleting import check_preconditions, delete_entry
from minik8s.apiserver.options import DeleteOptions, WriteOptions, delete_options, write_options
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import SUCCESS, ObjectResponse
from minik8s.apiserver.writing import Write
from minik8s.machinery.errors import BadRequest, Forbidden, StatusCause, TooManyRequests, unexplained
from minik8s.machinery.meta import Doc, Obj, find_condition, is_terminating, labels_of, name_of, rfc3339, set_condition
from minik8s.machinery.selectors import LabelSelector
from minik8s.store.protocol import Entry, RevisionMismatch

MAX_DISRUPTED = 2000
"""More evictions than this that the budget's controller has not seen are refused (MaxDisruptedPodSize)."""
_REFUSAL = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


async def evict(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST pods/eviction: deletes the pod if its disruption budget allows."""
    eviction, _ = read_object(request, "policy/v1", "Eviction", "Ignore")
    if name_of(eviction) != request.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    options = delete_options(request, eviction.get("deleteOptions") or {})
    dry_run = options.dry_run or write_options(request).dry_run
    options = attrs.evolve(options, dry_run=dry_run)
    await find(ctx, served, request.namespace, request.name)
    warnings: list[str] = []
    await admit_created(ctx, request, eviction, dry_run=dry_run, warnings=warnings)
    while True:
        entry = await find(ctx, served, request.namespace, request.name)
        check_preconditions(served, entry.value, options)
        try:
            if not is_terminating(entry.value):
                entry = await _prepare(ctx, entry, options)
            write = Write(ctx, served, request, WriteOptions(dry_run, "", "Ignore", force=False), [])
            await delete_entry(write, entry, attrs.evolve(options, resource_version=""), admitted=True)
        except RevisionMismatch:
            continue
        return ObjectResponse(SUCCESS, code=201, warnings=warnings)


async def _prepare(ctx: ServerContext, entry: Entry, options: DeleteOptions) -> Entry:
    """Charges the pod's budget and marks the pod as disrupted; raises TooManyRequests."""
    pod = entry.value
    await _charge_budget(ctx, pod, options)
    if options.dry_run or not pod["spec"].get("nodeName"):
        return entry
    now = ctx.clock.now()
    condition = {**disruption_target("EvictionByEvictionAPI", "Eviction API: evicting", now), "lastProbeTime": None}
    status = dict(pod.get("status", {}))
    status["conditions"] = set_condition(status.get("conditions"), condition, rfc3339(now))
    return await ctx.store.put(entry.key, {**pod, "status": status}, expect=entry.modified)


async def _charge_budget(ctx: ServerContext, pod: Doc, options: DeleteOptions) -> None:
    if is_terminal(pod) or pod.get("status", {}).get("phase") == "Pending":
        return
    served = ctx.registry.served(POD_DISRUPTION_BUDGETS)
    prefix = (served.storage.group_resource, pod["metadata"]["namespace"])
    page = await ctx.store.range(prefix)
    budgets = [e for e in page.entries if _covers(e.value, pod)]
    if not budgets:
        return
    if len(budgets) > 1:
        raise unexplained(_SEVERAL)
    charged = charge(budgets[0].value, pod, ctx.clock.now())
    if charged is not None and not options.dry_run:
        await ctx.store.put(budgets[0].key, charged, expect=budgets[0].modified)


def _covers(budget: Doc, pod: Doc) -> bool:
    return LabelSelector.from_object(budget["spec"].get("selector")).matches(labels_of(pod))


def charge(budget: Doc, pod: Doc, now: datetime) -> Obj | None:
    """The budget with one disruption spent; None when this pod's costs none. Raises TooManyRequests and Forbidden."""
    status, name = budget.get("status", {}), name_of(budget)
    if not is_pod_ready(pod) and _may_lose_unready(budget):
        return None
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        text = f"The disruption budget {name} is still being processed by the server."
        raise TooManyRequests(_REFUSAL, causes=[StatusCause("DisruptionBudget", text)], retry_after=10)
    allowed, disrupted = status.get("disruptionsAllowed", 0), status.get("disruptedPods") or {}
    if allowed < 0:
        raise Forbidden.object("poddisruptionbudget", "policy", name, "pdb disruptions allowed is negative")
    if len(disrupted) > MAX_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise Forbidden.object("poddisruptionbudget", "policy", name, why)
    if not allowed:
        raise TooManyRequests(_REFUSAL, causes=[StatusCause("DisruptionBudget", refusal(name, status))])
    disrupted = {**disrupted, name_of(pod): rfc3339(now)}
    charged: Obj = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}
    return {**budget, "status": charged if allowed > 1 else with_allowed(charged, now)}


def _may_lose_unready(budget: Doc) -> bool:
    """Whether a pod that is not ready may go without being counted."""
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status", {})
    return bool(status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0)


def refusal(name: str, status: Doc) -> str:
    """Why a budget allows nothing; its figures say nothing when they could not be computed."""
    condition = find_condition(status.get("conditions"), ALLOWED) or {}
    message = condition.get("message") if condition.get("status") == "False" else ""
    text = f"The disruption budget {name} does not allow evicting pods currently"
    if message and condition["reason"] == SYNC_FAILED:
        return f"{text} because it failed sync: {message}"
    wanted, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
    if healthy <= wanted:
        return f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently"
    return f"{text} ({condition['reason']}): {message}" if message else text
