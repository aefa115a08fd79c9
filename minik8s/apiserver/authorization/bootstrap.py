"""The roles and bindings that a cluster has from its beginning, read once per process and shared by its clusters.

They are facts (`bootstrap.txt`), so they do not go the whole road of a write but are put into the store as they
are: a hundred and thirty objects for the price of ten. The aggregated roles come with their rules filled in, as the
aggregation controller would leave them, so that they hold without it and cost it no write. Upstream:
plugin/pkg/auth/authorizer/rbac/bootstrappolicy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import attrs

from minik8s.api.resource import Resource
from minik8s.api.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from minik8s.machinery.frozen import freeze
from minik8s.machinery.meta import Obj
from minik8s.machinery.names import new_uid
from minik8s.store.protocol import Key, Store

GROUP = "rbac.authorization.k8s.io"
AGGREGATE_TO = f"{GROUP}/aggregate-to-"
_LABELS: Obj = freeze({"kubernetes.io/bootstrapping": "rbac-defaults"})
_ANNOTATIONS: Obj = freeze({"rbac.authorization.kubernetes.io/autoupdate": "true"})
_VERBS = {
    "g": "get",
    "l": "list",
    "w": "watch",
    "c": "create",
    "u": "update",
    "p": "patch",
    "d": "delete",
    "D": "deletecollection",
}
_EVENTS = "cup core,events.k8s.io events"


@attrs.frozen(eq=False)
class Seed:
    """An object to come: everything but its uid and date."""

    key: Key
    document: Obj


@cache
def seeds() -> tuple[Seed, ...]:
    """All of them, the roles before their bindings."""
    lines = (Path(__file__).parent / "bootstrap.txt").read_text("utf-8").splitlines()
    found = list(_objects(line for line in lines if line and not line.startswith("#")))
    _aggregate([seed.document for seed in found])
    frozen = [Seed(seed.key, freeze(seed.document)) for seed in found]  # they are every cluster's
    return tuple(sorted(frozen, key=lambda seed: "binding" in seed.key[0]))


@cache
def rules_of_role(name: str) -> tuple[Obj, ...]:
    """The rules that a default cluster role begins with."""
    return tuple(
        next(seed.document["rules"] for seed in seeds() if seed.key == (CLUSTER_ROLES.group_resource, "", name))
    )


async def create_roles(store: Store, now: str, rng: Random) -> None:
    """Puts them into a store that has none; what does not differ between clusters is shared by them."""
    for seed in seeds():
        metadata = {**seed.document["metadata"], "uid": new_uid(rng), "creationTimestamp": now}
        await store.put(seed.key, {**seed.document, "metadata": metadata})


def _objects(lines: Iterable[str]) -> Iterator[Seed]:
    rules: list[Obj] = []
    known: dict[str, Obj] = {}  # many roles have the same rules
    for line in lines:
        word, *rest = line.split()
        if line.startswith(" "):
            rules.append(known.get(line) or known.setdefault(line, freeze(_rule(line.strip()))))
            continue
        rules = []
        if word == "bind":
            yield _binding(*rest)
        elif word == "role":
            namespace, name = rest
            yield _seed(ROLES, name, namespace, rules=rules)
        elif word == "controller":
            name = f"system:controller:{rest[0]}"
            yield _seed(CLUSTER_ROLES, name, rules=rules)
            yield _binding(name, f"s:kube-system/{rest[0]}")
        elif word == "aggregate":
            name, target, *labels = rest
            selector = {"matchLabels": {AGGREGATE_TO + target: "true"}}
            rule = {"clusterRoleSelectors": [selector]}
            yield _seed(CLUSTER_ROLES, name, labels=labels, rules=rules, aggregationRule=rule)
        else:
            yield _seed(CLUSTER_ROLES, rest[0], labels=rest[1:], rules=rules)


def _seed(resource: Resource[Any], name: str, namespace: str = "", labels: Iterable[str] = (), **content: Any) -> Seed:
    marks = {AGGREGATE_TO + label.removeprefix(">"): "true" for label in labels}
    metadata: Obj = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata |= {"labels": {**_LABELS, **marks} if marks else _LABELS, "annotations": _ANNOTATIONS}
    document: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata, **content}
    return Seed((resource.group_resource, namespace, name), document)


def _rule(text: str) -> Obj:
    """One line; lists in the order in which upstream's are sorted."""
    verbs, group, *names = (_EVENTS if text == "@events" else text).split()
    rule: Obj = {"verbs": sorted(verb for word in verbs.split(",") for verb in _expand(word))}
    if group == "url":
        return rule | {"nonResourceURLs": names}
    rule["apiGroups"] = ["" if name == "core" else name for name in group.split(",")]
    rule["resources"] = [name for name in names if not name.startswith("=")]
    if only := [name for text in names if text.startswith("=") for name in text[1:].split(",")]:
        rule["resourceNames"] = only
    return rule


def _expand(word: str) -> Iterable[str]:
    return [_VERBS[letter] for letter in word] if set(word) <= _VERBS.keys() else [word]


def _binding(name: str, *rest: str) -> Seed:
    namespace, _, short = name.rpartition("/")
    role, words = (rest[0], rest[1:]) if namespace else (name, rest)
    resource: Resource[Any] = ROLE_BINDINGS if namespace else CLUSTER_ROLE_BINDINGS
    reference = {"apiGroup": GROUP, "kind": "Role" if namespace else "ClusterRole", "name": role}
    content: Obj = {"roleRef": reference}
    if words:
        content["subjects"] = [_subject(word) for word in words]
    return _seed(resource, short, namespace, **content)


def _subject(word: str) -> Obj:
    kind, _, name = word.partition(":")
    if kind == "s":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"kind": "User" if kind == "u" else "Group", "apiGroup": GROUP, "name": name}


def _aggregate(documents: list[Obj]) -> None:
    """Fills in the aggregated roles, those first that others are made of."""
    roles = {document["metadata"]["name"]: document for document in documents if document["kind"] == "ClusterRole"}
    for name in ("view", "edit", "admin"):
        label, target = AGGREGATE_TO + name, roles[name]
        sources = sorted(other for other, role in roles.items() if label in role["metadata"]["labels"])
        for source in sources:
            target["rules"] += [rule for rule in roles[source]["rules"] if rule not in target["rules"]]
