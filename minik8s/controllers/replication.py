"""The replicationcontroller controller: ReplicaSet's older brother, which has a plain map as its selector."""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import REPLICATION_CONTROLLERS
from minik8s.controllers.replicaset import ReplicaSetController


class ReplicationController(ReplicaSetController):
    name: ClassVar[str] = "replicationcontroller"
    component: ClassVar[str] = "replication-controller"
    resource: ClassVar[Resource[Any]] = REPLICATION_CONTROLLERS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (REPLICATION_CONTROLLERS,)
