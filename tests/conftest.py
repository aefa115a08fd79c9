"""What every test shares."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from minik8s.testing.clocks import run_virtually
from minik8s.virtualtime import VirtualClock

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")  # how fast a machine is, and what else it does, is no property of the code


@pytest.fixture
def anyio_backend() -> str:
    """Tests marked `anyio` run on asyncio, the only loop the project supports."""
    return "asyncio"


@pytest.fixture
def virtual() -> Callable[[Callable[[VirtualClock], Coroutine[Any, Any, None]]], None]:
    """Runs `body(clock)` in a loop whose waits take no time; a body that hangs for a virtual day fails."""
    return run_virtually
