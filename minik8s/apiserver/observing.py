"""What is remembered of every request that came by HTTP: counters, and an entry in the audit log.

It begins with the request's id, which the answer carries as Audit-Id, and ends when the last byte is written.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from minik8s.api.request import APPLY_PATCH, ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.audit import DECISION, REASON
from minik8s.apiserver.context import ServerContext
from minik8s.apiserver.counting import Labels, Series
from minik8s.apiserver.httpcall import HttpCall, verb_meant
from minik8s.apiserver.requestinfo import RequestInfo

_VERBS = {
    "get": "GET", "list": "LIST", "watch": "WATCH", "create": "POST", "update": "PUT", "patch": "PATCH",
    "delete": "DELETE", "deletecollection": "DELETECOLLECTION",
}  # fmt: skip
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_NOTHING: Labels = ("", "", "", "", "")
LEFT = 499
"""The code of a request whose client went before it was answered; no client ever sees it."""


class Observer:
    """Watches the requests of one server."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._clock, self._audit, self._metrics = ctx.clock, ctx.audit, ctx.metrics
        self._series = ctx.metrics.requests

    def begin(self, call: HttpCall) -> None:
        call.began = self._clock.monotonic()
        call.audit_id = self._audit.identify(call.headers.get(b"audit-id"))
        call.extra = ((b"audit-id", call.audit_id),)

    def lasting(self, call: HttpCall, request: ApiRequest) -> None:
        """Counts a request that lasts as under way; `end` takes it back."""
        call.lasts = labels = _about(request)
        self._metrics.longrunning[labels] += 1

    def end(self, call: HttpCall) -> None:
        began = call.began
        seconds = self._clock.monotonic() - began
        request, code = call.request, call.code or LEFT
        key: Hashable
        if request is None:
            verb = verb_meant(call)
            key = (verb if call.method in _METHODS else "", code, self._served(call))
        else:
            verb = request.verb
            key = (request.resource, verb, request.subresource, request.content_type == APPLY_PATCH, code,
                   bool(request.name), bool(request.namespace), "dryRun" in request.options)  # fmt: skip
        series = self._series.get(key)
        if series is None:
            series = self._new_series(key, call, request, code)
        series.add(seconds, call.size)
        if call.lasts is not None:
            self._metrics.longrunning[call.lasts] -= 1
        annotations = _annotations(call, request) if request is None or request.audit_annotations else ALLOWED
        user_agent = call.headers.get(b"user-agent", b"")
        who = call.user or self._ctx.anonymous
        head = (call.audit_id, verb, call.path, call.query, who, call.acting, call.info)
        self._audit.keep((*head, code, began, seconds, user_agent, call.client, annotations))

    def _new_series(self, key: Hashable, call: HttpCall, request: ApiRequest | None, code: int) -> Series:
        about = _about(request) if request is not None else _about_refused(call, self._served(call))
        dry_run = "All" if request is not None and request.options.get("dryRun") else ""
        return self._metrics.series(key, (*about, dry_run, str(code)), ends=call.lasts is None)

    def _served(self, call: HttpCall) -> Resource[Any] | None:
        """What a request was about that was refused before it was understood, if there is such a thing."""
        info = call.info
        return None if info is None else self._ctx.registry.get(info.group, info.version, info.plural)


def keep_direct(ctx: ServerContext, request: ApiRequest, code: int, began: float) -> None:
    """The entry of a request that never left the process; made for those who are not the cluster itself."""
    group, version, plural = request.resource.group, request.resource.version, request.resource.plural
    path = request.resource.path(request.namespace, request.name, request.subresource)
    info = RequestInfo(group, version, plural, request.namespace, request.name, request.subresource)
    annotations = {**(FORBIDDEN if code == 403 else ALLOWED), **request.audit_annotations}
    seconds, user_agent = ctx.clock.monotonic() - began, request.user_agent.encode()
    audit_id = ctx.audit.identify(None)
    head = (audit_id, request.verb, path, "", request.user, None, info)
    ctx.audit.keep((*head, code, began, seconds, user_agent, None, annotations))


def _about_refused(call: HttpCall, resource: Resource[Any] | None) -> Labels:
    if resource is None:
        return (call.method if call.method in _METHODS else "other", *_NOTHING)
    verb = verb_meant(call)
    return (_VERBS.get(verb, "other"), resource.group, resource.version, resource.plural, "", "")


def _about(request: ApiRequest) -> Labels:
    """The labels that say what a request was about."""
    resource = request.resource
    verb = "APPLY" if request.content_type == APPLY_PATCH else _VERBS[request.verb]
    scope = "cluster"
    if request.name or request.verb == "create":
        scope = "resource"
    elif request.namespace:
        scope = "namespace"
    return (verb, resource.group, resource.version, resource.plural, request.subresource, scope)


def _annotations(call: HttpCall, request: ApiRequest | None) -> Mapping[str, str]:
    decision = ALLOWED if call.allowed else FORBIDDEN if call.code == 403 else {}
    return {**decision, **request.audit_annotations} if request is not None else decision


ALLOWED: Mapping[str, str] = {DECISION: "allow", REASON: ""}
FORBIDDEN: Mapping[str, str] = {DECISION: "forbid", REASON: ""}
