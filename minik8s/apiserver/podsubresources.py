"""binding, eviction and log: what can be done to a pod besides writing it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import attrs

from minik8s.api.pods import disruption_target, is_pod_ready, is_terminal
from minik8s.api.request import ApiRequest
from minik8s.api.resources import POD_DISRUPTION_BUDGETS, PODS
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.body import read_object
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.deleting import MAX_GRACE_SECONDS, check_preconditions, delete_entry
from minik8s.apiserver.options import DeleteOptions, WriteOptions, delete_options, integer_option, truth, write_options
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import ObjectResponse, StreamResponse
from minik8s.apiserver.storageerrors import uid_conflict
from minik8s.apiserver.writing import Write, check_namespace
from minik8s.machinery import field
from minik8s.machinery.errors import (
    BadRequest,
    Conflict,
    Invalid,
    StatusCause,
    TooManyRequests,
    unexplained,
)
from minik8s.machinery.meta import (
    Doc,
    Obj,
    is_terminating,
    labels_of,
    name_of,
    parse_time,
    rfc3339,
    set_condition,
    uid_of,
)
from minik8s.machinery.selectors import LabelSelector
from minik8s.store.protocol import Entry, RevisionMismatch

SUCCESS: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def bind(ctx: ServerContext, served: Served, request: ApiRequest) -> ObjectResponse:
    """POST pods/binding: gives a pod its node."""
    options = write_options(request)
    binding, _ = read_object(request, "v1", "Binding", options.validation)
    check_namespace(served, request, binding)
    name = name_of(binding)
    if request.name and name != request.name:
        raise BadRequest("name in URL does not match name in Binding object")
    pods = ctx.registry.served(PODS)
    warnings: list[str] = []
    binding = await admit_created(ctx, request, binding, dry_run=options.dry_run, warnings=warnings)
    target = binding.get("target", {})
    if target.get("kind", "") not in ("", "Node"):
        raise Invalid.object("Binding", "", name, [field.not_supported("target.kind", target["kind"], ("Node", ""))])
    if not target.get("name"):
        raise Invalid.object("Binding", "", name, [field.required("target.name")])
    while True:
        entry = await find(ctx, pods, request.namespace, name)
        if (uid := binding["metadata"].get("uid")) and uid != uid_of(entry.value):
            raise uid_conflict(pods, request.namespace, name, uid, uid_of(entry.value))
        bound = _bound(entry.value, binding, target["name"], rfc3339(ctx.clock.now()))
        if options.dry_run:
            break
        try:
            await ctx.store.put(entry.key, bound, expect=entry.modified)
            break
        except RevisionMismatch:
            continue
    return ObjectResponse(SUCCESS, code=201, warnings=warnings)


def _bound(pod: Doc, binding: Doc, node: str, now: str) -> Obj:
    """The pod on its node; raises Conflict."""
    name, spec, metadata = name_of(pod), pod["spec"], pod["metadata"]
    why = ""
    if is_terminating(pod):
        why = f"pod {name} is being deleted, cannot be assigned to a host"
    elif spec.get("nodeName"):
        why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    elif spec.get("schedulingGates"):
        why = f"pod {name} has non-empty .spec.schedulingGates"
    if why:
        raise Conflict.object("pods/binding", "", name, why)
    metadata = dict(metadata)
    for key in ("annotations", "labels"):
        if more := binding["metadata"].get(key):
            metadata[key] = {**metadata.get(key, {}), **more}
    status = dict(pod.get("status", {}))
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
    conditions = set_condition(status.get("conditions"), scheduled, now)
    status["conditions"] = [_without_reason(c) if c["type"] == "PodScheduled" else c for c in conditions]
    return {**pod, "metadata": metadata, "spec": {**spec, "nodeName": node}, "status": status}


def _without_reason(condition: Obj) -> Obj:
    return {key: value for key, value in condition.items() if key not in ("reason", "message")}


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
                entry = await _prepare_eviction(ctx, entry, options)
            write = Write(ctx, served, request, WriteOptions(dry_run, "", "Ignore", force=False), [])
            await delete_entry(write, entry, attrs.evolve(options, resource_version=""), admitted=True)
        except RevisionMismatch:
            continue
        return ObjectResponse(SUCCESS, code=201, warnings=warnings)


async def _prepare_eviction(ctx: ServerContext, entry: Entry, options: DeleteOptions) -> Entry:
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
        raise unexplained(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    budget = budgets[0].value
    policy = budget["spec"].get("unhealthyPodEvictionPolicy", "IfHealthyBudget")
    status = budget.get("status", {})
    healthy_enough = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0
    if not is_pod_ready(pod) and (policy == "AlwaysAllow" or healthy_enough):
        return
    charged = _charged(budget, name_of(pod), rfc3339(ctx.clock.now()))
    if not options.dry_run:
        await ctx.store.put(budgets[0].key, charged, expect=budgets[0].modified)


def _covers(budget: Doc, pod: Doc) -> bool:
    return LabelSelector.from_object(budget["spec"].get("selector")).matches(labels_of(pod))


def _charged(budget: Doc, pod_name: str, now: str) -> Obj:
    """The budget with one disruption spent; raises TooManyRequests."""
    status = budget.get("status", {})
    refusal = "Cannot evict pod as it would violate the pod's disruption budget."
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        text = f"The disruption budget {name_of(budget)} is still being processed by the server."
        raise TooManyRequests(refusal, causes=[StatusCause("DisruptionBudget", text)], retry_after=10)
    allowed = status.get("disruptionsAllowed", 0)
    if allowed <= 0:
        text = (
            f"The disruption budget {name_of(budget)} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently"
        )
        raise TooManyRequests(refusal, causes=[StatusCause("DisruptionBudget", text)])
    disrupted = {**status.get("disruptedPods", {}), pod_name: now}
    return {**budget, "status": {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": disrupted}}


async def log(ctx: ServerContext, served: Served, request: ApiRequest) -> StreamResponse:
    """GET pods/log: a container's output, from its node."""
    pod = (await find(ctx, served, request.namespace, request.name)).value
    options = request.options
    tail, limit, seconds, since = _log_numbers(request)
    container = chosen_container(pod, options.get("container", ""))
    if not pod["spec"].get("nodeName"):
        return StreamResponse(_nothing())
    if seconds is not None:
        since = ctx.clock.now() - timedelta(seconds=min(seconds, MAX_GRACE_SECONDS))
    chunks = ctx.connector.logs(
        pod,
        container,
        previous=truth(options, "previous"),
        follow=truth(options, "follow"),
        tail_lines=tail,
        since=since,
        timestamps=truth(options, "timestamps"),
        limit_bytes=limit,
    )
    return StreamResponse(chunks, live=truth(options, "follow"))


def _log_numbers(request: ApiRequest) -> tuple[int | None, int | None, int | None, datetime | None]:
    """tailLines, limitBytes, sinceSeconds, sinceTime, checked; raises Invalid or BadRequest."""
    options = request.options
    tail = integer_option(options, "tailLines")
    limit = integer_option(options, "limitBytes")
    seconds = integer_option(options, "sinceSeconds")
    errors = []
    if tail is not None and tail < 0:
        errors.append(field.invalid("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        errors.append(field.invalid("limitBytes", limit, "must be greater than 0"))
    if seconds is not None and options.get("sinceTime"):
        errors.append(field.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif seconds is not None and seconds < 1:
        errors.append(field.invalid("sinceSeconds", seconds, "must be greater than 0"))
    if options.get("stream", "All") != "All":
        errors.append(field.forbidden("stream", "may not be specified"))
    if errors:
        raise Invalid.object("PodLogOptions", "", request.name, errors)
    since = None
    if text := options.get("sinceTime"):
        try:
            since = parse_time(text)
        except ValueError:
            raise BadRequest(f'parsing time "{text}" as RFC 3339 failed') from None
    return tail, limit, seconds, since


def chosen_container(pod: Doc, wanted: str) -> str:
    """The container that is meant; raises BadRequest with the choices."""
    spec, name = pod["spec"], name_of(pod)
    regular = [c["name"] for c in spec["containers"]]
    init = [c["name"] for c in spec.get("initContainers") or ()]
    ephemeral = [c["name"] for c in spec.get("ephemeralContainers") or ()]
    if not wanted:
        if len(regular) == 1:
            return str(regular[0])
        choices = f"choose one of: [{' '.join(regular)}]"
        if init:
            choices += f" or one of the init containers: [{' '.join(init)}]"
        raise BadRequest(f"a container name must be specified for pod {name}, {choices}")
    if wanted not in (*regular, *init, *ephemeral):
        raise BadRequest(f"container {wanted} is not valid for pod {name}")
    return wanted


async def _nothing() -> AsyncIterator[bytes]:
    for chunk in tuple[bytes, ...]():
        yield chunk
