"""What a write is due to, as two things that travel with the running code and not with its arguments.

CAUSE is the event that woke whoever runs. An informer sets it before it tells its handlers; a work queue keeps it with
the key that a handler adds, and sets it again for the worker that takes the key. Timers and tasks inherit it.
ORIGIN is the write request that is being carried out. The server sets it; the store keeps it beside the change.

Both are small tuples and no documents: setting one costs half a microsecond and keeps nothing alive.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TypeAlias

from minik8s.machinery.meta import Doc

Cause: TypeAlias = tuple[str, str, str, str, bool]
"""An object's change: resource (`deployments.apps`), namespace, name, resourceVersion, and whether time has passed
since: a timer that was set then has gone off."""


Origin: TypeAlias = tuple[str, str, str, str, float, Cause | None]
"""A write request: its user, its user agent, verb, subresource, when it came by the clock's monotonic time, and because
of what. A plain tuple, as every write makes one: a named one takes longer to make than all the rest."""

CAUSE: ContextVar[Cause | None] = ContextVar("cause", default=None)
ORIGIN: ContextVar[Origin | None] = ContextVar("origin", default=None)


def cause_of(resource: str, obj: Doc) -> Cause:
    """The object's newest change as a cause."""
    metadata = obj["metadata"]
    return resource, metadata.get("namespace", ""), metadata["name"], metadata.get("resourceVersion", ""), False
