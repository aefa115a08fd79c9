"""binding and log: what can be done to a pod besides writing and evicting it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from minik8s.api.request import ApiRequest
from minik8s.api.resources import PODS
from minik8s.apiserver.admitting import admit_created
from minik8s.apiserver.body import read_object
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.deleting import MAX_GRACE_SECONDS
from minik8s.apiserver.options import integer_option, truth, write_options
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import SUCCESS, ObjectResponse, StreamResponse
from minik8s.apiserver.storageerrors import uid_conflict
from minik8s.apiserver.writing import check_namespace
from minik8s.machinery import field
from minik8s.machinery.errors import (
    BadRequest,
    Conflict,
    Invalid,
)
from minik8s.machinery.meta import (
    Doc,
    Obj,
    is_terminating,
    name_of,
    parse_time,
    rfc3339,
    set_condition,
    uid_of,
)
from minik8s.store.protocol import RevisionMismatch


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
    """The pod on its node; raises Conflict. What node it was nominated for is over then, as upstream since 1.35."""
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
    status = {key: value for key, value in pod.get("status", {}).items() if key != "nominatedNodeName"}
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None}
    conditions = set_condition(status.get("conditions"), scheduled, now)
    status["conditions"] = [_without_reason(c) if c["type"] == "PodScheduled" else c for c in conditions]
    return {**pod, "metadata": metadata, "spec": {**spec, "nodeName": node}, "status": status}


def _without_reason(condition: Obj) -> Obj:
    return {key: value for key, value in condition.items() if key not in ("reason", "message")}


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
