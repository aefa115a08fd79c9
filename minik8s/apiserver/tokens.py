"""Bearer tokens: the administrator's, and signed ones for service accounts.

Service-account tokens are RS256 JWTs as kube-apiserver issues them. The signing key is made when the first token is
asked for (it costs tens of milliseconds), and the JOSE library is imported then, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.request import ADMIN, User
from minik8s.machinery.meta import Doc, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"
_KEY_BITS = 2048


@attrs.define(eq=False)
class TokenIssuer:
    """Makes and recognises tokens. `static` maps whole bearer tokens to users."""

    issuer: str = DEFAULT_ISSUER
    static: dict[str, User] = attrs.field(factory=dict)
    _key: RSAKey | None = None

    @property
    def key(self) -> RSAKey:
        if self._key is None:
            from joserfc.jwk import RSAKey

            self._key = RSAKey.generate_key(_KEY_BITS, auto_kid=True)
        return self._key

    def add_admin(self, token: str) -> None:
        """Lets the bearer of `token` do everything."""
        self.static[token] = ADMIN

    def issue(
        self,
        account: Doc,
        *,
        audiences: Sequence[str],
        seconds: int,
        now: datetime,
        jti: str,
        bound: Mapping[str, Mapping[str, str]],
    ) -> str:
        """A token for a ServiceAccount; `bound` is {"pod": {name, uid}} or the like."""
        from joserfc import jwt

        issued = int(now.timestamp())
        private: dict[str, Any] = {
            "namespace": namespace_of(account),
            "serviceaccount": {"name": name_of(account), "uid": uid_of(account)},
            **bound,
        }
        claims = {
            "iss": self.issuer,
            "sub": f"system:serviceaccount:{namespace_of(account)}:{name_of(account)}",
            "aud": list(audiences),
            "iat": issued,
            "nbf": issued,
            "exp": int((now + timedelta(seconds=seconds)).timestamp()),
            "jti": jti,
            "kubernetes.io": private,
        }
        return jwt.encode({"alg": "RS256", "kid": self.key.kid or ""}, claims, self.key)

    def authenticate(self, token: str, now: datetime) -> User | None:
        """Who bears the token; None when it is none of ours or has expired."""
        if user := self.static.get(token):
            return user
        if self._key is None or token.count(".") != 2:
            return None
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError):
            return None
        if claims.get("iss") != self.issuer or claims.get("exp", 0) <= now.timestamp():
            return None
        private = claims["kubernetes.io"]
        namespace = private["namespace"]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        return User(claims["sub"], private["serviceaccount"]["uid"], groups)

    def jwks(self) -> dict[str, Any]:
        """The public key set that /openid/v1/jwks serves."""
        public = self.key.as_dict(private=False)
        return {"keys": [{"use": "sig", "alg": "RS256", **public}]}
