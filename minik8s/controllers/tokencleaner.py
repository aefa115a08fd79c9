"""Deletes bootstrap tokens whose time is over. Upstream: `pkg/controller/bootstrap/tokencleaner.go`; off by default."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import SECRETS
from minik8s.controllers import bootstrap_tokens as tokens
from minik8s.controllers.runtime import Reconciler, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, name_of, namespace_of, uid_of


class TokenCleaner(Reconciler[Any]):
    name: ClassVar[str] = "tokencleaner"
    component: ClassVar[str] = "token-cleaner"
    resource: ClassVar[Resource[Any]] = SECRETS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (SECRETS,)

    @classmethod
    def concerned_with(cls, obj: Doc) -> bool:
        return tokens.is_token(obj)

    def _on_object(self, old: Doc | None, new: Doc | None) -> None:
        if new is not None and tokens.is_token(new):
            self.enqueue(new)

    async def reconcile(self, obj: Doc) -> Requeue | None:
        left = tokens.time_left(obj, self.clock.now())
        if left is None or left > 0:
            return Requeue.after(left)
        with suppress(NotFound):
            await self.client.delete(SECRETS, name_of(obj), namespace=namespace_of(obj), uid=uid_of(obj))
        return None
