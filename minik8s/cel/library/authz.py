"""`authorizer.group('apps').resource('deployments').check('create').allowed()`.

The authorizer is handed in as a Python object: `Authorizer(authorize)` with a function that decides one `Check` at
once. Upstream: k8s.io/apiserver `pkg/cel/library/authz.go`, and its cost of 350,000 units a check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from minik8s.cel.declare import table
from minik8s.cel.errors import EvaluationError
from minik8s.cel.types import opaque
from minik8s.cel.values import Opaque
from minik8s.machinery import names

CHECK_COST = 350_000


@attrs.frozen
class Decision(Opaque):
    """What an authorizer says; `error` is "" when it had none."""

    allowed: bool
    reason: str = ""
    error: str = ""

    cel_name = "kubernetes.authorization.Decision"


@attrs.frozen
class Check(Opaque):
    """One question: a path, or a resource. Selectors are texts; `service_account` is (namespace, name) of who is asked
    about instead of the request's user."""

    authorize: Callable[[Check], Decision] = attrs.field(repr=False)
    service_account: tuple[str, str] | None = None
    verb: str = ""
    path: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    field_selector: str = ""
    label_selector: str = ""

    @property
    def cel_name(self) -> str:  # type: ignore[override]
        """Whether this is a path's, a group's or a resource's check, so far."""
        kind = "PathCheck" if self.path else "ResourceCheck" if self.resource else "GroupCheck"
        return f"kubernetes.authorization.{kind}"


@attrs.frozen
class Authorizer(Opaque):
    """What the variable `authorizer` holds; `resource_check` makes what `authorizer.requestResource` holds."""

    authorize: Callable[[Check], Decision]
    account: tuple[str, str] | None = None

    cel_name = "kubernetes.authorization.Authorizer"

    def resource_check(self, group: str, resource: str, subresource: str, namespace: str, name: str) -> Check:
        """The check of a request's own resource."""
        return Check(
            self.authorize,
            self.account,
            group=group,
            resource=resource,
            subresource=subresource,
            namespace=namespace,
            name=name,
        )


def _path(authorizer: Authorizer, path: str) -> Check:
    if not path.strip():
        raise EvaluationError("path must not be empty")
    return Check(authorizer.authorize, authorizer.account, path=path)


def _group(authorizer: Authorizer, group: str) -> Check:
    return Check(authorizer.authorize, authorizer.account, group=group)


def _service_account(authorizer: Authorizer, namespace: str, name: str) -> Authorizer:
    if names.dns1123_subdomain(name):
        raise EvaluationError("Invalid service account name")
    if names.dns1123_label(namespace):
        raise EvaluationError("Invalid service account namespace")
    return Authorizer(authorizer.authorize, (namespace, name))


def _resource(check: Check, resource: str) -> Check:
    if not resource.strip():
        raise EvaluationError("resource must not be empty")
    return attrs.evolve(check, resource=resource)


def _with(field: str) -> Callable[[Check, str], Check]:
    def change(check: Check, value: str) -> Check:
        changes: dict[str, Any] = {field: value}
        return attrs.evolve(check, **changes)

    return change


def _check(check: Check, verb: str) -> Decision:
    return check.authorize(attrs.evolve(check, verb=verb))


_PREFIX = "kubernetes.authorization."
_A, _P, _G, _R, _D = (_PREFIX + n for n in ("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision"))
AUTHORIZER = opaque(_A)
RESOURCE_CHECK = opaque(_R)
FUNCTIONS = table(
    [
        ("path", f"{_A}.(string) -> {_P}", _path),
        ("group", f"{_A}.(string) -> {_G}", _group),
        ("serviceAccount", f"{_A}.(string, string) -> {_A}", _service_account),
        ("resource", f"{_G}.(string) -> {_R}", _resource),
        ("subresource", f"{_R}.(string) -> {_R}", _with("subresource")),
        ("namespace", f"{_R}.(string) -> {_R}", _with("namespace")),
        ("name", f"{_R}.(string) -> {_R}", _with("name")),
        ("fieldSelector", f"{_R}.(string) -> {_R}", _with("field_selector")),
        ("labelSelector", f"{_R}.(string) -> {_R}", _with("label_selector")),
        ("check", f"{_P}.(string) -> {_D}", _check, lambda *_: CHECK_COST),
        ("check", f"{_R}.(string) -> {_D}", _check, lambda *_: CHECK_COST),
        ("allowed", f"{_D}.() -> bool", lambda decision: decision.allowed),
        ("reason", f"{_D}.() -> string", lambda decision: decision.reason),
        ("errored", f"{_D}.() -> bool", lambda decision: decision.error != ""),
        ("error", f"{_D}.() -> string", lambda decision: decision.error),
    ]
)
