"""A life that needs a task only while something is to be done.

Ten thousand pods that just run would be ten thousand tasks, each with a dozen coroutines that wait for what will not
happen for days. So a life may rest: it returns to whoever led it, and says by `wake` when it wants to be led again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import anyio.abc

Func: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Led:
    """What subclasses say in `_lead`: everything up to the end, or to where `_rested` is set; and how it goes on."""

    def __init__(self) -> None:
        self._rested = False
        """Whether `_lead` has returned in order to rest, and is to go on from there."""
        self._at_rest = False
        self._woken = False
        self._group: anyio.abc.TaskGroup | None = None
        self._beside = 0
        self._waiting: list[Func] = []
        self._lead_again: Callable[[Any], object] | None = None

    async def _lead(self) -> None:
        raise NotImplementedError

    def led_by(self, lead_again: Callable[[Any], object]) -> None:
        """Allows to rest: `lead_again` takes it when it has woken, and has it led."""
        self._lead_again = lead_again

    @property
    def _may_rest(self) -> bool:
        """Whether there is somebody to lead it again, and nothing is done beside."""
        return self._lead_again is not None and not self._beside and not self._waiting

    def wake(self) -> None:
        """Something has happened that has to be seen to."""
        self._woken = True
        if self._at_rest and self._lead_again is not None:
            self._at_rest = False
            self._lead_again(self)

    def spawn(self, func: Func) -> bool:
        """Runs something beside; False when all is over, or has not begun."""
        if self._group is not None:
            self._beside += 1
            self._group.start_soon(self._done_beside, func)
            return True
        if self._rested:
            self._waiting.append(func)
            self.wake()
        return self._rested

    async def _led(self) -> bool:
        """Leads it, whether from the beginning or from where it rested; returns whether it rests again."""
        try:
            while True:
                self._woken = False
                await self._run()
                self._at_rest = self._rested and not self._woken  # else it was woken while it lay down
                if self._at_rest or not self._rested:
                    return self._at_rest
        except BaseException:
            self._rested = False
            raise

    async def _run(self) -> None:
        async with anyio.create_task_group() as group:
            self._group, waiting, self._waiting = group, self._waiting, []
            try:
                for func in waiting:
                    self.spawn(func)
                await self._lead()
            finally:
                self._group = None
            group.cancel_scope.cancel()

    async def _done_beside(self, func: Func) -> None:
        try:
            await func()
        finally:
            self._beside -= 1
