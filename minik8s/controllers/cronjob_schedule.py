"""When a CronJob is due: the last time that has passed, the next one to come, in its time zone.

The cron expression is read by `api/cron.py`, as validation reads it. Daylight saving is as upstream has it: a time that
the clocks skip does not come, one that they repeat comes twice. Pure. Upstream: `pkg/controller/cronjob/utils.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import attrs

from minik8s.api.cron import Schedule, parse_schedule
from minik8s.machinery.meta import Doc, parse_time

MANY = 100
"""More missed times than this are complained about."""
_SECOND = timedelta(seconds=1)
Next = Callable[[datetime], datetime | None]
"""The first time due strictly after one; None when there will be none."""


@attrs.frozen
class Due:
    """`last` is the latest time that is due and not served, `next` the one to wait for; `missed` how many are due."""

    last: datetime | None
    next: datetime | None
    missed: int = 0


def zone_of(cronjob: Doc) -> tzinfo:
    """Where its clock hangs; raises ZoneInfoNotFoundError."""
    name = cronjob["spec"].get("timeZone")
    return ZoneInfo(name) if name else UTC


def due(cronjob: Doc, now: datetime) -> Due:
    """Raises ValueError for a schedule that cannot be read and ZoneInfoNotFoundError for an unknown time zone."""
    spec, zone = cronjob["spec"], zone_of(cronjob)
    schedule = parse_schedule(spec["schedule"])

    def following(after: datetime) -> datetime | None:
        return next_time(schedule, after, zone)

    since = _earliest(cronjob)
    deadline = spec.get("startingDeadlineSeconds")
    allowed = since if deadline is None else max(since, now - timedelta(seconds=deadline))
    last, missed = _last_due(following, allowed, now)
    known, _ = _last_due(following, since, now)
    return Due(last, following(known or max(since, now)), missed)


def next_time(schedule: Schedule, after: datetime, zone: tzinfo) -> datetime | None:
    """The first time due after `after`, in UTC; None when there is none in years.

    Wall time is followed offset by offset, so that what a change of the clocks skips or repeats is.
    """
    offset = after.astimezone(zone).utcoffset() or timedelta()
    while (found := schedule.next(after.astimezone(timezone(offset)))) is not None:
        found = found.astimezone(UTC)
        if found.astimezone(zone).utcoffset() == offset:
            return found
        change = _change_of_offset(after, found, offset, zone)
        offset = change.astimezone(zone).utcoffset() or timedelta()
        after = change - _SECOND
    return None


def _change_of_offset(before: datetime, later: datetime, offset: timedelta, zone: tzinfo) -> datetime:
    """The second at which the zone leaves `offset`, between these two times."""
    while later - before > _SECOND:
        middle = (before + (later - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            later = middle
    return later.astimezone(UTC)


def _earliest(cronjob: Doc) -> datetime:
    """What has been served: the last time scheduled, or everything before the CronJob was."""
    served = (cronjob.get("status") or {}).get("lastScheduleTime")
    return parse_time(served or cronjob["metadata"]["creationTimestamp"])


def _last_due(following: Next, since: datetime, now: datetime) -> tuple[datetime | None, int]:
    """The latest time due in (since, now], and about how many there are; long spans are jumped over."""
    first = following(since)
    if first is None or first > now:
        return None, 0
    second = following(first)
    if second is None or second > now:
        return first, 1
    between = second - first
    missed = int((now - first) / between) + 1
    last = first
    step = following(first + between * max(0, missed - 2))
    while step is not None and step <= now:
        last, step = step, following(step)
    return last, missed
