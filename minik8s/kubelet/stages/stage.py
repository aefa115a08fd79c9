"""One stage as it has been read: what it is for, how long it waits, what it does. All pure.

Upstream: sigs.k8s.io/kwok `pkg/utils/lifecycle`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any, Literal, TypeAlias

import attrs

from minik8s.client.events import EventKind
from minik8s.kubelet.stages.gotemplate import Functions, Template, TemplateError
from minik8s.kubelet.stages.query import Query
from minik8s.kubelet.stages.values import go_print
from minik8s.machinery.meta import Doc, Obj, annotations_of, labels_of, parse_time
from minik8s.schema.scalars import parse_duration

Operator: TypeAlias = Literal["In", "NotIn", "Exists", "DoesNotExist"]
PatchType: TypeAlias = Literal["json", "merge", "strategic"]


@attrs.frozen
class Requirement:
    """A query and what it has to find."""

    query: Query
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, obj: Doc) -> bool:
        found = self.query.values(obj)
        if self.operator == "Exists":
            return bool(found)
        if self.operator == "DoesNotExist":
            return not found
        has = any(go_print(value) in self.values for value in found if isinstance(value, str | bool | int))
        return has is (self.operator == "In")


@attrs.frozen
class Quantity:
    """A number that the manifest says, unless the object says another at `query`."""

    number: float | None
    query: Query | None = None

    def read(self, obj: Doc, parse: Callable[[Any], float | None]) -> float | None:
        value = self.query.first(obj) if self.query is not None else None
        parsed = parse(value) if value is not None else None
        return self.number if parsed is None else parsed


NOTHING = Quantity(None)


@attrs.frozen
class Patch:
    """Renders `template` as YAML, puts it under the field `root`, and sends that to `subresource`."""

    template: Template
    root: str = ""
    subresource: str = ""
    type: PatchType = "strategic"
    where: str = ""


@attrs.frozen
class Announce:
    """Records an event about the object."""

    type: EventKind
    reason: str
    message: Template


@attrs.frozen
class Finalizers:
    """Changes the object's finalizers: first `empty`, then what is removed and added."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    empty: bool = False

    def of(self, obj: Doc) -> list[str] | None:
        """The finalizers that there are to be, None when nothing changes."""
        before: Sequence[str] = obj["metadata"].get("finalizers") or ()
        kept = [] if self.empty else [name for name in before if name not in self.remove]
        after = kept + [name for name in self.add if name not in kept]
        return None if after == list(before) else after


@attrs.frozen
class Delete:
    """Deletes the object at once."""


Step: TypeAlias = Patch | Announce | Finalizers | Delete


@attrs.frozen(eq=False)
class Stage:
    """See the package. `requirements` None selects nothing; `duration` and `jitter` are in seconds."""

    name: str
    kind: str
    steps: tuple[Step, ...]
    labels: Mapping[str, str] = attrs.field(factory=dict)
    annotations: Mapping[str, str] = attrs.field(factory=dict)
    requirements: tuple[Requirement, ...] | None = ()
    weight: Quantity = NOTHING
    duration: Quantity = NOTHING
    jitter: Quantity = NOTHING
    immediate: bool = False

    def matches(self, obj: Doc) -> bool:
        """Whether the object is at this stage."""
        if self.requirements is None:
            return False
        if not (self.labels.items() <= labels_of(obj).items()):
            return False
        if not (self.annotations.items() <= annotations_of(obj).items()):
            return False
        return all(requirement.matches(obj) for requirement in self.requirements)

    def delay(self, obj: Doc, now: datetime, rng: Random) -> float:
        """Seconds to wait: `duration`, or anything from there to a longer `jitter`; or else the shorter `jitter`."""

        def seconds(value: Any) -> float | None:
            return _seconds(value, now)

        duration, jitter = self.duration.read(obj, seconds), self.jitter.read(obj, seconds)
        if duration is None:
            return 0.0
        if jitter is None:
            return max(0.0, duration)
        return max(0.0, jitter if jitter < duration else rng.uniform(duration, jitter))


def choose(stages: Sequence[Stage], obj: Doc, rng: Random) -> Stage | None:
    """One of the stages that match, by their weights; evenly when none has any."""
    matching = [stage for stage in stages if stage.matches(obj)]
    if len(matching) < 2:
        return matching[0] if matching else None
    weights = [max(0.0, stage.weight.read(obj, _weight) or 0.0) for stage in matching]
    return rng.choices(matching, weights if any(weights) else None)[0]


def rendered(patch: Patch, obj: Doc, functions: Functions) -> Any:
    """The body of a patch. Raises TemplateError."""
    from minik8s.schema import yamlform
    from minik8s.schema.scalars import DecodeError

    try:
        text = patch.template.render(obj, functions)
        body = next((doc for doc, _ in yamlform.documents(text.encode())), None)
    except DecodeError as error:
        raise TemplateError(0, f"what it renders is no YAML: {error}") from None
    if body is None and patch.type != "json":
        body = {}
    if patch.root:
        return {patch.root: body}
    return body


def finalizer_patch(finalizers: list[str]) -> Obj:
    """The merge patch to these finalizers."""
    return {"metadata": {"finalizers": finalizers or None}}


def _seconds(value: Any, now: datetime) -> float | None:
    """A Go duration, or the time until a moment; None for what is neither."""
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value) / 1e9
    except ValueError:
        pass
    try:
        return (parse_time(value) - now).total_seconds()
    except ValueError:
        return None


def _weight(value: Any) -> float | None:
    try:
        return float(int(value))
    except (TypeError, ValueError):
        return None
