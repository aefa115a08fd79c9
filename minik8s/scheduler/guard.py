"""Plugins are anybody's code: what one raises is told to the pod it was asked about, and the scheduler goes on."""

from __future__ import annotations

import traceback

from minik8s.logs import get_logger
from minik8s.scheduler.framework import Code, PluginFailure, Status
from minik8s.scheduler.profile import Profile

log = get_logger("minik8s.scheduler")


def blame(profile: Profile, error: Exception, subject: str) -> Status:
    """The verdict that says which plugin failed at what; `subject` is the pod, for the log, which tells it once."""
    name, point = "", ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if not name and any(owner is plugin for plugin in profile.plugins):
            name, point = str(getattr(owner, "name", "")), frame.f_code.co_name
    what = f'running "{name}" {point} plugin: ' if name else ""
    if isinstance(error, PluginFailure):
        return Status(Code.ERROR, (f"{what}{error}",), name)
    failure = (name, point, type(error).__name__)
    if failure not in profile.failures:  # a traceback a pod would cost more than the pods
        profile.failures.add(failure)
        where = "".join(traceback.format_exception(error))
        log.error("a scheduler plugin failed", pod=subject, plugin=name, point=point, traceback=where)
    return Status(Code.ERROR, (f"{what}{type(error).__name__}: {error}",), name)


def at_fault(status: Status, point: str, name: str) -> Status:
    """An error with point and plugin in its text, as upstream's runtime wraps it; rejections stay as they are."""
    prefix = f'running {point} plugin "{name}": '
    if status.rejected or status.message.startswith(prefix):
        return status
    return Status(status.code, (prefix + status.message,), name)
