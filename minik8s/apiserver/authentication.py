"""Who calls: bearer tokens, and administrators that act as somebody else.

Upstream: apiserver `pkg/authentication/request` and `pkg/endpoints/filters/impersonation.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import unquote

from minik8s.api.request import User
from minik8s.apiserver.authorization import ANONYMOUS, AUTHENTICATED, authorize_impersonation
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.machinery.errors import BadRequest, Unauthorized

Header = tuple[bytes, bytes]
_ACCOUNT = "system:serviceaccount:"
_EXTRA = b"impersonate-extra-"


def authenticate(authorization: str, tokens: TokenIssuer, anonymous: User, now: datetime) -> User:
    """The bearer of the token; `anonymous` where there is none. Raises Unauthorized for a token that is not ours."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return anonymous
    user = tokens.authenticate(token, now)
    if user is None:
        raise Unauthorized("Unauthorized")
    return user


def impersonate(user: User, headers: Iterable[Header]) -> User:
    """Who the Impersonate-* headers say the call is for. Raises Forbidden or BadRequest."""
    name, uid = "", ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}
    for key, raw in headers:
        if not key.startswith(b"impersonate-"):
            continue
        value = raw.decode("utf-8", "replace")
        if key == b"impersonate-user":
            name = value
        elif key == b"impersonate-uid":
            uid = value
        elif key == b"impersonate-group":
            groups.append(value)
        elif key.startswith(_EXTRA):
            extra.setdefault(unquote(key[len(_EXTRA) :].decode("latin-1")), []).append(value)
    if not name:
        if uid or groups or extra:
            raise BadRequest("requested impersonation of groups, a uid or extra fields without impersonating a user")
        return user
    is_account = name.startswith(_ACCOUNT)
    authorize_impersonation(user, "serviceaccounts" if is_account else "users", name)
    if is_account and not groups:
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{name.removeprefix(_ACCOUNT).partition(':')[0]}"]
    everybody = ANONYMOUS.groups[0] if name == ANONYMOUS.name else AUTHENTICATED
    if everybody not in groups:
        groups.append(everybody)
    return User(name, uid, tuple(groups), {key: tuple(values) for key, values in extra.items()})
