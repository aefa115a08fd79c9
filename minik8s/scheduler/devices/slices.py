"""A ResourceSlice and its devices, parsed once, however many pods look at them.

What a selector says of a device cannot change while the slice stands, so a device remembers the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import attrs

from minik8s.api.devices import attribute_value, compile_selector, device_value, matches, qualified
from minik8s.api.scheduling import HARD_EFFECTS, NodeSelectorTerm
from minik8s.cel import CompileError, EvaluationError
from minik8s.machinery.meta import Doc, name_of
from minik8s.machinery.quantity import Quantity, parse_quantity

Counters: TypeAlias = Mapping[str, Mapping[str, int]]
"""Counter set -> counter -> billionths."""


class PoolId(NamedTuple):
    """Pools are told apart by driver and name."""

    driver: str
    pool: str

    def __str__(self) -> str:
        return f"{self.driver}/{self.pool}"


class DeviceId(NamedTuple):
    """What names a device in the whole cluster."""

    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return f"{self.driver}/{self.pool}/{self.device}"


class NodeChoice:
    """Which nodes a slice, or a device of it, can be reached from: one, all, or those of a node selector."""

    def __init__(self, doc: Doc) -> None:
        self.name: str = doc.get("nodeName") or ""
        self.everywhere = bool(doc.get("allNodes"))
        self.selector: Any = doc.get("nodeSelector")
        self._terms = tuple(map(NodeSelectorTerm.of, (self.selector or {}).get("nodeSelectorTerms") or ()))

    def takes(self, node: str, labels: Mapping[str, str]) -> bool:
        """Whether that node is one of them."""
        if self.name:
            return self.name == node
        return self.everywhere or any(term.matches(node, labels) for term in self._terms)


class Device:
    """One device; `doc` is its entry in the slice."""

    def __init__(self, doc: Doc, slice: Slice) -> None:
        self.doc = doc
        self.slice = slice
        self.id = DeviceId(slice.pool.driver, slice.pool.pool, doc["name"])
        self.shared = bool(doc.get("allowMultipleAllocations"))
        self.taints: Sequence[Doc] = [t for t in doc.get("taints") or () if t.get("effect") in HARD_EFFECTS]
        self.consumes: Counters = _counters(doc.get("consumesCounters") or (), "counterSet")
        self.capacity: Mapping[str, Capacity] = {
            name: Capacity.of(amount) for name, amount in (doc.get("capacity") or {}).items()
        }
        self.nodes = NodeChoice(doc) if slice.per_device else slice.nodes
        self._answers: dict[str, bool | EvaluationError] = {}

    @cached_property
    def _value(self) -> Any:
        return device_value(self.id.driver, self.doc)

    def attribute(self, name: str) -> Any:
        """The value of a fully qualified attribute, None when the device has none of that name."""
        attributes = self.doc.get("attributes") or {}
        domain, identifier = qualified(name, "")
        found = attributes.get(name)
        if found is None and domain == self.id.driver:
            found = attributes.get(identifier)
        return None if found is None else attribute_value(found)

    def answers(self, expression: str) -> bool:
        """Whether a selector takes the device. Raises CompileError, and EvaluationError with upstream's text."""
        answer = self._answers.get(expression)
        if answer is None:
            answer = self._answers[expression] = self._ask(expression)
        if isinstance(answer, EvaluationError):
            raise answer
        return answer

    def _ask(self, expression: str) -> bool | EvaluationError:
        program = compile_selector(expression)
        try:
            return matches(program, self._value)
        except EvaluationError as error:
            return error


@attrs.frozen
class Capacity:
    """An amount that a device has, and how it is given away in parts (`policy`, see `capacity`)."""

    value: Quantity
    policy: Doc | None = None

    @classmethod
    def of(cls, doc: Doc) -> Capacity:
        return cls(parse_quantity(doc["value"]), doc.get("requestPolicy"))


class Slice:
    """One ResourceSlice."""

    def __init__(self, doc: Doc) -> None:
        spec = doc["spec"]
        pool = spec["pool"]
        self.name = name_of(doc)
        self.pool = PoolId(spec["driver"], pool["name"])
        self.generation: int = pool.get("generation") or 0
        self.count: int = pool.get("resourceSliceCount") or 0
        """How many slices the pool has when it is complete."""
        self.per_device = bool(spec.get("perDeviceNodeSelection"))
        self.nodes = NodeChoice(spec)
        self.counters: Counters = _counters(spec.get("sharedCounters") or (), "name")
        self.counter_names = [entry["name"] for entry in spec.get("sharedCounters") or ()]
        self.devices = tuple(Device(entry, self) for entry in spec.get("devices") or ())

    def reaches(self, node: str, labels: Mapping[str, str]) -> bool:
        """Whether anything of it is for that node. Counters belong to the pool, wherever its devices are."""
        if self.counters:
            return True
        if self.per_device:
            return any(device.nodes.takes(node, labels) for device in self.devices)
        return self.nodes.takes(node, labels)


def _counters(entries: Sequence[Doc], key: str) -> Counters:
    return {
        entry[key]: {name: parse_quantity(c["value"]).nanos for name, c in (entry.get("counters") or {}).items()}
        for entry in entries
    }


__all__ = ["Capacity", "CompileError", "Counters", "Device", "DeviceId", "NodeChoice", "PoolId", "Slice"]
