"""A session whose end is known beforehand: what a simulated container answers to exec and attach."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteReceiveStream


class ScriptedSession:
    """Says `output`, then lasts until `end` returns (without one: no longer). It takes no input."""

    stdin = None
    stderr = None

    def __init__(
        self, output: bytes, end: Callable[[], Awaitable[object]] | None = None, *, exit_code: int | None = None
    ) -> None:
        self.stdout = ScriptedOutput(output, end)
        self._end, self._exit_code = end, exit_code

    def resize(self, width: int, height: int) -> None:
        return

    async def wait(self) -> int | None:
        if self._end is not None:
            await self._end()
        return self._exit_code

    async def aclose(self) -> None:
        return


class ScriptedOutput(ByteReceiveStream):
    """Gives what there is, then waits for the end."""

    def __init__(self, output: bytes, end: Callable[[], Awaitable[object]] | None) -> None:
        self._output, self._end = output, end

    async def receive(self, max_bytes: int = 65536) -> bytes:
        if not self._output and self._end is not None:
            await self._end()
        if not self._output:
            raise anyio.EndOfStream
        data, self._output = self._output[:max_bytes], self._output[max_bytes:]
        return data

    async def aclose(self) -> None:
        return
