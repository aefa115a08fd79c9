"""Memory limits of real processes: who holds more ends, and who only seems to does not."""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio
import pytest

from minik8s.kubelet.runtime.spawner.memory import Guard, held
from minik8s.kubelet.runtime.usage import descendants

pytestmark = pytest.mark.anyio
MIB = 1 << 20
HOLD = "held = bytearray(b'x' * (100 << 20)); print('held', flush=True); import signal; signal.pause()"
SHARE = """
import os, signal
held = bytearray(b'x' * (60 << 20))
for _ in range(4):
    if not os.fork():
        signal.pause()
print('held', flush=True)
signal.pause()
"""


async def test_who_holds_too_much_ends(bench: Any) -> None:
    """A container that holds more than it may ends by SIGKILL, with all its processes, and the reason says why."""
    script = f'{sys.executable} -c "{HOLD}" & wait'
    container = await bench.sh(script, memory_limit=50 * MIB)
    with anyio.fail_after(20):
        end = await container.wait()
    assert (end.exit_code, end.signal, end.reason) == (137, 9, "OOMKilled")


async def test_a_limit_that_is_lowered(bench: Any) -> None:
    """A running container is held to another limit from then on."""
    container = await bench.start(sys.executable, "-c", HOLD)
    await bench.output(container, 4)
    await bench.runtime.update(container, 50 * MIB)
    with anyio.fail_after(20):
        assert (await container.wait()).reason == "OOMKilled"


async def test_what_is_shared_counts_once(bench: Any) -> None:
    """Processes that share memory hold it once, however much each of them has in sight."""
    container = await bench.start(sys.executable, "-c", SHARE, memory_limit=150 * MIB)
    await bench.output(container, 4)
    processes = [*descendants(container.process.shim_pid)]
    assert bench.runtime.usage(container).memory_bytes > 5 * 60 * MIB, "together they seem to have more than the limit"
    assert 60 * MIB < held(processes, 1) < 100 * MIB
    assert not Guard(150 * MIB).is_exceeded(lambda: processes)


def test_a_look_in_due_time() -> None:
    """Without a limit nobody looks; with one the first look is at once and the next later."""
    looks = 0

    def processes() -> list[int]:
        nonlocal looks
        looks += 1
        return [os.getpid()]

    assert Guard(0).wait() is None
    assert not Guard(0).is_exceeded(processes)
    guard = Guard(1 << 40)
    assert guard.wait() == 0
    assert not guard.is_exceeded(processes)
    assert not guard.is_exceeded(processes)
    assert looks == 1
    assert 500 < (guard.wait() or 0) <= 1000
    assert Guard(1).is_exceeded(processes)
