"""What every test shares."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from minik8s.testing.clocks import run_virtually
from minik8s.virtualtime import VirtualClock


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio, the only loop the project supports."""
    return "asyncio"


@pytest.fixture
def virtual() -> Callable[[Callable[[VirtualClock], Coroutine[Any, Any, None]]], None]:
    """Runs `body(clock)` in a loop whose waits take no time; a body that hangs for a virtual day fails."""
    return run_virtually
