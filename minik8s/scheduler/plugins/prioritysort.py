"""PrioritySort: the higher priority first, then who has waited longer."""

from __future__ import annotations

from minik8s.scheduler.info import PodInfo


class PrioritySort:
    name = "PrioritySort"
    local = True

    def sort_key(self, pod: PodInfo, enqueued: float) -> tuple[int, float]:
        return (-pod.priority, enqueued)
