"""Retires the tokens that service accounts once were given in Secrets, when nobody has used one for a year.

First it is marked as invalid, a year later it is deleted. That needs an API server that notes when tokens are used,
since when it says in a ConfigMap; with one that does not (ours), nothing is ever retired. Upstream:
`pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from minik8s.api.podreferences import secrets_of
from minik8s.api.resource import Resource
from minik8s.api.resources import CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS
from minik8s.client.lister import Key, key_of
from minik8s.controllers.runtime import Context, Controller, Requeue
from minik8s.machinery.errors import Conflict, NotFound
from minik8s.machinery.meta import (
    Doc,
    annotations_of,
    is_terminating,
    labels_of,
    name_of,
    namespace_of,
    parse_time,
    uid_of,
)

PERIOD = 24 * 3600.0
UNUSED = timedelta(days=365)
"""--legacy-service-account-token-clean-up-period."""
SECRET_TYPE = "kubernetes.io/service-account-token"
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
ACCOUNT_NAME, ACCOUNT_UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"

Verdict = Literal["keep", "mark", "delete"]


def verdict(secret: Doc, account: Doc | None, mounted: Collection[str], now: datetime) -> Verdict:
    """What becomes of a token; `account` is whose it says it is, `mounted` what pods of its namespace use."""
    before = now - UNUSED
    if secret.get("type") != SECRET_TYPE or parse_time(secret["metadata"]["creationTimestamp"]) >= before:
        return "keep"
    if is_terminating(secret):
        return "keep"
    if (used := labels_of(secret).get(LAST_USED)) is not None and (_day(used) is None or used >= str(before.date())):
        return "keep"
    if account is None or name_of(secret) not in {s.get("name") for s in account.get("secrets") or ()}:
        return "keep"  # somebody made it by hand
    if name_of(secret) in mounted:
        return "keep"
    invalid = labels_of(secret).get(INVALID_SINCE, "")
    if _day(invalid) is None:
        return "mark"
    return "keep" if invalid >= str(before.date()) else "delete"


def _day(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None


class LegacyServiceAccountTokenCleaner(Controller[Key]):
    """Keys are Secrets; the loop finds them once a day."""

    name: ClassVar[str] = "legacy-serviceaccount-token-cleaner"
    component: ClassVar[str] = "legacy-service-account-token-cleaner"
    wakes: ClassVar[tuple[Resource[Any], ...]] = (SECRETS,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._secrets = self.informers(SECRETS).lister
        self._accounts = self.informers(SERVICE_ACCOUNTS).lister
        self._pods = self.informers(PODS).lister

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return bool(obj.get("type") == SECRET_TYPE)

    def loops(self) -> Iterable[Callable[[], Coroutine[Any, Any, None]]]:
        return (self._look,)

    async def _look(self) -> None:
        while True:
            for secret in self._secrets.all():
                if secret.get("type") == SECRET_TYPE:
                    self.queue.add(key_of(secret))
            await self.clock.sleep(PERIOD)

    async def process(self, key: Key) -> Requeue | None:
        namespace, name = key
        secret, now = self._secrets.get(name, namespace), self.clock.now()
        if secret is None:
            return None
        found = verdict(secret, self._account(secret), self._mounted(namespace), now)
        if found == "keep" or not await self._has_tracked_long_enough(now):
            return None
        with suppress(Conflict, NotFound):
            if found == "mark":
                patch = {"metadata": {"uid": uid_of(secret), "labels": {INVALID_SINCE: str(now.date())}}}
                await self.client.patch(SECRETS, name, patch, namespace=namespace)
            else:
                version = secret["metadata"]["resourceVersion"]
                await self.client.delete(SECRETS, name, namespace=namespace, resource_version=version)
        return None

    def _account(self, secret: Doc) -> Doc | None:
        annotations = annotations_of(secret)
        account = self._accounts.get(annotations.get(ACCOUNT_NAME, ""), namespace_of(secret))
        uid = annotations.get(ACCOUNT_UID)
        return account if account is not None and uid in (None, "", uid_of(account)) else None

    def _mounted(self, namespace: str) -> set[str]:
        return {name for pod in self._pods.all(namespace) for name in secrets_of(pod)}

    async def _has_tracked_long_enough(self, now: datetime) -> bool:
        tracking: Any = await self.client.find(CONFIG_MAPS, TRACKING, namespace="kube-system")
        since = _day(((tracking or {}).get("data") or {}).get("since", ""))
        return since is not None and now >= since + timedelta(days=1) + UNUSED
