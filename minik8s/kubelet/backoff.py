"""How long to wait before the next try: of a container that ended, of an image that could not be pulled, of a mount.

The constants are the kubelet's (MaxContainerBackOff, the image manager's and the volume manager's back-offs). The state
of a back-off is the delay that was last applied, so each rule is a function from that to the next.
"""

from __future__ import annotations

INITIAL = 10.0
MAXIMUM = 300.0
FORGIVEN_AFTER = 2 * MAXIMUM
"""Seconds a container has to run for its crashes to be forgotten."""

MOUNT_INITIAL = 0.5
MOUNT_MAXIMUM = 122.0
"""durationBeforeRetry of a failed mount: 500 ms doubling to 2 min 2 s."""


def doubled(last: float, initial: float = INITIAL, maximum: float = MAXIMUM) -> float:
    """The delay after a failure that followed `last` (0: none yet)."""
    return min(last * 2, maximum) if last else initial


def restart_delay(last: float | None, ran: float) -> float:
    """Seconds between a container's exit and its next start, when it ran for `ran` seconds.

    `last` is the delay before the run that ended, None when this was the first: the first restart is immediate.
    """
    if last is None or ran >= FORGIVEN_AFTER:
        return 0.0
    return doubled(last)


def as_duration(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    return f"{seconds:g}s" if seconds < 60 else f"{int(seconds // 60)}m{seconds % 60:g}s"


def mount_delay(last: float) -> float:
    """The delay before a failed mount is tried again."""
    return doubled(last, MOUNT_INITIAL, MOUNT_MAXIMUM)
