"""Tokens that this server signs: service-account JWTs, as kube-apiserver and its controllers issue them.

RS256. The signing key is made when the first token is asked for (it costs tens of milliseconds), and the JOSE
library is imported then, too. A signature is verified once per token, for it cannot become wrong; what can (dates,
accounts, the objects a token is bound to) is `authentication`'s to look at, every time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.request import ADMIN, User
from minik8s.api.users import ACCOUNT_PREFIX
from minik8s.machinery.meta import Doc, name_of, namespace_of, uid_of

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"
LEGACY_ISSUER = "kubernetes/serviceaccount"
LONGEST = 16 * 1024
"""Characters of a token that anybody looks at."""
_KEY_BITS = 2048
_REMEMBERED = 1024

Claims = Mapping[str, Any]


@attrs.define(eq=False)
class TokenIssuer:
    """Makes and recognises tokens. `static` maps whole bearer tokens to users."""

    issuer: str = DEFAULT_ISSUER
    static: dict[str, User] = attrs.field(factory=dict)
    _key: RSAKey | None = None
    _verified: dict[str, Claims] = attrs.field(factory=dict)

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
        warn_after: int = 0,
    ) -> str:
        """A token for a ServiceAccount; `bound` is {"pod": {name, uid}} or the like.

        From `warn_after` seconds on it should have been renewed, though it is still good.
        """
        issued = int(now.timestamp())
        private: dict[str, Any] = {
            "namespace": namespace_of(account),
            "serviceaccount": {"name": name_of(account), "uid": uid_of(account)},
            **bound,
        }
        if warn_after:
            private["warnafter"] = issued + warn_after
        dates = {"iat": issued, "nbf": issued, "exp": issued + seconds}
        return self._sign(
            {
                "iss": self.issuer,
                "sub": _subject(account),
                "aud": list(audiences),
                **dates,
                "jti": jti,
                "kubernetes.io": private,
            }
        )

    def issue_legacy(self, account: Doc, secret: Doc) -> str:
        """The token of a Secret of type kubernetes.io/service-account-token: it lasts as long as the Secret."""
        prefix = "kubernetes.io/serviceaccount/"
        return self._sign(
            {
                "iss": LEGACY_ISSUER,
                "sub": _subject(account),
                f"{prefix}namespace": namespace_of(account),
                f"{prefix}secret.name": name_of(secret),
                f"{prefix}service-account.name": name_of(account),
                f"{prefix}service-account.uid": uid_of(account),
            }
        )

    def verify(self, token: str) -> Claims | None:
        """What a token with our signature claims; None for every other text."""
        if known := self._verified.get(token):
            return known
        if self._key is None or token.count(".") != 2 or len(token) > LONGEST:
            return None
        from joserfc import jwt
        from joserfc.errors import JoseError

        try:
            claims: Claims = jwt.decode(token, self._key, algorithms=["RS256"]).claims
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            return None
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def jwks(self) -> dict[str, Any]:
        """The public key set that /openid/v1/jwks serves."""
        public = self.key.as_dict(private=False)
        return {"keys": [{"use": "sig", "alg": "RS256", **public}]}

    def _sign(self, claims: dict[str, Any]) -> str:
        from joserfc import jwt

        return jwt.encode({"alg": "RS256", "kid": self.key.kid or ""}, claims, self.key)


def _subject(account: Doc) -> str:
    return f"{ACCOUNT_PREFIX}{namespace_of(account)}:{name_of(account)}"
