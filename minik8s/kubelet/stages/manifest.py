"""Stages from their manifests: files, texts or documents. What cannot be played is refused here, with its line.

Both generations of the format are read: `next` with `statusTemplate`, and `steps`; keys as `key` or `jq: {key}`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs

from minik8s.client.events import EventKind
from minik8s.kubelet.stages.functions import NAMES
from minik8s.kubelet.stages.gotemplate import Template, TemplateError
from minik8s.kubelet.stages.query import Query
from minik8s.kubelet.stages.stage import (
    NOTHING,
    Announce,
    Delete,
    Finalizers,
    Patch,
    PatchType,
    Quantity,
    Requirement,
    Stage,
    Step,
)
from minik8s.schema import yamlform
from minik8s.schema.scalars import DecodeError

API_VERSION: Final = "kwok.x-k8s.io/v1alpha1"
Source = str | Path | Mapping[str, Any]
"""A file, YAML text (which has a line break) or a document."""
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_PATCH_TYPES = ("json", "merge", "strategic")


class StageError(ValueError):
    """A manifest that cannot be played: `where` is the file and line, or the path in a document."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")


@attrs.frozen
class At:
    """A value in a manifest, with how it is found there."""

    value: Any
    path: tuple[str | int, ...]
    locate: Callable[[tuple[str | int, ...], int], str]

    def refuse(self, message: str, line: int = 0) -> NoReturn:
        """`line` counts within the value, a block of text; 0 means the value itself."""
        raise StageError(self.locate(self.path, line), message)

    def fields(self, *allowed: str) -> dict[str, At]:
        """The members of an object, which has no others than those; null is absent."""
        if not isinstance(self.value, Mapping):
            self.refuse("must be an object")
        for name in self.value:
            if name not in allowed:
                self.at(name).refuse(f"{name} is not supported; there are {', '.join(allowed)}")
        return {name: self.at(name) for name, value in self.value.items() if value is not None}

    def at(self, key: str | int) -> At:
        return At(self.value[key], (*self.path, key), self.locate)

    def items(self) -> list[At]:
        if not isinstance(self.value, list):
            self.refuse("must be a list")
        return [self.at(index) for index in range(len(self.value))]

    def text(self) -> str:
        if not isinstance(self.value, str):
            self.refuse("must be a string")
        return self.value

    def whole(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            self.refuse("must be a whole number")
        return self.value

    def truth(self) -> bool:
        if not isinstance(self.value, bool):
            self.refuse("must be true or false")
        return self.value

    def one_of(self, choices: Collection[str]) -> Any:
        if self.value not in choices:
            self.refuse(f"must be one of {', '.join(choices)}, not {self.value!r}")
        return self.value


def load_stages(sources: Iterable[Source]) -> list[Stage]:
    """All stages of the sources in their order. Raises StageError, OSError."""
    return [_stage(document) for source in sources for document in _documents(source)]


def _documents(source: Source) -> Iterator[At]:
    if isinstance(source, Mapping):
        name = (source.get("metadata") or {}).get("name", "stage")
        yield At(source, (), lambda path, line: _dotted(name, path, line))
        return
    is_text = isinstance(source, str) and "\n" in source
    name = "stage" if is_text else str(source)
    data = str(source).encode() if is_text else Path(str(source)).read_bytes()
    try:
        for index, (value, _) in enumerate(yamlform.documents(data)):
            if value is not None:
                yield At(value, (), lambda path, line, index=index: _located(name, data, index, path, line))  # type: ignore[misc]
    except DecodeError as error:
        raise StageError(name, str(error)) from None


def _dotted(name: str, path: Sequence[str | int], line: int) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return f"{name} {where.lstrip('.')}" + (f" line {line}" if line else "")


def _located(name: str, data: bytes, index: int, path: Sequence[str | int], line: int) -> str:
    found = yamlform.line_of(data, index, path)
    return f"{name}:{found + line}"


def _stage(document: At) -> Stage:
    root = document.fields("apiVersion", "kind", "metadata", "spec", "status")
    if (document.value.get("apiVersion"), document.value.get("kind")) != (API_VERSION, "Stage"):
        document.refuse(f"must be a Stage of {API_VERSION}")
    if "spec" not in root:
        document.refuse("spec is required")
    metadata = document.value.get("metadata") or {}
    spec = root["spec"].fields(
        "resourceRef", "selector", "weight", "weightFrom", "delay", "next", "steps", "immediateNextStage"
    )
    kind = _kind(root["spec"], spec)
    labels, annotations, requirements = _selector(spec)
    duration, jitter = _delay(spec["delay"]) if "delay" in spec else (NOTHING, NOTHING)
    weight = spec["weight"].whole() if "weight" in spec else 0
    return Stage(
        name=str(metadata.get("name") or "stage"),
        kind=kind,
        steps=tuple(_steps(root["spec"], spec, kind)),
        labels=labels,
        annotations=annotations,
        requirements=requirements,
        weight=Quantity(weight, _expression(spec["weightFrom"]) if "weightFrom" in spec else None),
        duration=duration,
        jitter=jitter,
        immediate="immediateNextStage" in spec and spec["immediateNextStage"].truth(),
    )


def _kind(at: At, spec: Mapping[str, At]) -> str:
    if "resourceRef" not in spec:
        at.refuse("resourceRef is required")
    reference = spec["resourceRef"].fields("apiGroup", "kind")
    if "apiGroup" in reference:
        reference["apiGroup"].one_of(("v1",))
    if "kind" not in reference:
        spec["resourceRef"].refuse("kind is required")
    kind: str = reference["kind"].one_of(tuple(NAMES))
    return kind


def _selector(
    spec: Mapping[str, At],
) -> tuple[Mapping[str, str], Mapping[str, str], tuple[Requirement, ...] | None]:
    """Without a selector a stage is for nothing, as upstream has it."""
    if "selector" not in spec:
        return {}, {}, None
    selector = spec["selector"].fields("matchLabels", "matchAnnotations", "matchExpressions")
    pairs = []
    for name in ("matchLabels", "matchAnnotations"):
        at = selector.get(name)
        if at is not None and not isinstance(at.value, Mapping):
            at.refuse("must be an object")
        pairs.append({key: at.at(key).text() for key in at.value} if at is not None else {})
    expressions = selector["matchExpressions"].items() if "matchExpressions" in selector else []
    return pairs[0], pairs[1], tuple(map(_requirement, expressions))


def _requirement(at: At) -> Requirement:
    found = at.fields("key", "operator", "values", "jq")
    if "jq" in found:
        found = found["jq"].fields("key", "operator", "values")
    if "key" not in found or "operator" not in found:
        at.refuse("key and operator are required")
    operator = found["operator"].one_of(_OPERATORS)
    values = [value.text() for value in found["values"].items()] if "values" in found else []
    if bool(values) is not (operator in ("In", "NotIn")):
        at.refuse(f"{operator} takes {'no' if values else 'some'} values")
    return Requirement(_query(found["key"]), operator, frozenset(values))


def _query(at: At) -> Query:
    try:
        return Query(at.text())
    except ValueError as error:
        at.refuse(str(error))


def _expression(at: At) -> Query:
    found = at.fields("expressionFrom", "jq")
    if "jq" in found:
        found = found["jq"].fields("expression")
    if len(found) != 1:
        at.refuse("needs an expression")
    return _query(next(iter(found.values())))


def _delay(at: At) -> tuple[Quantity, Quantity]:
    found = at.fields("durationMilliseconds", "durationFrom", "jitterDurationMilliseconds", "jitterDurationFrom")

    def quantity(name: str) -> Quantity:
        number = found[f"{name}Milliseconds"].whole() / 1000 if f"{name}Milliseconds" in found else None
        return Quantity(number, _expression(found[f"{name}From"]) if f"{name}From" in found else None)

    return quantity("duration"), quantity("jitterDuration")


def _steps(at: At, spec: Mapping[str, At], kind: str) -> Iterator[Step]:
    if ("next" in spec) is ("steps" in spec):
        at.refuse("either next or steps is required")
    if "steps" in spec:
        for step in spec["steps"].items():
            found = step.fields("patch", "event", "finalizers", "delete")
            if len(found) != 1:
                step.refuse("a step is one of patch, event, finalizers and delete")
            yield from _actions(found, kind)
        return
    found = spec["next"].fields("event", "finalizers", "delete", "patches", "statusTemplate", "statusSubresource")
    subresource = found["statusSubresource"].text() if "statusSubresource" in found else "status"
    yield from _actions({name: found[name] for name in ("event", "finalizers") if name in found}, kind)
    if "statusTemplate" in found:
        yield Patch(_template(found["statusTemplate"], kind), "status", subresource, "strategic", kind)
    for patch in found["patches"].items() if "patches" in found else ():
        yield _patch(patch, kind)
    if "delete" in found and found["delete"].truth():
        yield Delete()


def _actions(found: Mapping[str, At], kind: str) -> Iterator[Step]:
    for name, at in found.items():
        match name:
            case "patch":
                yield _patch(at, kind)
            case "event":
                yield _event(at, kind)
            case "finalizers":
                yield _finalizers(at)
            case "delete" if at.truth():
                yield Delete()


def _patch(at: At, kind: str) -> Patch:
    found = at.fields("subresource", "root", "template", "type")
    if "template" not in found:
        at.refuse("template is required")
    texts = {name: found[name].text() for name in ("root", "subresource") if name in found}
    type_: PatchType = found["type"].one_of(_PATCH_TYPES) if "type" in found else "strategic"
    return Patch(_template(found["template"], kind), type=type_, **texts)


def _event(at: At, kind: str) -> Announce:
    found = at.fields("type", "reason", "message")
    type_: EventKind = found["type"].one_of(("Normal", "Warning")) if "type" in found else "Normal"
    reason = found["reason"].text() if "reason" in found else ""
    message = _template(found["message"], kind) if "message" in found else Template("", ())
    return Announce(type_, reason, message)


def _finalizers(at: At) -> Finalizers:
    found = at.fields("add", "remove", "empty")

    def names(key: str) -> tuple[str, ...]:
        listed = found[key].items() if key in found else ()
        return tuple(item.fields("value")["value"].text() for item in listed)

    return Finalizers(names("add"), names("remove"), "empty" in found and found["empty"].truth())


def _template(at: At, kind: str) -> Template:
    try:
        return Template(at.text(), NAMES[kind])
    except TemplateError as error:
        at.refuse(error.message, error.line)


def by_kind(stages: Iterable[Stage]) -> dict[str, list[Stage]]:
    """The stages by the kind they are for."""
    found: dict[str, list[Stage]] = {}
    for stage in stages:
        found.setdefault(stage.kind, []).append(stage)
    return found
