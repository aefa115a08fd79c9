"""Acting as somebody else: the Impersonate-* headers, and the right to every single thing they ask for.

Upstream: apiserver `pkg/endpoints/filters/impersonation`. The user, each group, each extra value and the uid are
authorized on their own, with the verb `impersonate`, in this order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

import attrs

from minik8s.api.request import User
from minik8s.api.users import account_of, named
from minik8s.apiserver.authorization import AccessAttributes, Authorizer, authorize, is_privileged
from minik8s.machinery.errors import BadRequest

Header = tuple[bytes, bytes]
_EXTRA = b"impersonate-extra-"
_GROUP = "authentication.k8s.io"


@attrs.define
class _Wanted:
    """Whom the headers name."""

    name: str = ""
    uid: str = ""
    groups: list[str] = attrs.field(factory=list)
    extra: dict[str, list[str]] = attrs.field(factory=dict)


def is_impersonating(names: Iterable[bytes]) -> bool:
    """Whether one of a request's headers is about impersonation."""
    return any(name.startswith(b"impersonate-") for name in names)


def impersonate(authorizer: Authorizer, user: User, headers: Iterable[Header]) -> User:
    """Who the Impersonate-* headers say the call is for. Raises Forbidden or BadRequest."""
    wanted = _read(headers)
    if not wanted.name:
        if wanted.uid or wanted.groups or wanted.extra:
            raise BadRequest("requested impersonation of groups, a uid or extra fields without impersonating a user")
        return user
    if not is_privileged(user):
        for question in _questions(user, wanted):
            authorize(authorizer, question)
    return named(wanted.name, wanted.groups, wanted.uid, wanted.extra)


def _read(headers: Iterable[Header]) -> _Wanted:
    wanted = _Wanted()
    for key, raw in headers:
        if not key.startswith(b"impersonate-"):
            continue
        value = raw.decode("utf-8", "replace")
        if key == b"impersonate-user":
            wanted.name = value
        elif key == b"impersonate-uid":
            wanted.uid = value
        elif key == b"impersonate-group":
            wanted.groups.append(value)
        elif key.startswith(_EXTRA):
            wanted.extra.setdefault(unquote(key[len(_EXTRA) :].decode("latin-1")).lower(), []).append(value)
    return wanted


def _questions(user: User, wanted: _Wanted) -> Iterator[AccessAttributes]:
    if account := account_of(wanted.name):
        namespace, name = account
        yield AccessAttributes(user, "impersonate", "", "v1", "serviceaccounts", "", namespace, name)
    else:
        yield AccessAttributes(user, "impersonate", "", "v1", "users", name=wanted.name)
    for group in wanted.groups:
        yield AccessAttributes(user, "impersonate", "", "v1", "groups", name=group)
    for key, values in wanted.extra.items():
        for value in values:
            yield AccessAttributes(user, "impersonate", _GROUP, "v1", "userextras", key, name=value)
    if wanted.uid:
        yield AccessAttributes(user, "impersonate", _GROUP, "v1", "uids", name=wanted.uid)
