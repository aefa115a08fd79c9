"""The TTL controller: deletes Jobs some time after they have finished (`ttlSecondsAfterFinished`).

Upstream: `pkg/controller/ttlafterfinished`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minik8s.api.resource import Resource
from minik8s.api.resources import JOBS
from minik8s.controllers.job_status import finished_condition
from minik8s.controllers.runtime import Reconciler, Requeue
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, is_terminating, name_of, namespace_of, parse_time, uid_of


class TTLAfterFinishedController(Reconciler[Any]):
    name: ClassVar[str] = "ttl-after-finished"
    component: ClassVar[str] = "ttl-after-finished-controller"
    resource: ClassVar[Resource[Any]] = JOBS
    wakes: ClassVar[tuple[Resource[Any], ...]] = (JOBS,)

    async def reconcile(self, job: Any) -> Requeue | None:
        left = self._time_left(job)
        if left is None or left > 0:
            return Requeue.after(left)
        try:  # the cache may be behind: somebody may have raised the TTL
            live = await self.client.get(JOBS, name_of(job), namespace=namespace_of(job))
            left = self._time_left(live)
            if left is None or left > 0 or uid_of(live) != uid_of(job):
                return Requeue.after(left)
            await self.client.delete(
                JOBS,
                name_of(live),
                namespace=namespace_of(live),
                propagation="Foreground",
                uid=uid_of(live),
                resource_version=live["metadata"]["resourceVersion"],
            )
        except NotFound:
            return None
        return None

    def _time_left(self, job: Doc) -> float | None:
        """Seconds until the Job's time is over; None when it has no TTL, has not finished or goes already."""
        ttl, end = job["spec"].get("ttlSecondsAfterFinished"), finished_condition(job)
        if ttl is None or end is None or is_terminating(job):
            return None
        return float(ttl - (self.clock.now() - parse_time(end["lastTransitionTime"])).total_seconds())
