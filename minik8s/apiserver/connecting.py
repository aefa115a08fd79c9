"""exec, attach and portforward: what a pod's client wants to be connected to, checked before anything is upgraded.

Upstream: pkg/registry/core/pod/rest/subresources.go, `streamLocation` in pkg/registry/core/pod/strategy.go, and the
options of k8s.io/kubelet's remotecommand. A WebSocket upgrade is a GET, but it needs the right to `create` as a POST
does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial

import anyio

from minik8s.api.pods import is_terminal
from minik8s.api.request import ApiRequest
from minik8s.apiserver.admitting import admit_connect
from minik8s.apiserver.authorization import authorize_request
from minik8s.apiserver.context import ServerContext, Session
from minik8s.apiserver.options import truth
from minik8s.apiserver.podsubresources import chosen_container
from minik8s.apiserver.reading import find
from minik8s.apiserver.registry import Served
from minik8s.apiserver.response import Conversation, UpgradeResponse
from minik8s.apiserver.upgrade.handshake import SPDY_COMMAND, SPDY_FORWARD, SPDY_TUNNEL, SUBPROTOCOLS, Agreement
from minik8s.apiserver.upgrade.inputs import Wanted
from minik8s.machinery.errors import BadRequest
from minik8s.machinery.meta import Doc, name_of, uid_of

MAX_COMMAND = 128 * 1024
"""Bytes of one argument, as the kernel has it (MAX_ARG_STRLEN)."""


async def execute(ctx: ServerContext, served: Served, request: ApiRequest) -> UpgradeResponse:
    """pods/exec: a command in a container."""
    pod = await _connected_pod(ctx, served, request)
    container = chosen_container(pod, request.options.get("container", ""))
    first = request.options.get("command")
    command = request.repeated.get("command") or ([] if first is None else [first])
    if not command or not command[0]:
        raise BadRequest("you must specify at least 1 command for the container")
    if any("\0" in argument or len(argument) >= MAX_COMMAND for argument in command):
        raise BadRequest("an argument of the command is too long or contains a NUL byte")
    wanted = _wanted(request, command)
    _check_runs(pod, "exec into")
    options = {"container": container, "command": command, **wanted.flags}
    await admit_connect(ctx, request, "PodExecOptions", options)
    return _response(wanted, lambda: ctx.connector.exec(pod, container, command, stdin=wanted.stdin, tty=wanted.tty))


async def attach(ctx: ServerContext, served: Served, request: ApiRequest) -> UpgradeResponse:
    """pods/attach: a container's own streams."""
    pod = await _connected_pod(ctx, served, request)
    container = chosen_container(pod, request.options.get("container", ""))
    wanted = _wanted(request, ())
    _check_runs(pod, "attach")
    await admit_connect(ctx, request, "PodAttachOptions", {"container": container, **wanted.flags})
    return _response(wanted, lambda: ctx.connector.attach(pod, container))


async def port_forward(ctx: ServerContext, served: Served, request: ApiRequest) -> UpgradeResponse:
    """pods/portforward: connections to a pod's ports."""
    pod = await _connected_pod(ctx, served, request)
    values = request.repeated.get("ports") or [request.options.get("ports", "")]
    _check_bound(pod)
    await admit_connect(ctx, request, "PodPortForwardOptions", _forward_options(values))

    @asynccontextmanager
    async def open_(agreement: Agreement) -> AsyncIterator[Conversation]:
        from minik8s.apiserver.upgrade.forwarding import Target, converse

        channels = agreement.transport == "websocket" and agreement.protocol != SPDY_TUNNEL
        name = f"{name_of(pod)}, uid {uid_of(pod)}"
        ports = _ports(values) if channels else []
        yield partial(converse, agreement, Target(name, partial(ctx.connector.port_forward, pod)), ports)

    return UpgradeResponse({*SUBPROTOCOLS, SPDY_TUNNEL}, SPDY_FORWARD, open_)


def _ports(values: Sequence[str]) -> list[int]:
    from minik8s.apiserver.upgrade.portforward import ports_of

    try:
        return ports_of(values)
    except ValueError as error:
        raise BadRequest(str(error)) from None


def _forward_options(values: Sequence[str]) -> Doc:
    ports = [int(text) for value in values for text in value.split(",") if text.isdecimal()]
    return {"ports": ports} if ports else {}


async def _connected_pod(ctx: ServerContext, served: Served, request: ApiRequest) -> Doc:
    """The pod that is asked for, if its client may be connected to it."""
    if request.verb == "get":
        authorize_request(ctx.authorizer, request, "create")
    return (await find(ctx, served, request.namespace, request.name)).value


def _check_bound(pod: Doc) -> None:
    if not pod["spec"].get("nodeName"):
        raise BadRequest(f"pod {name_of(pod)} does not have a host assigned")


def _check_runs(pod: Doc, what: str) -> None:
    _check_bound(pod)
    if is_terminal(pod):
        phase = pod["status"]["phase"]
        raise BadRequest(f"cannot {what} a container in a completed pod; current phase is {phase}")


def _wanted(request: ApiRequest, command: Sequence[str]) -> Wanted:
    """Which streams the client asks for; with a terminal stderr is part of stdout."""
    stdin, stdout, stderr, tty = (truth(request.options, name) for name in ("stdin", "stdout", "stderr", "tty"))
    if not (stdin or stdout or stderr):
        raise BadRequest("you must specify at least one of stdin, stdout, stderr")
    return Wanted(stdin=stdin, stdout=stdout, stderr=stderr and not tty, tty=tty, command=tuple(command))


def _response(wanted: Wanted, open_: Callable[[], Awaitable[Session]]) -> UpgradeResponse:
    @asynccontextmanager
    async def session(agreement: Agreement) -> AsyncIterator[Conversation]:
        from minik8s.apiserver.upgrade.remotecommand import converse  # the protocols are loaded when first needed

        session = await open_()
        try:
            yield partial(converse, agreement, session, wanted)
        finally:
            with anyio.CancelScope(shield=True):
                await session.aclose()

    return UpgradeResponse(SUBPROTOCOLS, SPDY_COMMAND, session)
