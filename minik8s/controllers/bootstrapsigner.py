"""Signs the ConfigMap `cluster-info` with every bootstrap token, so that who holds one can trust it.

Upstream: `pkg/controller/bootstrap/bootstrapsigner.go`; off by default, since only kubeadm makes that ConfigMap.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import CONFIG_MAPS, SECRETS
from minik8s.client.lister import Key, key_of
from minik8s.controllers import bootstrap_tokens as tokens
from minik8s.controllers.runtime import Context, Reconciler, Watch, mapped
from minik8s.machinery.errors import Conflict, NotFound
from minik8s.machinery.meta import Doc

CLUSTER_INFO: Key = ("kube-public", "cluster-info")


def _cluster_info(_: Any, secret: Doc) -> Iterable[Key]:
    return (CLUSTER_INFO,) if tokens.is_token(secret) else ()


class BootstrapSigner(Reconciler[Any]):
    """There is one object for it."""

    name: ClassVar[str] = "bootstrapsigner"
    component: ClassVar[str] = "bootstrap-signer"
    resource: ClassVar[Resource[Any]] = CONFIG_MAPS
    watches: ClassVar[tuple[Watch, ...]] = (mapped(SECRETS, _cluster_info),)
    wakes: ClassVar[tuple[Resource[Any], ...]] = (CONFIG_MAPS,)

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._secrets = self.informers(SECRETS).lister

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return key_of(obj) == CLUSTER_INFO

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        if new is not None and key_of(new) == CLUSTER_INFO:
            self.enqueue(new)

    async def reconcile(self, obj: Doc) -> None:
        changed = tokens.signed(obj, self._secrets.all(tokens.NAMESPACE), self.clock.now())
        if changed is not None:
            with suppress(Conflict, NotFound):  # then it has changed, and there is another pass
                await self.client.update(CONFIG_MAPS, changed)
