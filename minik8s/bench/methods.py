"""The measurements that scenarios can name, and what each may be told: a table, so that a wrong one has its line.

Names and parameters are clusterloader2's where it has them (PodStartupLatency, SchedulingThroughput,
WaitForControlledPodsRunning, WaitForRunningPods, ResourceUsageSummary, Sleep; APIResponsiveness there reads
Prometheus). WatchDelay, ObjectDeletionLatency and ControllerQueueTimes are ours. What does the measuring is in
`measuring`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import attrs

from minik8s.bench.expressions import Value

Kind = Literal["text", "duration", "integer", "number", "selector"]


@attrs.frozen
class Param:
    """What a parameter must be; without a default it is required. Durations become seconds."""

    kind: Kind
    default: Value | None = None


@attrs.frozen
class Method:
    """What `start` and `gather` may be told. `once`: there is only one action, which is no action at all."""

    about: str
    start: Mapping[str, Param] = attrs.field(factory=dict)
    gather: Mapping[str, Param] = attrs.field(factory=dict)
    once: bool = False


SELECTOR: Final = Param("selector", "")
_OBJECTS: Final = {"apiVersion": Param("text"), "kind": Param("text"), "labelSelector": SELECTOR}

METHODS: Final[Mapping[str, Method]] = {
    "APIResponsiveness": Method("latency of API calls by verb and resource, and who made how many"),
    "PodStartupLatency": Method(
        "from a pod's creation to its running, by stage",
        start={"labelSelector": SELECTOR, "threshold": Param("duration", 5.0)},
    ),
    "SchedulingThroughput": Method(
        "pods scheduled a second", start={"labelSelector": SELECTOR}, gather={"threshold": Param("number", 0.0)}
    ),
    "WatchDelay": Method(
        "from a write's sending to its arrival at every watcher",
        start={**_OBJECTS, "watchers": Param("integer", 1)},
        gather={"operationTimeout": Param("duration", 60.0)},
    ),
    "ObjectDeletionLatency": Method(
        "from an object's deletion to its disappearance",
        start=_OBJECTS,
        gather={"operationTimeout": Param("duration", 600.0)},
    ),
    "ControllerQueueTimes": Method("how long keys wait in controllers' queues, and are worked on"),
    "ResourceUsageSummary": Method("CPU and memory of the process under test"),
    "WaitForControlledPodsRunning": Method(
        "waits until controllers have their pods, all running, and no others",
        start={**_OBJECTS, "operationTimeout": Param("duration", 900.0)},
    ),
    "WaitForRunningPods": Method(
        "waits until so many pods run",
        gather={
            "desiredPodCount": Param("integer"),
            "labelSelector": SELECTOR,
            "timeout": Param("duration", 900.0),
        },
        once=True,
    ),
    "Sleep": Method("lets time pass", gather={"duration": Param("duration")}, once=True),
}
