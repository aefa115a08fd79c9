"""Tells when a file has grown or another has taken its place, without asking again and again.

Linux's inotify, through ctypes because the standard library has no binding; one descriptor serves all followers in
an event loop. Where there is none the file is looked at a few times a second.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
import sys
from collections import defaultdict
from pathlib import Path

from minik8s.clock import Clock

IN_MODIFY, IN_ATTRIB = 0x2, 0x4
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = getattr(os, "O_CLOEXEC", 0)
POLL_SECONDS = 0.2
_HEADER = struct.Struct("iIII")


class Watcher:
    """Wakes those who wait for changes of a file. Opened on first use, closed with the last subscription."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fd = -1
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._subscribers: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    def subscribe(self, path: Path) -> Subscription:
        """From now on changes of `path`, which must exist, are noticed. Close the subscription when done."""
        descriptor = self._add(path)
        event = asyncio.Event()
        if descriptor >= 0:
            self._subscribers[descriptor].add(event)
        return Subscription(self, descriptor, event)

    def _add(self, path: Path) -> int:
        if self._libc is None:
            return -1
        if self._fd < 0:
            self._fd = self._libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC)
            if self._fd < 0:  # fs.inotify.max_user_instances is used up
                return -1
            asyncio.get_running_loop().add_reader(self._fd, self._readable)
        return int(self._libc.inotify_add_watch(self._fd, os.fsencode(path), IN_MODIFY | IN_ATTRIB))

    def _readable(self) -> None:
        data = os.read(self._fd, 1 << 16)
        offset = 0
        while offset < len(data):
            descriptor, _, _, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size + length
            for event in self._subscribers.get(descriptor, ()):
                event.set()

    async def wait(self, event: asyncio.Event, descriptor: int) -> None:
        if descriptor < 0:
            await self._clock.sleep(POLL_SECONDS)
        else:
            await event.wait()

    def drop(self, descriptor: int, event: asyncio.Event) -> None:
        subscribers = self._subscribers.get(descriptor)
        if subscribers is None:
            return
        subscribers.discard(event)
        if not subscribers:
            del self._subscribers[descriptor]
            if self._libc is not None:
                self._libc.inotify_rm_watch(self._fd, descriptor)
        if not self._subscribers:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class Subscription:
    """Interest in one file."""

    def __init__(self, watcher: Watcher, descriptor: int, event: asyncio.Event) -> None:
        self._watcher, self._descriptor, self._event = watcher, descriptor, event

    def notify(self) -> None:
        """Lets `changed` return now: something else than the file has to be looked at."""
        self._event.set()

    async def changed(self) -> None:
        """Returns once the file has changed since the last call (or the subscription), at once if it already has."""
        await self._watcher.wait(self._event, self._descriptor)
        self._event.clear()

    def close(self) -> None:
        self._watcher.drop(self._descriptor, self._event)
