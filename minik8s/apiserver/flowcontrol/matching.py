"""Which flow a request belongs to: the first flow schema that matches it, by precedence. Pure.

Upstream: apiserver `pkg/util/flowcontrol/rule.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from minik8s.api.request import User
from minik8s.apiserver.requestinfo import RequestInfo
from minik8s.machinery.meta import Doc


def find(schemas: Iterable[Doc], user: User, verb: str, info: RequestInfo | None, path: str) -> Doc:
    """The first that matches; the last for whom nothing is meant, which is the one that catches all."""
    schema: Doc = {}
    for schema in schemas:
        if matches(schema, user, verb, info, path):
            break
    return schema


def distinguisher(schema: Doc, user: User, info: RequestInfo | None) -> str:
    """What tells the flows of one schema apart."""
    method = (schema["spec"].get("distinguisherMethod") or {}).get("type")
    if method == "ByUser":
        return user.name
    return info.namespace if method == "ByNamespace" and info is not None else ""


def matches(schema: Doc, user: User, verb: str, info: RequestInfo | None, path: str) -> bool:
    """Whether one of a schema's rules is for this user and what is asked."""
    return any(
        any(_is_subject(subject, user) for subject in rule.get("subjects") or ()) and _allows(rule, verb, info, path)
        for rule in schema["spec"].get("rules") or ()
    )


def _is_subject(subject: Doc, user: User) -> bool:
    kind = subject["kind"]
    if kind == "User":
        return subject["user"]["name"] in ("*", user.name)
    if kind == "Group":
        return subject["group"]["name"] == "*" or subject["group"]["name"] in user.groups
    account = subject["serviceAccount"]
    prefix = f"system:serviceaccount:{account['namespace']}:"
    return user.name.startswith(prefix) and account["name"] in ("*", user.name.removeprefix(prefix))


def _allows(rule: Doc, verb: str, info: RequestInfo | None, path: str) -> bool:
    if info is None:
        return any(_names(r, "verbs", verb) and _is_path(r, path) for r in rule.get("nonResourceRules") or ())
    what = f"{info.plural}/{info.subresource}" if info.subresource else info.plural
    return any(
        _names(r, "verbs", verb)
        and _names(r, "apiGroups", info.group)
        and _names(r, "resources", what)
        and (_names(r, "namespaces", info.namespace) if info.namespace else bool(r.get("clusterScope")))
        for r in rule.get("resourceRules") or ()
    )


def _names(rule: Doc, field: str, value: str) -> bool:
    values = rule.get(field) or ()
    return "*" in values or value in values


def _is_path(rule: Doc, path: str) -> bool:
    return any(p == "*" or p == path or (p.endswith("/*") and path.startswith(p[:-1])) for p in rule["nonResourceURLs"])
