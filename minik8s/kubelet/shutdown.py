"""A node that is being shut down: it says so, takes no more pods, and ends those that it has in two stages.

Upstream: pkg/kubelet/nodeshutdown, which is told by systemd; here it is told by a test (`cluster.faults`). Pods end as
Failed, and stay in the API: who owns them makes others elsewhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs

from minik8s.kubelet.admission import Rejection, is_critical
from minik8s.kubelet.pod_status import TERMINATED
from minik8s.kubelet.pod_worker import PodWorker

REASON = (TERMINATED, "Pod was terminated in response to imminent node shutdown.")
REJECTION = Rejection("NodeShutdown", "Pod was rejected as the node is shutting down.")
NOT_READY = "node is shutting down"


@attrs.frozen
class Stage:
    """Pods that end at once, the node's critical ones or the others, and the seconds that they have."""

    critical: bool
    seconds: float


def stages(seconds: float, critical_seconds: float) -> Sequence[Stage]:
    """Of the whole time the last part is for critical pods (shutdownGracePeriod, shutdownGracePeriodCriticalPods)."""
    return (Stage(False, seconds - critical_seconds), Stage(True, critical_seconds))


async def end_pods(
    workers: Callable[[], Iterable[PodWorker]], an_end: Callable[[], Awaitable[None]], plan: Sequence[Stage]
) -> None:
    """Ends a node's pods stage by stage; none has more time than its own grace period.

    `an_end` returns when some pod has ended.
    """
    for stage in plan:
        ending = [w for w in workers() if not w.ended and is_critical(w.pod) is stage.critical]
        for worker in ending:
            worker.terminate(min(worker.grace_period, stage.seconds), REASON)
        while not all(worker.ended for worker in ending):
            await an_end()
