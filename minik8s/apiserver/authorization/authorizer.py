"""The seam: what is asked of an authorizer, what it answers, and what the refused are told.

`AlwaysAllow` is the authorizer of a cluster without RBAC: who proved an identity may do everything, the others look at
the door. The texts are those of apiserver `pkg/endpoints/handlers/responsewriters/errors.go`. Members of
system:masters are asked no questions (upstream's privileged-groups authorizer stands before all others), so that an
administrator's calls, which are all of a cluster's own, pay nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from minik8s.api.rbac import FULL_AUTHORITY, Rule
from minik8s.api.request import ApiRequest, User
from minik8s.api.users import ANONYMOUS, AUTHENTICATED, MASTERS, UNAUTHENTICATED
from minik8s.machinery.errors import BadRequest, Forbidden
from minik8s.machinery.selectors import FieldSelector

PUBLIC_PATHS = frozenset({"/version", "/healthz", "/livez", "/readyz"})
"""What upstream's ClusterRole system:public-info-viewer shows to everybody."""


@attrs.define(eq=False)
class AccessAttributes:
    """One question: may `user` do `verb` on that? Upstream: authorizer.Attributes. Nobody changes it once it is put.

    `path` is set for what is no resource; then `verb` is the HTTP method in lower case. A namespace is in itself.
    The selectors are what a list, a watch or a deletion of many narrows itself down to, as texts; what of them cannot
    be understood is left out, which asks for more.
    """

    user: User
    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    field_selector: str = ""
    label_selector: str = ""

    @property
    def is_resource(self) -> bool:
        return not self.path

    @property
    def qualified(self) -> str:
        """`pods` or `pods/log`, as rules name it."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


@attrs.frozen
class Decision:
    """Whether it is allowed; `reason` says which rule allows it, or what went wrong while looking for one."""

    allowed: bool
    reason: str = ""


@attrs.frozen
class RuleSet:
    """What a user may do in a namespace, as SelfSubjectRulesReview tells it. `error` says why it may be incomplete."""

    rules: Sequence[Rule]
    error: str = ""


class Authorizer(Protocol):
    """Decides. Never suspends: between a decision and the write that follows nothing else runs."""

    def authorize(self, attributes: AccessAttributes) -> Decision: ...

    def rules_for(self, user: User, namespace: str) -> RuleSet: ...


ALLOWED = Decision(True)


class AlwaysAllow:
    """Everybody who proved an identity may do everything."""

    def authorize(self, attributes: AccessAttributes) -> Decision:
        user = attributes.user
        named = user.name not in ("", ANONYMOUS.name) and UNAUTHENTICATED not in user.groups
        if named or AUTHENTICATED in user.groups:
            return ALLOWED
        return Decision("/" + attributes.path.strip("/").partition("/")[0] in PUBLIC_PATHS)

    def rules_for(self, user: User, namespace: str) -> RuleSet:
        if self.authorize(AccessAttributes(user, "*")).allowed:
            return RuleSet(FULL_AUTHORITY)
        return RuleSet([{"verbs": ["get"], "nonResourceURLs": sorted(PUBLIC_PATHS)}])


def is_privileged(user: User) -> bool:
    """Whether nobody has to be asked."""
    return user.trusted or MASTERS in user.groups


def authorize(authorizer: Authorizer, attributes: AccessAttributes) -> None:
    """Raises Forbidden."""
    if is_privileged(attributes.user):
        return
    decision = authorizer.authorize(attributes)
    if not decision.allowed:
        raise forbidden(attributes, decision.reason)


def authorize_request(authorizer: Authorizer, request: ApiRequest, verb: str = "") -> None:
    """The same for a request that has been understood; `verb` where it means another one than it says."""
    if not is_privileged(request.user):
        authorize(authorizer, request_attributes(request, verb))


def authorize_path(authorizer: Authorizer, user: User, method: str, path: str) -> None:
    """The same for a path outside the resources."""
    if not is_privileged(user):
        authorize(authorizer, AccessAttributes(user, method.lower(), path=path))


def request_attributes(request: ApiRequest, verb: str = "") -> AccessAttributes:
    """The question that a request puts."""
    resource, name = request.resource, request.name
    in_itself = resource.plural == "namespaces" and not resource.group
    return AccessAttributes(
        request.user,
        verb or request.verb,
        resource.group,
        resource.version,
        resource.plural,
        request.subresource,
        name if in_itself else request.namespace,
        name or selected_name(request.verb, request.options),
        field_selector=request.options.get("fieldSelector", ""),
        label_selector=request.options.get("labelSelector", ""),
    )


def selected_name(verb: str, options: Mapping[str, str]) -> str:
    """The one object that a list or watch can be about, so that a rule for that object allows it."""
    if verb not in ("list", "watch") or not (selector := options.get("fieldSelector")):
        return ""
    try:
        return FieldSelector.parse(selector).exact("metadata.name") or ""
    except BadRequest:
        return ""  # the list itself will say what is wrong with it


def forbidden(attributes: AccessAttributes, reason: str = "") -> Forbidden:
    """The refusal, of resources known or not."""
    user, verb, why = attributes.user.name, attributes.verb, f": {reason}" if reason else ""
    if not attributes.is_resource:
        return Forbidden(f'forbidden: User "{user}" cannot {verb} path "{attributes.path}"{why}')
    group, plural, name = attributes.group, attributes.resource, attributes.name
    qualified = f"{plural}.{group}" if group else plural
    subject = f'{qualified} "{name}"' if name else qualified
    scope = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    what = f'resource "{attributes.qualified}" in API group "{group}" {scope}'
    message = f'{subject} is forbidden: User "{user}" cannot {verb} {what}{why}'
    return Forbidden(message, kind=plural, group=group, name=name)
