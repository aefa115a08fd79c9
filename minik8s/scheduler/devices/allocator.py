"""The search: devices for all of a pod's claims at once, on one node.

Device after device is chosen, the first that will do in the order of the pools; where none can be found the choice
before it is taken back. So a solution is found if there is one, and upstream's `allocateOne` finds the same; but ours
keeps its choices on a stack of its own instead of Python's. A search that would need astronomically many choices is
given up after so many steps (`Budget`), where upstream looks at its watch (filterTimeout).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import attrs

from minik8s.machinery.quantity import Quantity
from minik8s.scheduler.devices.capacity import consumption, fits
from minik8s.scheduler.devices.constraints import Constraint
from minik8s.scheduler.devices.counters import CounterBook
from minik8s.scheduler.devices.pools import Pool
from minik8s.scheduler.devices.requests import MAX_RESULTS, AllocationError, Request, Wanted
from minik8s.scheduler.devices.slices import Device, DeviceId
from minik8s.scheduler.devices.usage import Usage

STEPS_PER_SECOND = 20_000
"""How many devices are tried in what a configuration calls a second (filterTimeout): about 0.1 s of work here."""


@attrs.define
class Budget:
    """How many devices may still be tried for a pod, on whatever nodes; None is no limit."""

    steps: int | None = 10 * STEPS_PER_SECOND

    def spend(self) -> None:
        """Raises OutOfBudgetError when it is used up."""
        if self.steps is not None:
            if self.steps <= 0:
                raise OutOfBudgetError
            self.steps -= 1


class OutOfBudgetError(Exception):
    """The search was given up."""


@attrs.frozen(eq=False)
class Pick:
    """A device chosen for a request; `consumed` is what it takes of a device that others share."""

    device: Device
    request: Request
    consumed: Mapping[str, Quantity] | None = None


@attrs.frozen
class NodeView:
    """A node as the search needs it."""

    name: str
    labels: Mapping[str, str]
    pools: Sequence[Pool]


def allocate(wanted: Sequence[Wanted], node: NodeView, usage: Usage, budget: Budget) -> list[list[Pick]] | None:
    """The devices of each claim, None if they cannot all be had. Raises AllocationError and OutOfBudgetError."""
    return _Search(wanted, node, usage, budget).run()


class _Candidates:
    """The devices that a request would take, were it alone in the world; looked for only as far as they are needed."""

    def __init__(self, devices: Iterator[tuple[Device, Pool]]) -> None:
        self._rest = devices
        self._found: list[tuple[Device, Pool]] = []

    def get(self, index: int) -> tuple[Device, Pool] | None:
        """One of them, None beyond the last."""
        while index >= len(self._found):
            if (found := next(self._rest, None)) is None:
                return None
            self._found.append(found)
        return self._found[index]

    def __len__(self) -> int:
        self._found.extend(self._rest)
        return len(self._found)


class _Exceeded(Exception):
    """The claim would get more devices than it may have, whichever are chosen."""


_Place: TypeAlias = tuple[int, int, int, int, int]
"""Where the search goes on: claim, request, alternative (-1: to be chosen), devices chosen for it, next candidate."""
_Undo: TypeAlias = Callable[[], None]


@attrs.define(eq=False)
class _Choice:
    """A point of the search. An option that is taken says where to go on, or None: it cannot be taken."""

    claim: int
    options: Iterator[Callable[[], _Place | None]]
    undo: _Undo | None = None
    """Takes back the option that was taken last."""
    is_alternative: bool = False
    tried: int = 0
    exceeded: int = 0
    """Alternatives: how many were tried, and how many of them would have needed too many devices."""

    def take_back(self) -> None:
        if self.undo is not None:
            self.undo()
            self.undo = None


class _Search:
    def __init__(self, wanted: Sequence[Wanted], node: NodeView, usage: Usage, budget: Budget) -> None:
        self._wanted, self._node, self._usage, self._budget = wanted, node, usage, budget
        self._constraints: list[list[Constraint]] = [claim.constraints() for claim in wanted]
        self._picks: list[list[Pick]] = [[] for _ in wanted]
        self._chosen: dict[DeviceId, list[int]] = {}
        self._amounts: dict[DeviceId, list[Mapping[str, int]]] = {}
        self._counters = CounterBook(usage)
        self._candidates: dict[tuple[int, int, int], _Candidates] = {}

    def run(self) -> list[list[Pick]] | None:
        stack: list[_Choice] = []
        place: _Place | None = (0, 0, -1, 0, 0)
        while place is not None:
            try:
                choice = self._choice(place)
            except _Exceeded:
                _drop(stack, place[0])
            else:
                if choice is None:
                    return self._picks
                stack.append(choice)
            place = _advance(stack)
        return None

    def _choice(self, place: _Place) -> _Choice | None:
        """What is to be chosen at that place; None when all is done."""
        claim, request, alternative, taken, start = place
        while claim < len(self._wanted):
            requests = self._wanted[claim].requests
            if request >= len(requests):
                claim, request, alternative = claim + 1, 0, -1
                continue
            if alternative < 0 and requests[request][0].parent:
                return self._alternatives(claim, request, len(requests[request]))
            alternative = max(alternative, 0)
            one = requests[request][alternative]
            candidates = self._candidates_of(claim, request, alternative)
            count = len(candidates) if one.takes_all else one.count
            if not count:
                return _Choice(claim, iter(()))
            if taken >= count:
                request, alternative, taken, start = request + 1, -1, 0, 0
                continue
            if len(self._picks[claim]) + count - taken > MAX_RESULTS:
                raise _Exceeded
            return self._devices(one, candidates, (claim, request, alternative, taken, start))
        return None

    def _alternatives(self, claim: int, request: int, count: int) -> _Choice:
        def option(alternative: int) -> Callable[[], _Place]:
            return lambda: (claim, request, alternative, 0, 0)

        return _Choice(claim, map(option, range(count)), is_alternative=True)

    def _devices(self, one: Request, candidates: _Candidates, place: _Place) -> _Choice:
        """One device for a request, out of its candidates from where the last one was found; of "all" the next."""
        claim, request, alternative, taken, start = place

        def options() -> Iterator[Callable[[], _Place | None]]:
            index = start
            while (found := candidates.get(index)) is not None:
                yield partial(take, index, *found)
                index += 1
                if one.takes_all:
                    return

        def take(index: int, device: Device, pool: Pool) -> _Place | None:
            self._budget.spend()
            choice.undo = self._take(claim, one, device, pool)
            return None if choice.undo is None else (claim, request, alternative, taken + 1, index + 1)

        choice = _Choice(claim, options())
        return choice

    # ------------------------------------------------------------------ candidates

    def _candidates_of(self, claim: int, request: int, alternative: int) -> _Candidates:
        key = (claim, request, alternative)
        found = self._candidates.get(key)
        if found is None:
            found = _Candidates(self._look(self._wanted[claim].requests[request][alternative]))
            self._candidates[key] = found
        return found

    def _look(self, request: Request) -> Iterator[tuple[Device, Pool]]:
        name, labels = self._node.name, self._node.labels
        if request.takes_all:
            for pool in self._node.pools:
                _check_whole(request, pool)
        for pool in self._node.pools:
            for device in pool.devices if pool.is_usable else ():
                is_open = request.takes_all or request.admin or not self._usage.is_taken(device.id)
                if (
                    is_open
                    and request.accepts(device, name, labels)
                    and self._consumption(request, device, ()) is not None
                ):
                    yield device, pool

    def _consumption(
        self, request: Request, device: Device, used: Sequence[Mapping[str, int]]
    ) -> Mapping[str, Quantity] | None:
        """What the request would take of the device, None if there is not that much left beside `used`."""
        if not request.capacity and not device.shared:
            return _NOTHING  # all of it
        taken = consumption(request.capacity, device.capacity)
        if taken is None or not fits(taken, device.capacity, self._usage.amounts(device.id), *used):
            return None
        return taken

    # ------------------------------------------------------------------ one device

    def _take(self, claim: int, request: Request, device: Device, pool: Pool) -> _Undo | None:
        """Chooses a device; returns how to take that back, None when it cannot be chosen."""
        chosen_by = self._chosen.get(device.id, [])
        if request.admin:
            if claim in chosen_by:
                return None
        elif chosen_by or self._usage.is_taken(device.id):
            return None
        if not request.tolerates(device):
            return None
        used = self._amounts.get(device.id, ())
        if (taken := self._consumption(request, device, used)) is None:
            return None
        is_drawn = bool(device.consumes) and not (used or (device.shared and self._usage.is_shared(device.id)))
        if is_drawn and not self._counters.draw(pool, device):
            return None
        if not self._constrain(claim, request, device):
            if is_drawn:
                self._counters.give_back(pool, device)
            return None
        return self._commit(claim, request, device, taken, pool if is_drawn else None)

    def _constrain(self, claim: int, request: Request, device: Device) -> bool:
        done: list[Constraint] = []
        for constraint in self._constraints[claim]:
            if not constraint.add(device, request.full_name, request.parent):
                for each in done:
                    each.remove(request.full_name, request.parent)
                if request.takes_all:
                    why = "because a claim constraint would not be satisfied"
                    where = f"claim {request.claim}, request {request.name}"
                    raise AllocationError(f"{where}: cannot add device {device.id} {why}")
                return False
            done.append(constraint)
        return True

    def _commit(
        self, claim: int, request: Request, device: Device, taken: Mapping[str, Quantity], drawn: Pool | None
    ) -> _Undo:
        picks = self._picks[claim]
        if device.shared:
            picks.append(Pick(device, request, taken))
            self._amounts.setdefault(device.id, []).append({name: each.nanos for name, each in taken.items()})
        else:
            picks.append(Pick(device, request))
            self._chosen.setdefault(device.id, []).append(claim)

        def undo() -> None:
            picks.pop()
            if device.shared:
                self._amounts[device.id].pop()
            else:
                self._chosen[device.id].pop()
            for constraint in self._constraints[claim]:
                constraint.remove(request.full_name, request.parent)
            if drawn is not None:
                self._counters.give_back(drawn, device)

        return undo


_NOTHING: Mapping[str, Quantity] = {}


def _advance(stack: list[_Choice]) -> _Place | None:
    """Takes the next option of the latest choice that has one; None when there is none left."""
    while stack:
        choice = stack[-1]
        choice.take_back()
        for option in choice.options:
            choice.tried += 1
            place = option()
            if place is not None:
                return place
        stack.pop()
        if choice.is_alternative and choice.tried == choice.exceeded:
            _drop(stack, choice.claim)
    return None


def _drop(stack: list[_Choice], claim: int) -> None:
    """Goes back to where an alternative with fewer devices may be left: other devices would be just as many."""
    while stack and stack[-1].claim == claim:
        if stack[-1].is_alternative:
            stack[-1].exceeded += 1
            return
        stack.pop().take_back()


def _check_whole(request: Request, pool: Pool) -> None:
    where = f"claim {request.claim}, request {request.name}: asks for all devices, but resource pool {pool.id}"
    if pool.is_incomplete:
        raise AllocationError(f"{where} is currently being updated")
    if pool.why_invalid:
        raise AllocationError(f"{where} is currently invalid")
