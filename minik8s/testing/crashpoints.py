"""Crash points: the code under test is killed after each of its writes in turn, started again, and has to get there.

    await crash_points(my_operator, scenario, agent="my-operator", resources=(PODS, MY_KIND))

`my_operator(cluster)` runs until it is cancelled; `scenario(cluster)` does what a user does. Each run has a cluster of
its own in virtual time, with the same seed. The first run is left alone; in run k the operator's tasks are cancelled
right after its k-th write was stored, before it hears of it, and a new one starts with empty memory. All runs must end
in the same state, but for what is random or a time.

An operator that is a program of its own, in whatever language, is killed as a process:

    await crash_points(program("./operator"), scenario, agent="my-operator", resources=(PODS,), quiet=1.0)

It lives in real time: each run is over when it has asked for nothing for `quiet` seconds. Code in a thread of the test
cannot be killed, and so not be tested like this.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs

from minik8s.api.request import ApiRequest
from minik8s.api.resource import Resource
from minik8s.apiserver.interception import WRITES, Proceed, Where, named_in
from minik8s.apiserver.response import ApiResponse
from minik8s.clock import RealClock
from minik8s.cluster import Cluster
from minik8s.machinery.errors import ServiceUnavailable

Component = Callable[[Cluster], Awaitable[None]]
Scenario = Callable[[Cluster], Awaitable[None]]

SETTLE_SECONDS = 900.0
"""Virtual seconds that a run gets after the scenario to come to rest: longer than most back-offs."""
MAX_POINTS = 200
SAID = 4000
"""Bytes of a program's last words."""
START_SECONDS = 30.0
"""Real seconds in which a program has to make itself known."""
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


def program(*argv: str, env: Mapping[str, str] | None = None) -> Component:
    """A component that is a process: it finds the cluster by KUBECONFIG, and dies by SIGKILL.

    One that ends by itself has to end well: else the run fails with what it said on stderr.
    """

    async def run(cluster: Cluster) -> None:
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig), **(env or {})}
        async with await anyio.open_process(argv, env=environment, stdout=None) as process:
            said = b""
            assert process.stderr is not None
            async for part in process.stderr:
                said = (said + part)[-SAID:]
            if code := await process.wait():
                raise RuntimeError(f"{argv[0]} ended with {code}: {said.decode(errors='replace')}")

    run.serves = True  # type: ignore[attr-defined]
    return run


async def crash_points(
    component: Component,
    scenario: Scenario,
    *,
    agent: str,
    resources: Sequence[Resource[Any]],
    seconds: float = SETTLE_SECONDS,
    seed: int = 1,
    quiet: float = 0.0,
    **options: Any,
) -> CrashReport:
    """Enumerates the crash points; `options` are those of the clusters.

    `agent` is how the component's user agent begins, `resources` are what is compared in the end. `quiet` is for how
    many real seconds a component that lives in real time must have asked for nothing before a run is over. Raises
    DidNotConverge with the write and the first difference, and RuntimeError for a component that never writes.
    """
    shape = {"nodes": 1, "proxy": False, **options}
    shape |= {"clock": "virtual", "serve": hasattr(component, "serves"), "runtime": "simulated"}
    shape |= {"seed": seed, "freeze": True}
    expected, victim = await _run(component, scenario, agent, resources, seconds, shape, crash_at=0, quiet=quiet)
    writes = victim.writes
    if not writes:
        others = f"; others that wrote: {', '.join(sorted(victim.others))}" if victim.others else ""
        raise RuntimeError(f"the component never wrote anything as {agent!r}{others}")
    for point in range(1, min(writes, MAX_POINTS) + 1):
        state, victim = await _run(component, scenario, agent, resources, seconds, shape, crash_at=point, quiet=quiet)
        if state != expected:
            what = f"after a crash behind write {point} of {writes}"
            raise DidNotConverge(f"{what} ({victim.last_write}):\n{_difference(expected, state)}")
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
    quiet: float,
) -> tuple[Mapping[str, list[Any]], _Victim]:
    """One run: its final state, and what became of the component."""
    async with Cluster(**shape) as cluster, anyio.create_task_group() as group:
        victim = _Victim(component, cluster, Where(verb="write", agent=agent), crash_at)
        cluster.intercept(victim.intercept)
        group.start_soon(victim.run, name="component")
        await scenario(cluster)
        if quiet:
            await victim.falls_silent(quiet)
        await cluster.advance(seconds=seconds)
        state = {r.group_resource: _comparable((await cluster.client.list(r)).items) for r in resources}
        group.cancel_scope.cancel()
    if victim.failure is not None:
        raise victim.failure
    return state, victim


class _Victim:
    """The component, killed once and started again."""

    def __init__(self, component: Component, cluster: Cluster, where: Where, crash_at: int) -> None:
        self.writes = 0
        self.others: set[str] = set()
        """User agents, not of the cluster's own, that wrote as well."""
        self.failure: BaseException | None = None
        self.last_write = "before it"
        """The write behind which it was killed."""
        self._started = self._asked = 0.0
        """By the real clock: when this life of it began, and when it asked for something last; 0.0 for not yet."""
        self._over = False
        self._dead = anyio.Event()
        self._component, self._cluster, self._where, self._crash_at = component, cluster, where, crash_at
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        while True:
            self._started, self._asked = RealClock().monotonic(), 0.0  # what the last life asked for does not count
            with anyio.CancelScope() as self._scope:
                try:
                    await self._component(self._cluster)
                except Exception as error:
                    self.failure = error
                    return
            if not self._scope.cancel_called:
                self._over = True
                return
            self._dead.set()

    async def falls_silent(self, seconds: float) -> None:
        """Returns when it has asked for nothing for so many real seconds, has ended or failed."""
        real = RealClock()
        while self.failure is None and not self._over:
            if self._asked and real.monotonic() - self._asked >= seconds:
                return
            if not self._asked and real.monotonic() - self._started > START_SECONDS:
                raise RuntimeError(f"the component asked for nothing in {START_SECONDS:g} s")
            await real.sleep(seconds / 10)

    async def intercept(self, request: ApiRequest, proceed: Proceed) -> ApiResponse:
        if request.user_agent.startswith(self._where.agent):
            self._asked = RealClock().monotonic()
        elif request.verb in WRITES and not request.user.trusted:
            self.others.add(request.user_agent)
        response = await proceed(request)
        if request.verb in WRITES and self._where.matches(request):
            self.writes += 1
            if self.writes == self._crash_at:
                name = request.name or named_in(request)
                self.last_write = f"{request.verb} {request.resource.group_resource} {name}".rstrip()
                self._scope.cancel()
                await self._dead.wait()
                raise ServiceUnavailable("whoever asked is not there any more")
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
