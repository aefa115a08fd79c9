"""Gives a ClusterRole with an aggregationRule the rules of all ClusterRoles that its selectors find.

Any change of a ClusterRole wakes those that aggregate. Upstream: `pkg/controller/clusterroleaggregation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from minik8s.api.resources import CLUSTER_ROLES
from minik8s.client.informer import Handler, Informer
from minik8s.controllers.runtime import Context, Controller, Requeue
from minik8s.machinery.meta import Doc, Obj, labels_of, name_of
from minik8s.machinery.selectors import LabelSelector


class ClusterRoleAggregationController(Controller[str]):
    """Keys are names of ClusterRoles."""

    name: ClassVar[str] = "clusterrole-aggregation"
    component: ClassVar[str] = "clusterrole-aggregation-controller"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.roles: Informer[Any] = self.informers(CLUSTER_ROLES)
        self._aggregating: set[str] = set()

    def handlers(self) -> Iterable[tuple[Informer[Any], Handler[Any]]]:
        yield self.roles, self._on_role

    async def process(self, key: str) -> Requeue | None:
        role = self.roles.lister.get(key)
        if role is None or not role.get("aggregationRule"):
            return None
        rules = aggregated(role, self.roles.lister.all())
        if rules != (role.get("rules") or []):
            wanted = {"apiVersion": CLUSTER_ROLES.api_version, "kind": "ClusterRole", "metadata": {"name": key}}
            await self.client.apply(CLUSTER_ROLES, {**wanted, "rules": rules}, manager=self.component)
        return None

    def _on_role(self, old: Doc | None, new: Doc | None) -> None:
        role = old if new is None else new
        if role is None:
            return
        if new is not None and new.get("aggregationRule"):
            self._aggregating.add(name_of(role))
        else:
            self._aggregating.discard(name_of(role))
        for name in self._aggregating:
            self.queue.add(name)


def aggregated(role: Doc, roles: Iterable[Doc]) -> list[Obj]:
    """The rules of the roles that a role's selectors find, selector by selector, in order of their names."""
    ordered = sorted(roles, key=name_of)
    found: list[Obj] = []
    for selector in _selectors(role):
        for other in ordered:
            if name_of(other) != name_of(role) and selector.matches(labels_of(other)):
                found += [rule for rule in other.get("rules") or () if rule not in found]
    return found


def _selectors(role: Doc) -> Sequence[LabelSelector]:
    return [
        LabelSelector.from_object(selector) for selector in role["aggregationRule"].get("clusterRoleSelectors") or ()
    ]
