"""Crash points: the code under test is killed after each of its writes in turn, started again, and has to get there.

    await crash_points(my_operator, scenario, agent="my-operator", resources=(PODS, MY_KIND))

`my_operator(cluster)` runs until it is cancelled; `scenario(cluster)` does what a user does. Each run has a cluster of
its own in virtual time, with the same seed. The first run is left alone; in run k the operator's tasks are cancelled
right after its k-th write was stored, before it hears of it, and a new one starts with empty memory. All runs must end
in the same state, but for what is random or a time.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs

from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.interception import WRITES, Proceed, Where
from minik8s.apiserver.response import ApiResponse
from minik8s.cluster import Cluster

Component = Callable[[Cluster], Awaitable[None]]
Scenario = Callable[[Cluster], Awaitable[None]]

SETTLE_SECONDS = 900.0
"""Virtual seconds that a run gets after the scenario to come to rest: longer than most back-offs."""
MAX_POINTS = 200
_DROPPED = frozenset(
    {"uid", "resourceVersion", "managedFields", "podIP", "podIPs", "hostIP", "hostIPs", "nodeName", "containerID"}
)
_TOKENS = re.compile(r"^kube-api-access-[a-z0-9]{5}$")
"""The volume that admission adds to every pod, under a random name."""
_UID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""An identity that is not in a field of that name: the label `controller-uid` of a Job's pods."""
_TIME = re.compile(r"(?:Time|Timestamp|At)$")


class DidNotConverge(AssertionError):
    """A run with a crash ended in another state than the one without."""


@attrs.frozen
class CrashReport:
    """`points` is after how many writes, one run each, the component was killed; `state` is what all runs ended in."""

    points: int
    state: Mapping[str, list[Any]]


async def crash_points(
    component: Component,
    scenario: Scenario,
    *,
    agent: str,
    resources: Sequence[Resource[Any]],
    seconds: float = SETTLE_SECONDS,
    seed: int = 1,
    **options: Any,
) -> CrashReport:
    """Enumerates the crash points; `options` are those of the clusters.

    `agent` is how the component's user agent begins, `resources` are what is compared in the end. Raises
    DidNotConverge with the first difference, and RuntimeError for a component that never writes.
    """
    shape = {"nodes": 1, "proxy": False, **options}
    shape |= {"clock": "virtual", "serve": False, "runtime": "simulated", "seed": seed, "freeze": True}
    expected, writes = await _run(component, scenario, agent, resources, seconds, shape, crash_at=0)
    if not writes:
        raise RuntimeError(f"the component never wrote anything as {agent!r}")
    for point in range(1, min(writes, MAX_POINTS) + 1):
        state, _ = await _run(component, scenario, agent, resources, seconds, shape, crash_at=point)
        if state != expected:
            raise DidNotConverge(f"after a crash behind write {point} of {writes}:\n{_difference(expected, state)}")
    return CrashReport(min(writes, MAX_POINTS), expected)


async def _run(
    component: Component,
    scenario: Scenario,
    agent: str,
    resources: Sequence[Resource[Any]],
    seconds: float,
    shape: Mapping[str, Any],
    *,
    crash_at: int,
) -> tuple[Mapping[str, list[Any]], int]:
    """One run: its final state, and how many writes the component made."""
    async with Cluster(**shape) as cluster, anyio.create_task_group() as group:
        victim = _Victim(component, cluster, Where(verb="write", agent=agent), crash_at)
        cluster.intercept(victim.intercept)
        group.start_soon(victim.run, name="component")
        await scenario(cluster)
        await cluster.advance(seconds=seconds)
        if victim.failure is not None:
            raise victim.failure
        state = {r.group_resource: _comparable((await cluster.client.list(r)).items) for r in resources}
        group.cancel_scope.cancel()
    return state, victim.writes


class _Victim:
    """The component, killed once and started again."""

    def __init__(self, component: Component, cluster: Cluster, where: Where, crash_at: int) -> None:
        self.writes = 0
        self.failure: BaseException | None = None
        self._component, self._cluster, self._where, self._crash_at = component, cluster, where, crash_at
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        while True:
            with anyio.CancelScope() as self._scope:
                try:
                    await self._component(self._cluster)
                except Exception as error:
                    self.failure = error
                    return
            if not self._scope.cancel_called:
                return

    async def intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        response = await proceed(request)
        if request.verb in WRITES and self._where.matches(request):
            self.writes += 1
            if self.writes == self._crash_at:
                self._scope.cancel()
                await anyio.sleep_forever()  # whoever asked is not told any more
        return response


def _comparable(objects: Sequence[Any]) -> list[Any]:
    """The objects without what differs from run to run, in an order that does not depend on random names."""
    return sorted((_stripped(obj) for obj in objects), key=lambda obj: json.dumps(obj, sort_keys=True))


def _stripped(obj: Any) -> Any:
    """Without times, identities and random suffixes."""
    if isinstance(obj, list):
        return [_stripped(item) for item in obj]
    if isinstance(obj, str):
        return "*" if _UID.match(obj) else _TOKENS.sub("kube-api-access-*", obj)
    if not isinstance(obj, dict):
        return obj
    kept = {k: _stripped(v) for k, v in obj.items() if k not in _DROPPED and not _TIME.search(k)}
    if base := kept.get("generateName"):
        kept["name"] = f"{base}*"
    if "targetRef" in kept:
        kept["targetRef"] = {**kept["targetRef"], "name": "*"}
    return kept


def _difference(expected: Any, found: Any) -> str:
    before, after = (json.dumps(state, indent=1, sort_keys=True).splitlines() for state in (expected, found))
    return "\n".join(difflib.unified_diff(before, after, "without a crash", "with it", lineterm="", n=4))
