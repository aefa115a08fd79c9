"""Binding conditions: what a driver has to say of an allocated device before its pod may be bound.

Devices in a fabric, for instance, are attached to the node only once they are allocated. Upstream:
`isClaimReadyForBinding` and `isClaimTimeout`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from minik8s.api.resourceclaims import allocation_of
from minik8s.machinery.meta import Doc, find_condition, name_of, parse_time


def has_conditions(allocation: Doc | None) -> bool:
    """Whether any device of it has to be waited for."""
    results = ((allocation or {}).get("devices") or {}).get("results") or ()
    return any(result.get("bindingConditions") for result in results)


def is_ready(claim: Doc) -> tuple[bool, str]:
    """Whether all conditions of an allocated claim are met, and why they never will be."""
    allocation = allocation_of(claim)
    if allocation is None:
        return False, ""
    for result in (allocation.get("devices") or {}).get("results") or ():
        awaited = result.get("bindingConditions") or ()
        if not awaited:
            continue
        conditions = _conditions(claim, result)
        if conditions is None:
            return False, ""
        for name in result.get("bindingFailureConditions") or ():
            failed = find_condition(conditions, name)
            if failed is not None and failed.get("status") == "True":
                reason, message = failed.get("reason", ""), failed.get("message", "")
                why = f'claim={name_of(claim)}, reason={reason}, message="{message}"'
                return False, f"device binding failed: {why}"
        if not all((find_condition(conditions, name) or {}).get("status") == "True" for name in awaited):
            return False, ""
    return True, ""


def is_stuck(claim: Doc, seconds: float, now: datetime | None) -> bool:
    """Whether an allocated claim has failed, or has not become ready within so many seconds."""
    allocation = allocation_of(claim)
    if allocation is None or not has_conditions(allocation):
        return False
    ready, failure = is_ready(claim)
    since = allocation.get("allocationTimestamp")
    is_late = bool(since) and now is not None and parse_time(since) + timedelta(seconds=seconds) < now
    return bool(failure) or (not ready and is_late)


def _conditions(claim: Doc, result: Doc) -> list[Doc] | None:
    """What its driver says of an allocated device, None for nothing yet."""
    for device in (claim.get("status") or {}).get("devices") or ():
        if all(device.get(field) == result.get(field) for field in ("driver", "pool", "device")):
            return device.get("conditions") or []
    return None
