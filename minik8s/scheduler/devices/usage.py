"""What of the devices is allocated, kept current as claims come, change and go.

Admin access takes nothing. A device that several may share is never taken as a whole; of it the amounts are counted.
Upstream: `AllocatedState`, and the scheduler's `allocateddevices.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from minik8s.machinery.meta import Doc
from minik8s.machinery.quantity import parse_quantity
from minik8s.scheduler.devices.slices import DeviceId


class Usage:
    """By device; `set` replaces what a claim has, so each claim counts once."""

    def __init__(self) -> None:
        self._by_claim: dict[str, Doc] = {}
        self._taken: Counter[DeviceId] = Counter()
        self._shares: Counter[DeviceId] = Counter()
        self._amounts: dict[DeviceId, Counter[str]] = {}

    def set(self, uid: str, allocation: Doc | None) -> None:
        """What the claim with that uid has now, None for nothing."""
        before = self._by_claim.pop(uid, None)
        if before is not None:
            self._count(before, -1)
        if allocation is not None:
            self._by_claim[uid] = allocation
            self._count(allocation, 1)

    def is_taken(self, device: DeviceId) -> bool:
        """Whether some claim has the device to itself."""
        return device in self._taken

    def is_shared(self, device: DeviceId) -> bool:
        """Whether some claim has a share of the device."""
        return device in self._shares

    def is_used(self, device: DeviceId) -> bool:
        return device in self._taken or device in self._shares

    def amounts(self, device: DeviceId) -> Mapping[str, int]:
        """How much of each capacity of a shared device is given away, in billionths."""
        return self._amounts.get(device, _NOTHING)

    def _count(self, allocation: Doc, sign: int) -> None:
        for result in (allocation.get("devices") or {}).get("results") or ():
            if result.get("adminAccess"):
                continue
            device = DeviceId(result["driver"], result["pool"], result["device"])
            if result.get("shareID") is None:
                _add(self._taken, device, sign)
                continue
            _add(self._shares, device, sign)
            amounts = self._amounts.setdefault(device, Counter())
            for name, amount in (result.get("consumedCapacity") or {}).items():
                amounts[name] += sign * parse_quantity(amount).nanos
            if device not in self._shares:
                del self._amounts[device]


_NOTHING: Mapping[str, int] = {}


def _add(counter: Counter[DeviceId], device: DeviceId, sign: int) -> None:
    counter[device] += sign
    if not counter[device]:
        del counter[device]
