"""Roles and their bindings; their names may be anything that fits into a URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minik8s.api.strategies.kind import Causes, KindStrategy, set_default
from minik8s.api.validation.common import named
from minik8s.api.validation.selectors import validate_label_selector
from minik8s.machinery import names
from minik8s.machinery.field import invalid, not_supported, required
from minik8s.machinery.meta import Doc, Obj

GROUP = "rbac.authorization.k8s.io"
_SUBJECTS = ("ServiceAccount", "User", "Group")


class _RbacStrategy(KindStrategy):
    creates_on_update = True
    changes_last = True

    def name_errors(self, name: str) -> list[str]:
        return names.path_segment(name)


class RoleStrategy(_RbacStrategy):
    """Upstream: pkg/registry/rbac/role."""

    def check(self, obj: Doc) -> Causes:
        return validate_rules(obj.get("rules") or (), namespaced=True)


class ClusterRoleStrategy(_RbacStrategy):
    """Upstream: pkg/registry/rbac/clusterrole."""

    def check(self, obj: Doc) -> Causes:
        yield from validate_rules(obj.get("rules") or (), namespaced=False)
        if (aggregation := obj.get("aggregationRule")) is not None:
            selectors = aggregation.get("clusterRoleSelectors") or ()
            if not selectors:
                detail = "at least one clusterRoleSelector required if aggregationRule is non-nil"
                yield required("aggregationRule.clusterRoleSelectors", detail)
            for index, selector in enumerate(selectors):
                yield from validate_label_selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]")


def validate_rules(rules: Sequence[Mapping[str, Any]], *, namespaced: bool) -> Causes:
    """A role's rules: each names verbs, and either resources or paths."""
    for index, rule in enumerate(rules):
        yield from _rule(rule, f"rules[{index}]", namespaced)


def _rule(rule: Mapping[str, Any], path: str, namespaced: bool) -> Causes:
    if not rule.get("verbs"):
        yield required(f"{path}.verbs", "verbs must contain at least one value")
    urls = rule.get("nonResourceURLs") or ()
    if urls:
        if namespaced:
            yield invalid(f"{path}.nonResourceURLs", list(urls), "namespaced rules cannot apply to non-resource URLs")
        if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            yield invalid(f"{path}.nonResourceURLs", list(urls), detail)
        return
    if not rule.get("apiGroups"):
        yield required(f"{path}.apiGroups", "resource rules must supply at least one api group")
    if not rule.get("resources"):
        yield required(f"{path}.resources", "resource rules must supply at least one resource")


class BindingStrategy(_RbacStrategy):
    """RoleBinding and ClusterRoleBinding. Upstream: pkg/apis/rbac/validation."""

    role_kinds: tuple[str, ...] = ("Role", "ClusterRole")
    namespaced = True

    def default(self, obj: Obj) -> None:
        set_default(obj["roleRef"], "apiGroup", GROUP)
        for subject in obj.get("subjects") or ():
            if subject.get("kind") in ("User", "Group"):
                set_default(subject, "apiGroup", GROUP)

    def check(self, obj: Doc) -> Causes:
        role = obj["roleRef"]
        if role.get("apiGroup") != GROUP:
            yield not_supported("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,))
        if role.get("kind") not in self.role_kinds:
            yield not_supported("roleRef.kind", role.get("kind", ""), self.role_kinds)
        if not role.get("name"):
            yield required("roleRef.name")
        else:
            yield from named(role["name"], "roleRef.name", names.path_segment)
        for index, subject in enumerate(obj.get("subjects") or ()):
            yield from _subject(subject, f"subjects[{index}]", self.namespaced)

    def check_change(self, obj: Doc, old: Doc) -> Causes:
        role = obj["roleRef"]
        if role != old["roleRef"]:
            # the internal struct's field names, as upstream's message shows it
            shown = {name: role.get(name[0].lower() + name[1:], "") for name in ("Kind", "Name")}
            yield invalid("roleRef", {"APIGroup": role.get("apiGroup", ""), **shown}, "cannot change roleRef")


def _subject(subject: Mapping[str, Any], path: str, namespaced: bool) -> Causes:
    kind, name, group = subject.get("kind", ""), subject.get("name", ""), subject.get("apiGroup", "")
    if not name:
        yield required(f"{path}.name")
    if kind not in _SUBJECTS:
        yield not_supported(f"{path}.kind", kind, _SUBJECTS)
        return
    if kind == "ServiceAccount":
        if name:
            yield from named(name, f"{path}.name", names.dns1123_subdomain)
        if group:
            yield not_supported(f"{path}.apiGroup", group, ("",))
        if not namespaced and not subject.get("namespace"):
            yield required(f"{path}.namespace")
        return
    if not name:
        yield invalid(f"{path}.name", name, f"{kind.lower()} name cannot be empty")
    if group != GROUP:
        yield not_supported(f"{path}.apiGroup", group, (GROUP,))


class ClusterBindingStrategy(BindingStrategy):
    """Binds cluster roles only."""

    role_kinds = ("ClusterRole",)
    namespaced = False


STRATEGIES: Mapping[str, type[KindStrategy]] = {
    "clusterrolebindings": ClusterBindingStrategy,
    "clusterroles": ClusterRoleStrategy,
    "rolebindings": BindingStrategy,
    "roles": RoleStrategy,
}
