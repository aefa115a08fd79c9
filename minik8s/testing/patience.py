"""What stops a test's body that would never end in a cluster whose time jumps.

There a wait for what never comes passes over one timer of the cluster after the other, and its author sees a test that
does nothing. So two things are bounded while a body runs. One is the virtual time that is passed over because everybody
waits (the mark `minik8s(patience=hours)`); what `advance` was asked for does not count, nor what `eventually`,
`consistently` and `never` were. The other is the real time in which somebody always had something to do, as in a retry
without a pause, so that virtual time could not pass at all.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import anyio

from minik8s.cluster import Cluster
from minik8s.virtualtime import Limit, hooked

T = TypeVar("T")

HOURS = 24.0
"""Virtual hours that a body may wait, unless its mark says otherwise: some seconds of work for a small cluster."""
BUSY_SECONDS = 30.0
"""Real seconds without a moment in which nobody had anything to do."""


class NeverEnds(AssertionError):
    """The body waited longer than it may, or for something that lets no time pass; it says where."""


def patient(
    cluster: Cluster, body: Callable[..., Awaitable[T]], hours: float, *, busy: float = BUSY_SECONDS
) -> Callable[..., Awaitable[T]]:
    """The coroutine function `body`, which is cancelled when it does not end, and then raises NeverEnds."""

    @wraps(body)
    async def bounded(*args: Any, **kwargs: Any) -> T:
        coroutine: Any = body(*args, **kwargs)
        why: list[str] = []

        def end(tasks: list[str]) -> None:
            why.append(_words(cluster, coroutine, hours, busy, tasks))
            scope.cancel()

        with hooked() as hook, anyio.CancelScope() as scope, hook.limited(Limit(hours * 3600, busy, end)):
            answer: T = await coroutine
            return answer
        raise NeverEnds(why[0])

    return bounded


def _words(cluster: Cluster, coroutine: Any, hours: float, busy: float, tasks: list[str]) -> str:
    """`tasks` are the names of those that let no time pass."""
    place = _place(coroutine)
    if tasks:
        said = f"for {busy:g} s somebody has always had something to do, so that no virtual time passes"
        return f"{said}: {', '.join(tasks)}; the test is at {place}. A loop without a pause?"
    doing = "; ".join(cluster.busy()) or "it has nothing to do but wait for timers"
    return (
        f"{hours:g} virtual hours have passed while the test waited, at {place}\n"
        f"The cluster: {doing}.\n"
        "Bound the wait (eventually, wait_for, anyio.fail_after), move time by cluster.advance(), or allow more: "
        f"@pytest.mark.minik8s(patience={2 * hours:g})"
    )


def _place(coroutine: Any) -> str:
    """The innermost line of the body's own file at which it waits: `test_it.py:7: await event.wait()`."""
    frames = list(_frames(coroutine))
    if not frames:
        return "its end"
    own = [frame for frame in frames if frame.f_code.co_filename == frames[0].f_code.co_filename]
    path, line = own[-1].f_code.co_filename, own[-1].f_lineno
    return f"{Path(path).name}:{line}: {linecache.getline(path, line).strip()}"


def _frames(awaited: Any) -> Iterator[FrameType]:
    """Where coroutines that await each other are, from the outside in."""
    while awaited is not None:
        if inspect.iscoroutine(awaited):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif inspect.isgenerator(awaited):
            frame, awaited = awaited.gi_frame, awaited.gi_yieldfrom
        else:
            return
        if frame is not None:
            yield frame
