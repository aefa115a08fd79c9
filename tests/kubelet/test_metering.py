"""From counters to rates."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from minik8s.kubelet.metering import PodMeter
from minik8s.kubelet.runtime.protocol import Usage
from minik8s.testing.clocks import EPOCH, ManualClock


def container(identity: str = "a", age: float = 0) -> Any:
    return SimpleNamespace(id=identity, config=SimpleNamespace(name="c"), started_at=EPOCH + timedelta(seconds=age))


def test_the_first_reading_is_the_average_since_the_start() -> None:
    """Nobody has to have asked before; the next readings look back no further than the resolution."""
    clock = ManualClock()
    meter = PodMeter(clock)
    clock.advance(100)
    first = meter.read(container(), Usage(50.0, 1 << 20))
    assert (first.cores, first.memory, first.window) == (0.5, 1 << 20, 100.0)
    clock.advance(20)
    second = meter.read(container(), Usage(90.0, 2 << 20))
    assert (second.cores, second.memory, second.window) == (2.0, 2 << 20, 20.0)


def test_readings_in_quick_succession() -> None:
    """Too short a window is no window: the reading before is given again."""
    clock = ManualClock()
    meter = PodMeter(clock)
    clock.advance(100)
    first = meter.read(container(), Usage(50.0, 1))
    clock.advance(0.5)
    assert meter.read(container(), Usage(80.0, 1)) is first


def test_a_restarted_container_counts_anew() -> None:
    """A new run's counters begin at nothing."""
    clock = ManualClock()
    meter = PodMeter(clock)
    clock.advance(100)
    meter.read(container(), Usage(50.0, 1))
    clock.advance(10)
    assert meter.read(container("b", age=100), Usage(1.0, 1)).cores == 0.1
