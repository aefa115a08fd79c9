"""The class of each method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from minik8s.bench.measuring import Measurement
from minik8s.bench.measuring.calls import ApiResponsiveness
from minik8s.bench.measuring.deletion import ObjectDeletionLatency
from minik8s.bench.measuring.pods import PodStartupLatency, SchedulingThroughput
from minik8s.bench.measuring.process import ControllerQueueTimes, ResourceUsageSummary
from minik8s.bench.measuring.waits import Sleep, WaitForControlledPodsRunning, WaitForRunningPods
from minik8s.bench.measuring.watches import WatchDelay

CLASSES: Final[Mapping[str, type[Measurement]]] = {
    each.method: each
    for each in (
        ApiResponsiveness,
        PodStartupLatency,
        SchedulingThroughput,
        WatchDelay,
        ObjectDeletionLatency,
        ControllerQueueTimes,
        ResourceUsageSummary,
        WaitForControlledPodsRunning,
        WaitForRunningPods,
        Sleep,
    )
}
