"""An event that costs nothing until somebody waits for it."""

from __future__ import annotations

import anyio
import anyio.lowlevel


class Latch:
    """Is set once and stays so, like an `anyio.Event`.

    A pod has half a dozen moments that others may wait for and mostly do not: as events they are 700 bytes each, which
    for 100,000 pods makes half a gigabyte.
    """

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: anyio.Event | None = None

    def set(self) -> None:
        self._is_set = True
        if self._event is not None:
            self._event.set()
            self._event = None

    def is_set(self) -> bool:
        return self._is_set

    async def wait(self) -> None:
        """Returns once it is set; at once if it is."""
        if self._is_set:
            await anyio.lowlevel.checkpoint()
            return
        self._event = self._event or anyio.Event()
        await self._event.wait()
