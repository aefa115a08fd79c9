"""Standing between a request and its answer: what faults and request logs have in common.

An interceptor gets every request that has been authorized, whether it came over HTTP or in process, and the way on. It
may answer itself, refuse, wait, or look at what comes back. A server without any pays one look at an empty list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from minik8s.api.request import ApiRequest
from minik8s.apiserver.response import ApiResponse
from minik8s.machinery.suggest import unknown

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

Proceed = Callable[[ApiRequest], Awaitable[ApiResponse]]
Interceptor = Callable[[ApiRequest, Proceed], Awaitable[ApiResponse]]

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
READS = frozenset({"get", "list", "watch"})
_GROUPS = {"*": WRITES | READS, "write": WRITES, "read": READS}
VerbName = Literal[
    "*", "write", "read", "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"
]


def _verbs(verb: str | Collection[str]) -> frozenset[str]:
    """The verbs that a word or several mean. Raises ValueError for one that does not exist."""
    words = (verb,) if isinstance(verb, str) else tuple(verb)
    known = WRITES | READS
    for word in words:
        if word not in known and word not in _GROUPS:
            raise ValueError(f"there is no verb {word!r}; there are {', '.join(sorted(known | _GROUPS.keys()))}")
    return frozenset().union(*(_GROUPS.get(word, frozenset({word})) for word in words))


@attrs.frozen
class Where:
    """Which requests are meant; what is left out does not matter.

    verb        a verb, several, "write", "read" or "*"
    resource    plural, with its group if it has one (`pods`, `deployments.apps`); "" is every resource
    subresource "" is the object itself, None does not matter
    agent       the beginning of the caller's user agent; `user` its whole name
    """

    verb: frozenset[str] = attrs.field(default=_GROUPS["*"], converter=_verbs)
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str | None = None
    user: str = ""
    agent: str = ""

    def matches(self, request: ApiRequest) -> bool:
        if request.verb not in self.verb:
            return False
        if self.subresource is not None and request.subresource != self.subresource:
            return False
        asked = (
            (self.resource, request.resource.group_resource),
            (self.namespace, request.namespace),
            (self.name, request.name or named_in(request)),
            (self.user, request.user.name),
        )
        return all(wanted in ("", given) for wanted, given in asked) and request.user_agent.startswith(self.agent)

    def __str__(self) -> str:
        """`create,update of pods by kubelet`."""
        verbs = next((word for word, verbs in _GROUPS.items() if verbs == self.verb), ",".join(sorted(self.verb)))
        parts = [f"{verbs} of {self.resource or 'anything'}" + (f"/{self.subresource}" if self.subresource else "")]
        parts += [f"{key} {value}" for key, value in (("in", self.namespace), ("named", self.name)) if value]
        parts += [f"by {value}" for value in (self.user, self.agent) if value]
        return " ".join(parts)


def where_of(ctx: ServerContext, options: Mapping[str, Any], *others: str) -> Where:
    """The requests that options of a test mean; `others` are options that are not about that, for the error's sake.

    Raises ValueError when no request could ever be meant: there is no such option, verb, resource or subresource.
    """
    known = [field.name for field in attrs.fields(Where)]
    for name in options:
        if name not in known:
            raise ValueError(unknown("option", name, [*known, *others]))
    where = Where(**options)
    if not where.resource:
        return where
    resources = [r for r in ctx.registry.known if r.group_resource == where.resource]
    if not resources:
        raise ValueError(unknown("resource", where.resource, [r.group_resource for r in ctx.registry.known]))
    subresources = [s.name for r in resources for s in r.subresources]
    if where.subresource and where.subresource not in subresources:
        raise ValueError(unknown(f"subresource of {where.resource}", where.subresource, subresources))
    return where


def named_in(request: ApiRequest) -> str:
    """The name in the body of a creation, as far as it can be seen without decoding."""
    body = request.body
    return str((body.get("metadata") or {}).get("name", "")) if isinstance(body, dict) else ""
