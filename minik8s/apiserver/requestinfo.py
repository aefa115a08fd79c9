"""From a method and a path to what is meant: which verb on which resource. Pure.

/api/v1/namespaces/{ns}/{plural}/{name}/{sub}/{path…}      /apis/{group}/{version}/…
/api/v1/watch/…                                            the old form of ?watch=true
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import attrs

from minik8s.api.request import Verb
from minik8s.apiserver.options import truth
from minik8s.machinery.errors import MethodNotAllowed, NotFound

NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})
_ITEM_VERBS: Mapping[str, Verb] = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COLLECTION_VERBS: Mapping[str, Verb] = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}
_PROXY_VERBS: Mapping[str, Verb] = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
REMEMBERED_LENGTH = 300
"""Characters of a path that is worth remembering."""
PASSES_ON = "proxy"
"""The only subresource that has a path of its own, and takes any method."""


@attrs.frozen
class RequestInfo:
    """The parts of a resource path; "" where a part is absent."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    path: str = ""
    legacy_watch: bool = False


def parse_path(path: str) -> RequestInfo | None:
    """None when the path is not one of a resource: discovery, health, anything else. Raises NotFound.

    Most paths have been seen before: of collections, of objects that are read and patched again and again.
    """
    return _remembered(path) if len(path) <= REMEMBERED_LENGTH else _parse(path)


def _parse(path: str) -> RequestInfo | None:
    parts = path.strip("/").split("/")
    rest: Sequence[str]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    legacy_watch = rest[0] == "watch" and len(rest) > 1
    if legacy_watch:
        rest = rest[1:]
    namespace, rest = _split_namespace(rest)
    plural, name, sub = [*rest, "", ""][:3]
    if "" in rest[:3] or (sub != PASSES_ON and (len(rest) > 3 or path.endswith("/"))):
        raise NotFound.path()
    return RequestInfo(group, version, plural, namespace, name, sub, "/".join(rest[3:]), legacy_watch)


_remembered = lru_cache(maxsize=4096)(_parse)


def _split_namespace(rest: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The namespace a path is in, and the rest of the path; a namespace itself is in none."""
    if rest[0] != "namespaces" or len(rest) < 3 or rest[2] in NAMESPACE_SUBRESOURCES:
        return "", rest
    if not rest[1]:
        raise NotFound.path()
    return rest[1], rest[2:]


def check_scope(info: RequestInfo, *, namespaced: bool) -> None:
    """Raises NotFound for an object without its namespace, or a namespace where there is none."""
    if (info.namespace and not namespaced) or (namespaced and info.name and not info.namespace):
        raise NotFound.path()


def verb_of(method: str, info: RequestInfo, options: Mapping[str, str], *, namespaced: bool) -> Verb:
    """The verb that an HTTP method means on a path; raises MethodNotAllowed."""
    if info.legacy_watch:
        if method == "GET":
            return "watch"
        raise MethodNotAllowed.default()
    if info.subresource == PASSES_ON and info.name:
        return _PROXY_VERBS.get(method, "get")
    if info.subresource and method == "POST":
        return "create"
    if not info.name and method == "GET" and truth(options, "watch"):
        return "watch"
    verb = (_ITEM_VERBS if info.name else _COLLECTION_VERBS).get(method)
    across_namespaces = namespaced and not info.namespace and not info.name
    if verb is None or (across_namespaces and verb in ("create", "deletecollection")):
        raise MethodNotAllowed.default()
    return verb
