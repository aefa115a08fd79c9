"""What became of an object, write by write: who did it, because of what, and what it changed.

Everything is read from the store's log when somebody asks. A write leaves there what it was and what it is now, and
beside it its request (`machinery.causes`), with the event that the writer reacted to. That event is a write itself, so
that a chain can be followed back to somebody outside. The log forgets (`ClusterConfig.history`), and so does this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from minik8s.api.resource import Resource
from minik8s.api.resources import SECRETS
from minik8s.machinery.causes import Cause, Origin
from minik8s.machinery.difference import ABSENT, Difference, differences, shown
from minik8s.machinery.errors import NotFound
from minik8s.machinery.meta import Doc, Obj, is_terminating, rfc3339_micro
from minik8s.store.protocol import Change, Compacted

if TYPE_CHECKING:
    from minik8s.apiserver.context import ServerContext

PATH = "/debug/history"
"""Where a server tells it to whoever may GET that path: by default administrators, whose rights know no bounds."""
MOST_LINKS = 8
"""How far a chain of causes is shown."""
HIDDEN = "(hidden)"
WISHES = ("spec", "data", "stringData", "binaryData", "rules")
"""The fields in which somebody says what they want, and which are told first."""
BRIEF = 30
"""Characters of a value in a sentence."""


@attrs.frozen
class Step:
    """One write to an object.

    verb        "created", "changed" or "deleted" as the object sees it, "marked for deletion"
    request     what was asked for: `update status`; "" when the server did it by itself
    agent, user who asked: the program's user agent, and the user
    because     the write whose event the writer reacted to; None when it came from outside, or nothing is known of it
    delayed     a timer lies between that event and this write
    """

    revision: int
    at: datetime | None
    subject: str
    verb: str
    request: str
    agent: str
    user: str
    differences: tuple[Difference, ...]
    because: Step | None = None
    delayed: bool = False
    forgotten: str = ""

    @property
    def actor(self) -> str:
        """`kubectl as admin`; a service account and a node go by their own names."""
        if not self.agent and not self.user:
            return "the server"
        user = self.user.removeprefix("system:serviceaccount:")
        short = user.rpartition(":")[2] or user
        agent = self.agent.partition(" ")[0].partition("/")[0] or "somebody"
        if agent == short:
            return agent
        return f"{agent} as {user}"

    def touches(self, path: str) -> bool:
        """Whether it changed that field or something in it."""
        return any(d.path == path or d.path.startswith((f"{path}.", f"{path}[")) for d in self.differences)

    def sentence(self) -> str:
        """`Deployment default/web was changed (spec.replicas: 1 -> 3) by kubectl-scale as admin`."""
        if self.verb != "changed":
            return f"{self.subject} was {self.verb} by {self.actor}"
        told = [d for d in self.differences if d.path.startswith(WISHES)] or self.differences
        some = [f"{d.path}: {shown(d.before, BRIEF)} -> {shown(d.after, BRIEF)}" for d in told[:2]]
        more = len(self.differences) - len(some)
        what = ", ".join(some) + (f" and {more} more" if more > 0 else "")
        return f"{self.subject} was changed ({what}) by {self.actor}"

    def reasons(self) -> Iterator[str]:
        """The chain of what it is due to, nearest first."""
        step, links = self, 0
        while step.because is not None and links < MOST_LINKS:
            after = "a timer that was set when " if step.delayed else ""
            step, links = step.because, links + 1
            yield f"because {after}{step.sentence()} (revision {step.revision})"
        if step.forgotten:
            yield f"because {step.forgotten}"

    def lines(self) -> Iterator[str]:
        """The write, what it changed, and why."""
        when = self.at.strftime("%H:%M:%S.%f")[:-3] if self.at else "?"
        asked = f" ({self.request})" if self.request else ""
        yield f"{self.revision:>7}  {when}  {self.verb} by {self.actor}{asked}"
        yield from (f"{'':>9}{difference}" for difference in self.differences)
        yield from (f"{'':>11}{'  ' * number}{reason}" for number, reason in enumerate(self.reasons()))

    def to_dict(self) -> Obj:
        """As JSON."""
        found: Obj = {
            "revision": self.revision,
            "time": rfc3339_micro(self.at) if self.at else None,
            "subject": self.subject,
            "verb": self.verb,
            "request": self.request,
            "userAgent": self.agent,
            "user": self.user,
            "differences": [_plain(difference) for difference in self.differences],
            "because": list(self.reasons()),
        }
        return found


def _plain(difference: Difference) -> Obj:
    sides = {"before": difference.before, "after": difference.after}
    return {"path": difference.path, **{key: value for key, value in sides.items() if value is not ABSENT}}


@attrs.frozen
class History:
    """The steps of one object, oldest first; also those of namesakes before it. Print it."""

    subject: str
    steps: tuple[Step, ...]
    complete: bool
    """Whether nothing has been forgotten."""

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def touching(self, path: str) -> list[Step]:
        """The steps that changed a field (`spec.replicas`) or something in it."""
        return [step for step in self.steps if step.touches(path)]

    @property
    def last_wish(self) -> str:
        """Who last changed what is wanted of the object, and why; "" when that is forgotten."""
        wishes = [s for s in self.steps if s.verb != "changed" or any(s.touches(field) for field in WISHES)]
        if not wishes:
            return ""
        step = wishes[-1]
        when = step.at.strftime("%H:%M:%S") if step.at else "?"
        return ", ".join([f"{step.sentence()} at {when}", *list(step.reasons())[:3]])

    def lines(self) -> Iterator[str]:
        yield self.subject
        if not self.complete:
            yield "         (what was before has been forgotten)"
        for step in self.steps:
            yield from step.lines()

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_dict(self) -> Obj:
        return {
            "subject": self.subject,
            "complete": self.complete,
            "lastWish": self.last_wish,
            "text": str(self),
            "steps": [step.to_dict() for step in self.steps],
        }


def history(ctx: ServerContext, resource: Resource[Any], name: str, namespace: str = "") -> History:
    """What is remembered of an object. Raises NotFound when that is nothing."""
    return _Reader(ctx).history(resource, name, namespace)


class _Reader:
    """Reads the log for one answer; each resource's part once."""

    def __init__(self, ctx: ServerContext) -> None:
        self._ctx = ctx
        self._logs: dict[str, Mapping[int, Change]] = {}
        self._complete: dict[str, bool] = {}
        self._steps: dict[tuple[str, int], Step] = {}

    def history(self, resource: Resource[Any], name: str, namespace: str) -> History:
        served = self._ctx.registry.served(resource)
        key = served.key(namespace, name)
        steps = tuple(self._step(key[0], change) for change in self._log(key[0]).values() if change.entry.key == key)
        entry = self._ctx.store.peek(key)
        if not steps and entry is None:
            raise NotFound.object(resource.plural, resource.group, name)
        complete = bool(steps) and steps[0].verb == "created"
        return History(_subject(resource.kind, namespace, name), steps, complete)

    def _log(self, group_resource: str) -> Mapping[int, Change]:
        """The remembered changes of a resource by revision."""
        found = self._logs.get(group_resource)
        if found is None:
            try:
                changes = self._ctx.store.changes(group_resource, 0)
            except Compacted as error:
                changes = self._ctx.store.changes(group_resource, error.oldest)
            found = self._logs[group_resource] = {change.revision: change for change in changes}
        return found

    def _step(self, group_resource: str, change: Change) -> Step:
        known = self._steps.get((group_resource, change.revision))
        if known is None:
            known = self._steps[group_resource, change.revision] = self._make(group_resource, change)
        return known

    def _make(self, group_resource: str, change: Change) -> Step:
        origin: Origin = change.origin or ("", "", "", "", 0.0, None)
        user, agent, verb, subresource, at, cause = origin
        _, namespace, name = change.entry.key
        doc, old = change.entry.value, change.old.value if change.old is not None else None
        because, forgotten = self._because(cause, change.revision) if cause else (None, "")
        return Step(
            revision=change.revision,
            at=self._time(at) if change.origin else None,
            subject=_subject(doc.get("kind", group_resource), namespace, name),
            verb=_verb(change),
            request=f"{verb} {subresource}".strip(),
            agent=agent,
            user=user,
            differences=_hidden(group_resource, differences(old, doc)) if old and not change.deleted else (),
            because=because,
            delayed=bool(cause and cause[4]),
            forgotten=forgotten,
        )

    def _because(self, cause: Cause, before: int) -> tuple[Step | None, str]:
        """The write that an event told of; or, when it is forgotten, what can be said about it."""
        resource, namespace, name, version, _ = cause
        stored = self._ctx.registry.storage_of(resource)
        change = self._log(stored).get(int(version)) if version.isdigit() else None
        if change is not None and change.revision < before and change.entry.key == (stored, namespace, name):
            return self._step(stored, change), ""
        return None, f"of {resource} {_place(namespace, name)} at revision {version}, of which no more is known"

    def _time(self, at: float) -> datetime:
        clock = self._ctx.clock
        return clock.now() - timedelta(seconds=clock.monotonic() - at)


def _verb(change: Change) -> str:
    if change.deleted:
        return "deleted"
    if change.old is None:
        return "created"
    marked = is_terminating(change.entry.value) and not is_terminating(change.old.value)
    return "marked for deletion" if marked else "changed"


def _place(namespace: str, name: str) -> str:
    return f"{namespace}/{name}" if namespace else name


def _subject(kind: str, namespace: str, name: str) -> str:
    return f"{kind} {_place(namespace, name)}"


def _hidden(group_resource: str, found: tuple[Difference, ...]) -> tuple[Difference, ...]:
    """A Secret's values are nobody's business who asks for its history."""
    if group_resource != SECRETS.group_resource:
        return found
    return tuple(
        attrs.evolve(d, **{side: HIDDEN for side in ("before", "after") if getattr(d, side) is not ABSENT})
        if d.path.startswith(("data", "stringData"))
        else d
        for d in found
    )


def resource_of(ctx: ServerContext, obj: Doc) -> Resource[Any]:
    """The resource of an object. Raises NotFound when its kind is not served."""
    found = ctx.registry.by_kind(obj.get("apiVersion", ""), obj.get("kind", ""))
    if found is None:
        raise NotFound.path()
    return found
