"""Gives every active namespace its ServiceAccount `default`, which pods that name no other run as.

Upstream: `pkg/controller/serviceaccount/serviceaccounts_controller.go`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from minik8s.api.resources import NAMESPACES, SERVICE_ACCOUNTS
from minik8s.client.lister import Key
from minik8s.controllers.runtime import Context, Reconciler, Requeue, mapped
from minik8s.machinery.errors import AlreadyExists
from minik8s.machinery.meta import Doc, is_terminating, name_of, namespace_of

DEFAULT = "default"


def _owner(_: Any, account: Doc) -> tuple[Key, ...]:
    return (("", namespace_of(account)),) if name_of(account) == DEFAULT else ()


class ServiceAccountController(Reconciler[Any]):
    """Namespaces and their default accounts."""

    name = "serviceaccount"
    component = "service-account-controller"
    resource = NAMESPACES
    watches = (mapped(SERVICE_ACCOUNTS, _owner),)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.accounts = self.informers(SERVICE_ACCOUNTS).lister

    async def reconcile(self, obj: Doc) -> Requeue | None:
        namespace = name_of(obj)
        if is_terminating(obj) or self.accounts.get(DEFAULT, namespace) is not None:
            return None
        with suppress(AlreadyExists):  # the cache has not seen it yet
            await self.client.create(SERVICE_ACCOUNTS, {"metadata": {"name": DEFAULT, "namespace": namespace}})
        return None
