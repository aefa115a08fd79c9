"""RBAC: roles say what may be done, bindings say who has them.

Bindings are indexed by subject, and what a user's bindings say about a verb on a resource is remembered, until
something in the API group changes: the store says when that was. A decision that has been taken before costs
a few microseconds. Upstream: plugin/pkg/auth/authorizer/rbac.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import attrs

from minik8s.api.rbac import Rule, allows_path, allows_resource, names_of
from minik8s.api.request import User
from minik8s.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from minik8s.apiserver.authorization.authorizer import AccessAttributes, Decision, RuleSet
from minik8s.machinery.meta import Doc, name_of, namespace_of
from minik8s.store.protocol import Store

RESOURCES = tuple(r.group_resource for r in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS))
REMEMBERED = 4096
"""Questions whose answers are kept."""

REFUSED = Decision(False)

Subject: TypeAlias = tuple[str, str]
"""("User" or "Group", name); service accounts are users."""


@attrs.frozen(eq=False)
class Grant:
    """A binding as it concerns one of its subjects. `source` is how reasons name it."""

    source: str
    kind: str
    role: str
    namespace: str


@attrs.frozen(eq=False)
class _Answer:
    """What is granted of a verb on a resource, and for which objects (None for all)."""

    granted: Sequence[tuple[Decision, frozenset[str] | None]]
    otherwise: Decision

    def decide(self, name: str) -> Decision:
        for decision, names in self.granted:
            if names is None or name in names:
                return decision
        return self.otherwise


class RoleNotFound(Exception):
    """A binding's role does not exist; the text is upstream's."""


class RBACAuthorizer:
    """An `Authorizer` over the roles and bindings in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._cluster: dict[Subject, list[Grant]] | None = None
        self._namespaces: dict[str, dict[Subject, list[Grant]]] = {}
        self._answers: dict[object, _Answer] = {}

    def authorize(self, attributes: AccessAttributes) -> Decision:
        self._refresh()
        a, user = attributes, attributes.user
        key = (user.name, user.groups, a.verb, a.group, a.resource, a.subresource, a.namespace, a.path)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= REMEMBERED:
                self._answers.clear()
            answer = self._answers[key] = self._answer(attributes)
        return answer.decide(attributes.name)

    def rules_for(self, user: User, namespace: str) -> RuleSet:
        self._refresh()
        rules: list[Rule] = []
        errors: list[str] = []
        for grant in self._grants(user, namespace):
            try:
                rules += self.rules_of(grant.kind, grant.role, grant.namespace)
            except RoleNotFound as error:
                errors.append(str(error))
        return RuleSet(rules, aggregate(errors))

    def rules_of(self, kind: str, name: str, namespace: str) -> Sequence[Rule]:
        """The rules that a roleRef in a namespace means; raises RoleNotFound."""
        clustered = kind == "ClusterRole"
        resource = CLUSTER_ROLES if clustered else ROLES
        entry = self._store.peek((resource.group_resource, "" if clustered else namespace, name))
        if entry is None:
            raise RoleNotFound(f'{kind.lower()}.{resource.group} "{name}" not found')
        return entry.value.get("rules") or ()

    def _answer(self, attributes: AccessAttributes) -> _Answer:
        granted: list[tuple[Decision, frozenset[str] | None]] = []
        errors: list[str] = []
        for grant in self._grants(attributes.user, attributes.namespace):
            try:
                rules = self.rules_of(grant.kind, grant.role, grant.namespace)
            except RoleNotFound as error:
                errors.append(str(error))
                continue
            for rule in rules:
                if _speaks_of(rule, attributes):
                    names = names_of(rule) if attributes.is_resource else ()
                    allowed = Decision(True, f"RBAC: allowed by {grant.source}")
                    granted.append((allowed, frozenset(names) if names else None))
                    if not names:
                        return _Answer(granted, REFUSED)
        return _Answer(granted, Decision(False, f"RBAC: {aggregate(errors)}") if errors else REFUSED)

    def _grants(self, user: User, namespace: str) -> Iterator[Grant]:
        subjects = [("User", user.name), *(("Group", group) for group in user.groups)]
        indexes = [self._cluster_index()]
        if namespace:
            indexes.append(self._namespace_index(namespace))
        for index in indexes:
            for subject in subjects:
                yield from index.get(subject, ())

    def _refresh(self) -> None:
        """Forgets what was derived from roles and bindings that have changed."""
        version = self._store.last_change(RESOURCES)
        if version != self._version:
            self._version, self._cluster = version, None
            self._namespaces.clear()
            self._answers.clear()

    def _cluster_index(self) -> dict[Subject, list[Grant]]:
        if self._cluster is None:
            self._cluster = _index(e.value for e in self._store.scan((CLUSTER_ROLE_BINDINGS.group_resource,)))
        return self._cluster

    def _namespace_index(self, namespace: str) -> dict[Subject, list[Grant]]:
        index = self._namespaces.get(namespace)
        if index is None:
            entries = self._store.scan((ROLE_BINDINGS.group_resource, namespace))
            index = self._namespaces[namespace] = _index(entry.value for entry in entries)
        return index


def _speaks_of(rule: Rule, attributes: AccessAttributes) -> bool:
    a = attributes
    if not a.is_resource:
        return allows_path(rule, a.verb, a.path)
    return allows_resource(rule, a.verb, a.group, a.resource, a.subresource)


def _index(bindings: Iterable[Doc]) -> dict[Subject, list[Grant]]:
    index: dict[Subject, list[Grant]] = {}
    for binding in bindings:
        namespace, role = namespace_of(binding), binding["roleRef"]
        for subject in binding.get("subjects") or ():
            key = _subject(subject, namespace)
            if key is not None:
                source = _source(binding, namespace, subject)
                index.setdefault(key, []).append(Grant(source, role["kind"], role["name"], namespace))
    return index


def _subject(subject: Doc, binding_namespace: str) -> Subject | None:
    kind, name = subject.get("kind", ""), subject.get("name", "")
    if kind != "ServiceAccount":
        return (kind, name)
    namespace = subject.get("namespace") or binding_namespace
    return ("User", f"system:serviceaccount:{namespace}:{name}") if namespace else None


def _source(binding: Doc, namespace: str, subject: Doc) -> str:
    role, kind, name = binding["roleRef"], subject.get("kind", ""), subject.get("name", "")
    if kind == "ServiceAccount":
        name = f"{name}/{subject.get('namespace') or namespace}"
    whole = f"{name_of(binding)}/{namespace}" if namespace else name_of(binding)
    what = "RoleBinding" if namespace else "ClusterRoleBinding"
    return f'{what} "{whole}" of {role["kind"]} "{role["name"]}" to {kind} "{name}"'


def aggregate(errors: Sequence[str]) -> str:
    """Several errors in one text, as apimachinery's Aggregate shows them."""
    distinct = list(dict.fromkeys(errors))
    return distinct[0] if len(distinct) == 1 else "[" + ", ".join(distinct) + "]" if distinct else ""
