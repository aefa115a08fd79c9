"""Whether remote APIs answer: the Available condition of their APIServices.

What can be known from objects is decided by `judge`, pure; only then is the server asked, for its list of resources.
Upstream: kube-aggregator `pkg/controllers/status/remote/remote_available_controller.go`; its texts and reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio
import attrs

from minik8s.api.request import MERGE_PATCH, ApiRequest
from minik8s.api.resources import API_SERVICES, ENDPOINT_SLICES, SERVICES
from minik8s.api.services import SERVICE_NAME_LABEL
from minik8s.apiserver.aggregation.forwarding import ask
from minik8s.apiserver.aggregation.remote import RemoteApi
from minik8s.apiserver.dispatch import dispatch
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj, find_condition, labels_of, rfc3339

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

LOOK_SECONDS = 1.0
"""How often objects are looked at, and a server is asked that has not answered."""
CHECK_SECONDS = 30.0
"""How often one is asked that has."""


@attrs.frozen
class Verdict:
    """What the condition says."""

    available: bool
    reason: str
    message: str


PASSED = Verdict(True, "Passed", "all checks passed")


def judge(api: RemoteApi, service: Doc | None, slices: Sequence[Doc]) -> Verdict | None:
    """Why an API cannot be available; None if it has to be asked. `slices` are all of its namespace."""
    where = f'service/{api.service} in "{api.namespace}"'
    if service is None:
        return Verdict(False, "ServiceNotFound", f"{where} is not present")
    if service["spec"].get("type") == "ExternalName":
        return None
    port = next((port for port in service["spec"].get("ports") or () if port.get("port") == api.port), None)
    if port is None:
        return Verdict(False, "ServicePortError", f"{where} is not listening on port {api.port}")
    name = port.get("name") or ""
    own = [found for found in slices if labels_of(found).get(SERVICE_NAME_LABEL) == api.service]
    if not own:
        return Verdict(False, "EndpointsNotFound", f"cannot find endpointslices for {where}")
    if not any(_serves(found, name) for found in own):
        message = f'endpoints for {where} have no addresses with port name "{name}"'
        return Verdict(False, "MissingEndpoints", message)
    return None


def _serves(endpoint_slice: Doc, port_name: str) -> bool:
    ready = any((e.get("conditions") or {}).get("ready") is not False for e in endpoint_slice.get("endpoints") or ())
    return ready and any((port.get("name") or "") == port_name for port in endpoint_slice.get("ports") or ())


async def keep_watch(ctx: ServerContext) -> None:
    """Looks after all remote APIs, for as long as there are any; waits without end while there are none."""
    while True:
        ctx.remotes.changed = anyio.Event()
        await check_all(ctx)
        if ctx.remotes.apis:
            await _first(ctx, LOOK_SECONDS)
        else:
            await ctx.remotes.changed.wait()


async def check_all(ctx: ServerContext) -> None:
    """Finds out how all remote APIs are, and says so in their APIServices."""
    for api in list(ctx.remotes.apis.values()):
        await _check(ctx, api)


async def _first(ctx: ServerContext, seconds: float) -> None:
    """Until so many seconds have passed or there is something new."""
    timer = ctx.clock.call_later(seconds, ctx.remotes.changed.set)
    try:
        await ctx.remotes.changed.wait()
    finally:
        timer.cancel()


async def _check(ctx: ServerContext, api: RemoteApi) -> None:
    remotes, key, now = ctx.remotes, api.group_version, ctx.clock.monotonic()
    service = ctx.world.get(SERVICES, api.service, api.namespace)
    verdict = judge(api, service, ctx.world.list(ENDPOINT_SLICES, api.namespace))
    if verdict is None:
        if key in remotes.available and now - remotes.asked.get(key, now) < CHECK_SECONDS:
            return
        remotes.asked[key] = now
        verdict = await _asked(ctx, api)
    if remotes.apis.get(key) is not api:
        return  # it has changed meanwhile
    if verdict.available != (key in remotes.available):
        remotes.generation += 1
        (remotes.available.add if verdict.available else remotes.available.discard)(key)
    await _say(ctx, api, verdict)


async def _asked(ctx: ServerContext, api: RemoteApi) -> Verdict:
    """Asks the server for its resources, and where its OpenAPI document is."""
    try:
        answer = await ask(ctx, api, "GET", api.path)
        document = answer.document() if answer.code == 200 else None
    except ApiError as error:
        message = f"failing or missing response from {_shown(ctx, api)}: {error.message}"
        return Verdict(False, "FailedDiscoveryCheck", message)
    if document is None or document.get("kind") != "APIResourceList":
        message = f"failing or missing response from {_shown(ctx, api)}: bad status from {_shown(ctx, api)}: "
        return Verdict(False, "FailedDiscoveryCheck", f"{message}{answer.code}")
    await _remember(ctx, api, document)
    return PASSED


async def _remember(ctx: ServerContext, api: RemoteApi, document: Obj) -> None:
    remotes = ctx.remotes
    if document != remotes.resources.get(api.group_version):
        remotes.resources[api.group_version] = document
        remotes.generation += 1
    try:
        answer = await ask(ctx, api, "GET", "/openapi/v3")
        paths = answer.document().get("paths") or {} if answer.code == 200 else {}
        url = str((paths.get(api.path.lstrip("/")) or {}).get("serverRelativeURL", ""))
    except (ApiError, AttributeError):
        url = ""  # it need not have one
    if url != remotes.openapi.get(api.group_version, ""):
        remotes.openapi[api.group_version] = url
        remotes.generation += 1


def _shown(ctx: ServerContext, api: RemoteApi) -> str:
    """The URL as upstream's messages show it: by the Service's own address."""
    service = ctx.world.get(SERVICES, api.service, api.namespace)
    host = (service["spec"].get("clusterIP") if service else "") or api.server_name
    return f"https://{host}:{api.port}{api.path}"


async def _say(ctx: ServerContext, api: RemoteApi, verdict: Verdict) -> None:
    """Writes the condition, if it says anything new."""
    stored = ctx.world.get(API_SERVICES, api.name)
    if stored is None:
        return
    before = find_condition((stored.get("status") or {}).get("conditions"), "Available") or {}
    status = "True" if verdict.available else "False"
    said = (before.get("status"), before.get("reason"), before.get("message"))
    if said == (status, verdict.reason, verdict.message):
        return
    same = before.get("status") == status and "lastTransitionTime" in before
    condition = {
        "type": "Available",
        "status": status,
        "lastTransitionTime": before["lastTransitionTime"] if same else rfc3339(ctx.clock.now()),
        "reason": verdict.reason,
        "message": verdict.message,
    }
    request = ApiRequest(
        "patch", API_SERVICES, name=api.name, subresource="status", body={"status": {"conditions": [condition]}},
        content_type=MERGE_PATCH, user_agent="kube-apiserver",
    )  # fmt: skip
    try:
        await dispatch(ctx, request)
    except ApiError:
        return  # it is gone, or somebody refuses: the next round tries again
