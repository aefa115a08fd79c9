"""Fills Secrets of type kubernetes.io/service-account-token with their account's token, and removes them with it.

No such Secret is made of itself any more; who creates one gets a token that lasts as long as the Secret. Upstream:
`pkg/controller/serviceaccount/tokens_controller.go`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, ClassVar

from minik8s.api.resources import SECRETS, SERVICE_ACCOUNTS
from minik8s.client.informer import Handler, Informer
from minik8s.client.lister import Key, key_of
from minik8s.controllers.runtime import Context, Controller, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, annotations_of, is_terminating, name_of, namespace_of, uid_of

TYPE = "kubernetes.io/service-account-token"
NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"


class ServiceAccountTokenController(Controller[Key]):
    """Keys are Secrets of that type."""

    name: ClassVar[str] = "serviceaccount-token"
    component: ClassVar[str] = "tokens-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.secrets: Informer[Any] = self.informers(SECRETS)
        self.accounts: Informer[Any] = self.informers(SERVICE_ACCOUNTS)

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        yield self.secrets, self._on_secret
        yield self.accounts, self._on_account

    async def process(self, key: Key) -> Requeue | None:
        namespace, name = key
        secret, keys = self.secrets.lister.get(name, namespace), self.context.keys
        if secret is None or keys is None or secret.get("type") != TYPE or is_terminating(secret):
            return None
        annotations = annotations_of(secret)
        account = await self.client.find(SERVICE_ACCOUNTS, annotations.get(NAME, ""), namespace=namespace)
        if account is None or annotations.get(UID, uid_of(account)) != uid_of(account):
            with suppress(NotFound):
                await self.client.delete(SECRETS, name, namespace=namespace, uid=uid_of(secret))
            return None
        data = secret.get("data") or {}
        wanted = {"ca.crt": _encoded(keys.root_ca), "namespace": _encoded(namespace)}
        wanted["token"] = data.get("token") or _encoded(keys.account_token(account, secret))
        if wanted.items() <= data.items() and annotations.get(UID):
            return None
        metadata = {**secret["metadata"], "annotations": {**annotations, UID: uid_of(account)}}
        await self.client.update(SECRETS, {**secret, "metadata": metadata, "data": {**data, **wanted}})
        return None

    def _on_secret(self, old: Doc | None, new: Doc | None) -> None:
        if new is not None and new.get("type") == TYPE:
            self.queue.add(key_of(new))

    def _on_account(self, old: Doc | None, new: Doc | None) -> None:
        """An account's end is that of its tokens."""
        if new is not None or old is None:
            return
        for secret in self.secrets.lister.all(namespace_of(old)):
            if secret.get("type") == TYPE and annotations_of(secret).get(NAME) == name_of(old):
                self.queue.add(key_of(secret))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
