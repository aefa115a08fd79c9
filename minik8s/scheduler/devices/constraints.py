"""matchAttribute and distinctAttribute: what the devices of a claim must have in common, and what not.

Once a constraint refuses a device it would also refuse it with more devices chosen, so the search may stop there.
"""

from __future__ import annotations

from typing import Any, Protocol

from minik8s.machinery.meta import Doc
from minik8s.scheduler.devices.slices import Device


class Constraint(Protocol):
    """`add` says whether the device may be chosen for that request, and then counts it until `remove`."""

    def add(self, device: Device, request: str, parent: str) -> bool: ...
    def remove(self, request: str, parent: str) -> None:
        """Takes back the last device that was added for that request."""
        ...


class _Attribute:
    """The values of one attribute among the chosen devices of certain requests, or of all."""

    def __init__(self, attribute: str, requests: frozenset[str]) -> None:
        self._attribute = attribute
        self._requests = requests
        self._values: list[Any] = []

    def add(self, device: Device, request: str, parent: str) -> bool:
        if not self._concerns(request, parent):
            return True
        value = device.attribute(self._attribute)
        if value is None or not self._allows(value):
            return False
        self._values.append(value)
        return True

    def remove(self, request: str, parent: str) -> None:
        if self._concerns(request, parent):
            self._values.pop()

    def _concerns(self, request: str, parent: str) -> bool:
        """A request's name stands for all its subrequests."""
        return not self._requests or request in self._requests or (bool(parent) and parent in self._requests)

    def _allows(self, value: Any) -> bool:
        raise NotImplementedError


class MatchAttribute(_Attribute):
    """All have the attribute, and the same value."""

    def _allows(self, value: Any) -> bool:
        return not self._values or value == self._values[0]


class DistinctAttribute(_Attribute):
    """All have the attribute, and no two the same value."""

    def _allows(self, value: Any) -> bool:
        return value not in self._values


def make_constraint(doc: Doc) -> Constraint:
    """From a DeviceConstraint."""
    requests = frozenset(doc.get("requests") or ())
    if name := doc.get("matchAttribute"):
        return MatchAttribute(name, requests)
    return DistinctAttribute(doc["distinctAttribute"], requests)
