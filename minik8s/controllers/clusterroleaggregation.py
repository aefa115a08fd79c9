"""Gives a ClusterRole with an aggregationRule the rules of all ClusterRoles that its selectors find.

A change of a ClusterRole wakes those whose selectors find it. Upstream: `pkg/controller/clusterroleaggregation`.
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
    workers: ClassVar[int] = 1

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.roles: Informer[Any] = self.informers(CLUSTER_ROLES)
        self._aggregating: dict[str, Sequence[LabelSelector]] = {}

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
        """Wakes the role itself if it aggregates, and those that the change concerns."""
        if new is not None and new.get("aggregationRule"):
            self._aggregating[name_of(new)] = _selectors(new)
            self.queue.add(name_of(new))
        elif old is not None:
            self._aggregating.pop(name_of(old), None)
        for labels in [labels_of(role) for role in (old, new) if role is not None]:
            for name, selectors in self._aggregating.items():
                for selector in selectors:  # loops, since every start comes here with seventy roles
                    if selector.matches(labels):
                        self.queue.add(name)


def aggregated(role: Doc, roles: Iterable[Doc]) -> list[Obj]:
    """The rules of the roles that a role's selectors find, selector by selector, in order of their names."""
    candidates, own = list(roles), name_of(role)
    found: list[Obj] = []
    for selector in _selectors(role):
        matching = [o for o in candidates if selector.matches(labels_of(o)) and name_of(o) != own]
        for other in sorted(matching, key=name_of):
            found += [rule for rule in other.get("rules") or () if rule not in found]
    return found


def _selectors(role: Doc) -> Sequence[LabelSelector]:
    return [
        LabelSelector.from_object(selector) for selector in role["aggregationRule"].get("clusterRoleSelectors") or ()
    ]
