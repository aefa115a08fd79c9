"""Admission as a write goes through it: the built-in plugins, then what users have registered at run time.

    mutate:    built-in plugins -> hooks -> MutatingAdmissionPolicies -> mutating webhooks
    validate:  built-in plugins -> hooks -> ValidatingAdmissionPolicies -> validating webhooks -> ResourceQuota

The object's own validation stands between the two. Built-in plugins are plain functions; only where something is
registered is anything awaited, and who has registered nothing pays two look-ups. What was awaited for may have taken
long: the namespace is looked at once more, and quota is counted last, in the same step of the loop as the write itself.
"""

from __future__ import annotations

from collections.abc import Collection

from minik8s.api.request import ApiRequest
from minik8s.apiserver.admission.plugin import Attributes, Operation
from minik8s.apiserver.context import ServerContext
from minik8s.machinery.meta import Doc, Obj


async def mutate(ctx: ServerContext, attributes: Attributes) -> bool:
    """Lets everybody change the object who may. Whether it is another document now, which has to be prepared again."""
    world = ctx.world
    for plugin in ctx.chains.of(attributes.request.resource.group_resource).mutating:
        plugin.admit(attributes, world)
    if not ctx.dynamic.mutates:
        return False
    return await ctx.dynamic.mutate(attributes)


async def validate(ctx: ServerContext, attributes: Attributes) -> None:
    """Lets everybody refuse the write who may; nothing is awaited after quota has been counted."""
    world, chain = ctx.world, ctx.chains.of(attributes.request.resource.group_resource)
    for plugin in chain.validating:
        plugin.validate(attributes, world)
    if ctx.dynamic.validates:
        await ctx.dynamic.validate(attributes)
    for plugin in chain.counting:
        plugin.validate(attributes, world)


def count(ctx: ServerContext, attributes: Attributes) -> None:
    """The last part of `validate`: what is decided anew for every object, however equal they are."""
    for plugin in ctx.chains.of(attributes.request.resource.group_resource).counting:
        plugin.validate(attributes, ctx.world)


def stands_on(ctx: ServerContext, request: ApiRequest) -> Collection[str] | None:
    """The resources by which it is decided about a creation, apart from `count`.

    None when somebody has to be asked about each: users who have registered something, or a plugin that says so.
    """
    if ctx.dynamic.mutates or ctx.dynamic.validates:
        return None
    return ctx.chains.of(request.resource.group_resource).stands_on


def must_see(ctx: ServerContext, request: ApiRequest, body: Doc) -> bool:
    """Whether a plugin wants to be asked about this very creation."""
    wary = ctx.chains.of(request.resource.group_resource).wary
    return bool(wary) and any(plugin.must_see(request, body) for plugin in wary)


async def admit(ctx: ServerContext, attributes: Attributes) -> None:
    """Both at once, for what has no validation of its own in between: deletions, connections, reviews."""
    await mutate(ctx, attributes)
    await validate(ctx, attributes)


async def admit_connect(ctx: ServerContext, request: ApiRequest, kind: str, options: Doc) -> list[str]:
    """Admission of a connection (exec, attach, portforward, proxy); answers warnings, raises ApiError.

    `options` is what the query says, as `kind`: PodExecOptions, PodAttachOptions, PodPortForwardOptions,
    PodProxyOptions, ServiceProxyOptions or NodeProxyOptions.
    """
    obj: Obj = {"kind": kind, "apiVersion": "v1", **options}
    attributes = Attributes(request, "CONNECT", obj, None, [], dry_run=False, kind=("v1", kind))
    await admit(ctx, attributes)
    return attributes.warnings


async def admit_created(
    ctx: ServerContext,
    request: ApiRequest,
    obj: Obj,
    *,
    dry_run: bool = False,
    warnings: list[str] | None = None,
) -> Obj:
    """Admission of a creation that stores no object of its own: a Binding, an Eviction, a TokenRequest, a review."""
    operation: Operation = "CREATE"
    warnings = [] if warnings is None else warnings
    kind = (obj["apiVersion"], obj["kind"])
    attributes = Attributes(request, operation, obj, None, warnings, dry_run, kind)
    await admit(ctx, attributes)
    return attributes.object or obj
