"""What a claim asks for, as the search wants it.

A request is a choice of alternatives: one for `exactly`, several for `firstAvailable`. Upstream: `requestAccessor` and
`validateDeviceRequest`; the texts of what cannot be are its.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import attrs

from minik8s.api.scheduling import tolerates
from minik8s.cel import CompileError, EvaluationError
from minik8s.machinery.meta import Doc, name_of, namespace_of
from minik8s.machinery.quantity import Quantity, parse_quantity
from minik8s.scheduler.devices.constraints import Constraint, make_constraint
from minik8s.scheduler.devices.slices import Device

MAX_RESULTS = 32
"""How many devices a claim can have; AllocationResultsMaxSize."""
Classes: TypeAlias = Callable[[str], "Doc | None"]
"""The DeviceClass of a name, None when there is none."""


class AllocationError(Exception):
    """Something is wrong with a claim, a class or a pool: there is no use in trying other nodes."""


@attrs.frozen(eq=False)
class Request:
    """One alternative. `parent` is the request's name when this is a subrequest of it."""

    name: str
    parent: str
    claim: str
    """namespace/name, for messages."""
    class_: Doc
    selectors: tuple[str, ...]
    takes_all: bool
    count: int
    """How many devices it wants; of no meaning when it takes all."""
    admin: bool
    tolerations: Sequence[Doc]
    capacity: Mapping[str, Quantity]

    @property
    def full_name(self) -> str:
        """As results and constraints call it."""
        return f"{self.parent}/{self.name}" if self.parent else self.name

    def accepts(self, device: Device, node: str, labels: Mapping[str, str]) -> bool:
        """Whether class and selectors take the device, and the node reaches it. Raises AllocationError."""
        for index, selector in enumerate((self.class_.get("spec") or {}).get("selectors") or ()):
            if not self._ask(device, selector["cel"]["expression"], f"class {name_of(self.class_)}: selector #{index}"):
                return False
        for index, expression in enumerate(self.selectors):
            if not self._ask(device, expression, f"claim {self.claim}: selector #{index}"):
                return False
        return not device.slice.per_device or device.nodes.takes(node, labels)

    def _ask(self, device: Device, expression: str, where: str) -> bool:
        try:
            return device.answers(expression)
        except CompileError as error:
            raise AllocationError(f"{where}: CEL compile error: {error}") from None
        except EvaluationError as error:
            raise AllocationError(f"{where} on device {device.id}: CEL runtime error: {error}") from None

    def tolerates(self, device: Device) -> bool:
        """Whether no taint keeps the device from it."""
        return all(any(tolerates(each, taint) for each in self.tolerations) for taint in device.taints)


@attrs.frozen(eq=False)
class Wanted:
    """A claim: its requests with their alternatives, and what its devices must have in common or not."""

    doc: Doc
    requests: tuple[tuple[Request, ...], ...]
    constraints: Callable[[], list[Constraint]]
    """Makes them anew, for a search."""


def read_claim(claim: Doc, classes: Classes) -> Wanted:
    """Raises AllocationError for what cannot be handled."""
    devices = (claim.get("spec") or {}).get("devices") or {}
    where = f"{namespace_of(claim)}/{name_of(claim)}"
    requests = tuple(tuple(_alternatives(request, where, classes)) for request in devices.get("requests") or ())
    least = sum(min(0 if each.takes_all else each.count for each in choice) for choice in requests)
    if least > MAX_RESULTS:
        raise AllocationError(
            f"claim {where}: number of requested devices {least} exceeds the claim limit of {MAX_RESULTS}"
        )
    constraints = devices.get("constraints") or ()
    for index, constraint in enumerate(constraints):
        if not constraint.get("matchAttribute") and not constraint.get("distinctAttribute"):
            raise AllocationError(
                f"claim {where}, constraint #{index}: empty constraint (unsupported constraint type?)"
            )
    return Wanted(claim, requests, lambda: [make_constraint(each) for each in constraints])


def _alternatives(request: Doc, claim: str, classes: Classes) -> Iterator[Request]:
    name = request["name"]
    if request.get("exactly") is not None:
        yield _request(request["exactly"], name, "", claim, classes)
    for subrequest in request.get("firstAvailable") or ():
        yield _request(subrequest, subrequest["name"], name, claim, classes)


def _request(doc: Doc, name: str, parent: str, claim: str, classes: Classes) -> Request:
    where = f"claim {claim}, request {name}"
    wanted = doc.get("deviceClassName") or ""
    if not wanted:
        raise AllocationError(f"{where}: missing device class name (unsupported request type?)")
    class_ = classes(wanted)
    if class_ is None:
        why = f'deviceclass.resource.k8s.io "{wanted}" not found'
        raise AllocationError(f"{where}: could not retrieve device class {wanted}: {why}")
    mode = doc.get("allocationMode") or "ExactCount"
    if mode not in ("ExactCount", "All"):
        raise AllocationError(f"{where}: unsupported count mode {mode}")
    expressions = []
    for index, selector in enumerate(doc.get("selectors") or ()):
        if not selector.get("cel"):
            raise AllocationError(f"{where}, selector #{index}: CEL expression empty (unsupported selector type?)")
        expressions.append(selector["cel"]["expression"])
    capacity = ((doc.get("capacity") or {}).get("requests") or {}).items()
    return Request(
        name,
        parent,
        claim,
        class_,
        tuple(expressions),
        mode == "All",
        doc.get("count") or 1,
        bool(doc.get("adminAccess")) and not parent,
        doc.get("tolerations") or (),
        {key: parse_quantity(value) for key, value in capacity},
    )
