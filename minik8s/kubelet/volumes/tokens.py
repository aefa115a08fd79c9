"""Service-account tokens for projected volumes, each bound to its pod and renewed in time.

Upstream: pkg/kubelet/token. A token is renewed when 80 % of its life are over, or after a day. One that cannot be
renewed serves as long as it is good; it is tried again with the interval in which upstream looks at its pods.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import attrs

from minik8s.api.resources import SERVICE_ACCOUNTS
from minik8s.client.client import Client
from minik8s.clock import Clock
from minik8s.kubelet.volumes.failures import MountError
from minik8s.kubelet.volumes.payload import TokenWish
from minik8s.machinery.errors import ApiError
from minik8s.machinery.meta import Doc, Obj, name_of, namespace_of, parse_time, uid_of

RENEW_AT = 0.8
MAX_AGE = timedelta(hours=24)
RETRY = timedelta(seconds=60)


@attrs.frozen
class Token:
    """`renew_at` is when a new one should take its place, `expires` when it must have."""

    text: str
    renew_at: datetime
    expires: datetime


class PodTokens:
    """The tokens of one pod."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._tokens: dict[TokenWish, Token] = {}

    async def get(self, pod: Doc, wishes: Collection[TokenWish]) -> Mapping[TokenWish, str]:
        """A token for each wish, renewed if need be. Raises MountError when the server gives none."""
        for wish in wishes:
            token = self._tokens.get(wish)
            if token is None or token.renew_at <= self._clock.now():
                self._tokens[wish] = await self._renewed(pod, wish, token)
        now = self._clock.now()
        if any(self._tokens[wish].expires <= now for wish in wishes):
            raise MountError("token expired and refresh failed")
        return {wish: token.text for wish, token in self._tokens.items()}

    async def _renewed(self, pod: Doc, wish: TokenWish, old: Token | None) -> Token:
        """A new token; the old one again, for a while, when the server gives none."""
        try:
            return await self._request(pod, wish)
        except (ApiError, OSError) as error:
            if old is None:
                raise MountError(f"failed to fetch token: {error}") from error
            return attrs.evolve(old, renew_at=self._clock.now() + RETRY)

    @property
    def renew_at(self) -> datetime | None:
        """When the first token wants to be renewed; None without tokens."""
        return min((token.renew_at for token in self._tokens.values()), default=None)

    async def _request(self, pod: Doc, wish: TokenWish) -> Token:
        account = pod["spec"].get("serviceAccountName") or "default"
        answer: Doc = await self._client.create(
            SERVICE_ACCOUNTS,
            token_request(pod, wish),
            name=account,
            namespace=namespace_of(pod),
            subresource="token",
        )
        expires = parse_time(answer["status"]["expirationTimestamp"])
        return Token(answer["status"]["token"], renewal(self._clock.now(), expires), expires)


def token_request(pod: Doc, wish: TokenWish) -> Obj:
    """The TokenRequest of a token that dies with the pod."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "metadata": {},
        "spec": {
            "audiences": [wish.audience] if wish.audience else [],
            "expirationSeconds": wish.seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod)},
        },
    }


def renewal(issued: datetime, expires: datetime) -> datetime:
    """When a token issued and expiring then should be renewed."""
    return issued + min((expires - issued) * RENEW_AT, MAX_AGE)
