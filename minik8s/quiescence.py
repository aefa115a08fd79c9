"""When a cluster has nothing left to do before its next timer, and what it is still about when that does not come.

Everything of a cluster lives in one event loop, so "nothing left to do" is a moment in which that loop would sleep.
Only what happens outside of the loop does not show there: processes that start or end. Components tell of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minik8s.apiserver.context import ServerContext
from minik8s.client.informer import Informer
from minik8s.clock import RealClock
from minik8s.controllers.manager import ControllerManager
from minik8s.controllers.runtime import Controller
from minik8s.scheduler.scheduler import Scheduler
from minik8s.virtualtime import NeverIdle, idle

Report = Callable[[], Iterable[str]]
"""Says in words what a component is about; nothing when it only waits for time to pass."""
PAUSE = 0.002
"""Seconds between two looks at what happens outside."""
SHOWN = 3
"""Keys of a queue that are named."""


class NotSettled(TimeoutError):
    """The cluster did not come to rest; `busy` says with what it was busy."""

    def __init__(self, timeout: float, busy: Sequence[str]) -> None:
        super().__init__(f"not settled after {timeout:g} s of real time: {'; '.join(busy)}")
        self.busy = list(busy)


async def settle(outside: Report, queues: Report, timeout: float) -> None:
    """Returns when nothing remains to be done before the next timer.

    `outside` tells of what the loop waits for without a timer; `queues` of what is queued, for the error's sake. Raises
    NotSettled after `timeout` seconds of real time.
    """
    real = RealClock()
    deadline = real.monotonic() + timeout
    while True:
        try:
            await idle(max(0.0, deadline - real.monotonic()))
        except NeverIdle as error:
            tasks = [f"running tasks: {_shown(error.tasks)}"] if error.tasks else []
            raise NotSettled(timeout, [*outside(), *queues(), *tasks] or ["the event loop was never idle"]) from None
        busy = list(outside())
        if not busy:
            return
        if real.monotonic() >= deadline:
            raise NotSettled(timeout, [*busy, *queues()])
        await real.sleep(PAUSE)


def queued(
    manager: ControllerManager,
    scheduler: Scheduler | None,
    informers: Iterable[Informer[Any]],
    ctx: ServerContext,
) -> list[str]:
    """What is queued or under way, for people: keys, pods, requests, and watchers that are behind."""
    found = [text for controller in manager.controllers if (text := _keys(controller))]
    if scheduler is not None and not scheduler.idle:
        found.append(f"scheduler: {scheduler.queue.counts()}")
    requests = sum(ctx.inflight.current.values())
    if requests:
        found.append(f"requests by HTTP under way: {requests}")
    for informer in informers:
        resource = informer.resource.group_resource
        newest = ctx.store.last_change((resource,))  # a write to another resource is nothing to catch up with
        if informer.has_synced and informer.lister.revision < newest:
            found.append(f"informer {resource} is at {informer.lister.revision} of {newest}")
    for session in sorted(ctx.sessions, key=lambda session: session.number):
        if session.is_open and session.behind:
            who = session.request.user_agent or session.request.user.name
            what = session.resource.group_resource
            found.append(f"watcher of {what} by {who} is {session.behind} changes behind")
    return found


def _keys(controller: Controller[Any]) -> str:
    """The keys of a controller that are worked on or queued; "" when there are none."""
    working, waiting = controller.queue.under_way()
    parts = [f"{what} {_shown(keys)}" for what, keys in (("works on", working), ("has queued", waiting)) if keys]
    return f"controller {controller.name} {' and '.join(parts)}" if parts else ""


def _shown(keys: Sequence[Any]) -> str:
    """`default/a, default/b and 7 more`."""
    texts = ["/".join(filter(None, key)) if _is_name(key) else str(key) for key in keys[:SHOWN]]
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(texts) + more


def _is_name(key: Any) -> bool:
    return isinstance(key, tuple) and all(isinstance(part, str) for part in key)
