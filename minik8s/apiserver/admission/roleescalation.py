"""Nobody grants what he does not have: the check on roles and bindings that makes RBAC hold.

No admission plugin upstream but part of the registry (pkg/registry/rbac, `policybased` and `escalation_check.go`);
it is asked at the same point of a write. Members of system:masters may grant everything; others need the rules
themselves, or the verb `escalate` on the role, or `bind` on the role that is bound.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import ClassVar

from minik8s.api.rbac import FULL_AUTHORITY, Rule, describe, quoted, uncovered
from minik8s.api.request import User
from minik8s.api.resources import CLUSTER_ROLES, ROLES
from minik8s.apiserver.admission.plugin import AdmissionPlugin, Attributes, World
from minik8s.apiserver.authorization import AccessAttributes, is_privileged
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc

GROUP = "rbac.authorization.k8s.io"
_ROLES, _BINDINGS = frozenset({"roles", "clusterroles"}), frozenset({"rolebindings", "clusterrolebindings"})
_OF_COLLECTORS = ("ownerReferences", "finalizers", "managedFields", "resourceVersion", "generation")


class RoleEscalation(AdmissionPlugin):
    """See the module's docstring."""

    name: ClassVar[str] = "RoleEscalation"
    resources: ClassVar[Collection[str]] = tuple(f"{plural}.{GROUP}" for plural in _ROLES | _BINDINGS)

    def validate(self, attributes: Attributes, world: World) -> None:
        request, obj = attributes.request, attributes.object
        if request.resource.group != GROUP or obj is None or request.subresource or is_privileged(request.user):
            return
        if attributes.old is not None and _is_collected(obj, attributes.old):
            return
        if request.resource.plural in _ROLES:
            self._check_role(attributes, obj, world)
        elif request.resource.plural in _BINDINGS:
            self._check_binding(attributes, obj, world)

    def _check_role(self, attributes: Attributes, role: Doc, world: World) -> None:
        request = attributes.request
        question = AccessAttributes(
            request.user, "escalate", GROUP, "*", request.resource.plural, "", request.namespace, request.name
        )
        if world.authorizer.authorize(question).allowed:
            return
        if role.get("aggregationRule") or (attributes.old or {}).get("aggregationRule"):
            owned = world.authorizer.rules_for(request.user, request.namespace).rules
            if uncovered(owned, FULL_AUTHORITY):
                raise attributes.forbidden("must have cluster-admin privileges to use the aggregationRule")
        self._confirm(attributes, role.get("rules") or (), world)

    def _check_binding(self, attributes: Attributes, binding: Doc, world: World) -> None:
        request, role = attributes.request, binding["roleRef"]
        resource = CLUSTER_ROLES if role["kind"] == "ClusterRole" else ROLES
        question = AccessAttributes(
            request.user, "bind", GROUP, "*", resource.plural, "", request.namespace, role["name"]
        )
        if world.authorizer.authorize(question).allowed:
            return
        namespace = request.namespace if resource.namespaced else ""
        found = world.get(resource, role["name"], namespace)
        if found is None:
            text = f'{role["kind"].lower()}.{GROUP} "{role["name"]}" not found'
            raise NotFound(text, kind=role["kind"].lower(), group=GROUP, name=role["name"])
        self._confirm(attributes, found.get("rules") or (), world)

    def _confirm(self, attributes: Attributes, rules: Iterable[Rule], world: World) -> None:
        user, namespace = attributes.request.user, attributes.request.namespace
        owned = world.authorizer.rules_for(user, namespace)
        if missing := uncovered(owned.rules, rules):
            raise attributes.forbidden(_refusal(user, missing, owned.error))


def _refusal(user: User, missing: Iterable[Rule], error: str) -> str:
    lines = "\n".join(describe(missing))
    who = f'user "{user.name}" (groups={quoted(user.groups)})'
    unresolved = f"; resolution errors: [{error}]" if error else ""
    return f"{who} is attempting to grant RBAC permissions not currently held:\n{lines}{unresolved}"


def _is_collected(obj: Doc, old: Doc) -> bool:
    """Whether the update only lets go of the object, as the garbage collector does."""

    def rest(document: Doc) -> Doc:
        metadata = {key: value for key, value in document["metadata"].items() if key not in _OF_COLLECTORS}
        return {**document, "metadata": metadata}

    return rest(obj) == rest(old)
