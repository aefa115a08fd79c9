"""Who calls: the bearers of tokens, and nobody. Upstream: apiserver `pkg/authentication/request`."""

from __future__ import annotations

from datetime import datetime

from minik8s.api.request import User
from minik8s.apiserver.tokens import TokenIssuer
from minik8s.machinery.errors import Unauthorized


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
