"""Who calls: by a front proxy's word, a client certificate, a bearer token, or nobody.

Upstream: apiserver `pkg/authentication/request` and kubernetes `pkg/serviceaccount`. A token is looked at anew on every
request, so that it dies with its account, and with the pod, secret or node it is bound to. Credentials that
are wrong are refused; only where there are none is the caller anonymous.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import attrs

from minik8s.api.request import User
from minik8s.api.resource import Resource
from minik8s.api.resources import NODES, PODS, SECRETS, SERVICE_ACCOUNTS
from minik8s.api.users import AUTHENTICATED, CREDENTIAL_ID, account_groups, named
from minik8s.apiserver.requestheader import FRONT_PROXY, Header, user_in
from minik8s.apiserver.tokens import LEGACY_ISSUER, Claims, TokenIssuer
from minik8s.clock import Clock
from minik8s.machinery.errors import Unauthorized
from minik8s.machinery.meta import Doc, parse_time, uid_of

INVALID = "invalid bearer token"
INVALIDATED = "service account token has been invalidated"
LEEWAY = timedelta(seconds=60)
"""How long a token outlives the deletion of what it is bound to (which still has to end gracefully)."""
_WEBSOCKET = "base64url.bearer.authorization.k8s.io."
_EXTRA = "authentication.kubernetes.io/"
_BOUND: Mapping[str, Resource[Any]] = {"pod": PODS, "secret": SECRETS, "node": NODES}


class InvalidToken(Exception):
    """The text says why, as TokenReview shows it."""


class Documents(Protocol):
    """Stored objects, without waiting."""

    def get(self, resource: Resource[Any], name: str, namespace: str = "") -> Doc | None: ...


@attrs.frozen
class Certificate:
    """The subject of a client certificate that TLS has verified, and the SHA-256 of its bytes.

    `of_front_proxy` is one that the front proxies' CA has signed: it is no user's, whatever it says.
    """

    name: str
    groups: tuple[str, ...] = ()
    fingerprint: str = ""
    of_front_proxy: bool = False

    @property
    def user(self) -> User:
        extra = {CREDENTIAL_ID: (f"X509SHA256={self.fingerprint}",)}
        return User(self.name, groups=(*self.groups, AUTHENTICATED), extra=extra)


@attrs.frozen(eq=False)
class Authenticator:
    """Makes out who calls one server."""

    tokens: TokenIssuer
    objects: Documents
    clock: Clock
    anonymous: User

    def caller(
        self,
        authorization: str,
        protocols: str = "",
        certificate: Certificate | None = None,
        headers: Iterable[Header] = (),
    ) -> User:
        """Who sends these headers over this connection. Raises Unauthorized."""
        stranger = certificate is not None and certificate.of_front_proxy
        if stranger and certificate is not None and certificate.name == FRONT_PROXY and (user := user_in(headers)):
            return user
        if certificate is not None and certificate.name and not stranger:
            return certificate.user
        token = _bearer(authorization) or _websocket_bearer(protocols)
        if not token:
            if stranger:  # a certificate that proves nothing is a wrong credential
                raise Unauthorized("Unauthorized")
            return self.anonymous
        try:
            return self.bearer(token)[0]
        except InvalidToken:
            raise Unauthorized("Unauthorized") from None

    def bearer(self, token: str, audiences: Sequence[str] = ()) -> tuple[User, list[str]]:
        """Who bears a token, and for which of the audiences (this server, by default) it is. Raises InvalidToken."""
        wanted = list(audiences) or [self.tokens.issuer]
        user, claims = self.tokens.static.get(token), self.tokens.verify(token)
        if claims is not None and claims["iss"] == self.tokens.issuer:
            return self._account(claims, wanted, self.clock.now())
        if claims is not None and claims["iss"] == LEGACY_ISSUER:
            user = self._legacy(token, claims)
        if user is None or self.tokens.issuer not in wanted:  # these tokens are for this server alone
            raise InvalidToken(INVALID)
        return user, [self.tokens.issuer]

    def _account(self, claims: Claims, wanted: list[str], now: datetime) -> tuple[User, list[str]]:
        _check_dates(claims, now)
        audiences = [name for name in wanted if name in claims["aud"]]
        if not audiences:
            given, target = _quoted(claims["aud"]), _quoted(wanted)
            raise _detailed(f"token audiences {given} is invalid for the target audiences {target}")
        private = claims["kubernetes.io"]
        namespace, account = private["namespace"], private["serviceaccount"]
        self._check(SERVICE_ACCOUNTS, account, namespace, now)
        for kind, resource in _BOUND.items():
            if kind in private and not (kind == "node" and "pod" in private):
                self._check(resource, private[kind], namespace, now)
        extra = {CREDENTIAL_ID: (f"JTI={claims['jti']}",)}
        for kind in ("node", "pod"):
            if reference := private.get(kind):
                extra |= {f"{_EXTRA}{kind}-{key}": (reference[key],) for key in ("name", "uid") if reference.get(key)}
        return named(claims["sub"], account_groups(namespace), account["uid"], extra), audiences

    def _legacy(self, token: str, claims: Claims) -> User:
        prefix = "kubernetes.io/serviceaccount/"
        namespace = claims[f"{prefix}namespace"]
        secret = self.objects.get(SECRETS, claims[f"{prefix}secret.name"], namespace)
        stored = ((secret or {}).get("data") or {}).get("token", "")
        if stored != base64.b64encode(token.encode()).decode():
            raise _detailed(INVALIDATED)
        account = {"name": claims[f"{prefix}service-account.name"], "uid": claims[f"{prefix}service-account.uid"]}
        self._check(SERVICE_ACCOUNTS, account, namespace, self.clock.now())
        return named(claims["sub"], account_groups(namespace), account["uid"])

    def _check(self, resource: Resource[Any], reference: Mapping[str, str], namespace: str, now: datetime) -> None:
        """Raises InvalidToken unless the object is still the one that the token was made for."""
        obj = self.objects.get(resource, reference["name"], namespace if resource.namespaced else "")
        if obj is None or (reference.get("uid") and uid_of(obj) != reference["uid"]):
            raise _detailed(INVALIDATED)
        if (deleted := obj["metadata"].get("deletionTimestamp")) and parse_time(deleted) < now - LEEWAY:
            raise _detailed(INVALIDATED)


def _bearer(authorization: str) -> str:
    """The token of an Authorization header; other schemes are nobody's business here."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _websocket_bearer(protocols: str) -> str:
    """The token that browsers, which cannot set headers, put among a WebSocket's subprotocols."""
    if _WEBSOCKET not in protocols:
        return ""
    encoded = next(p for p in map(str.strip, protocols.split(",")) if p.startswith(_WEBSOCKET))[len(_WEBSOCKET) :]
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (binascii.Error, ValueError):
        raise Unauthorized("Unauthorized") from None


def _check_dates(claims: Claims, now: datetime) -> None:
    if claims.get("exp", 0) <= now.timestamp():
        raise _detailed("service account token has expired")
    if claims.get("nbf", 0) > now.timestamp():
        raise _detailed("service account token is not valid yet")


def _detailed(why: str) -> InvalidToken:
    return InvalidToken(f"[{INVALID}, {why}]")


def _quoted(values: Iterable[str]) -> str:
    return "[" + " ".join(f'"{value}"' for value in values) + "]"
