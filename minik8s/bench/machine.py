"""The machine: what it is, and whether it is quiet enough for a figure to mean anything.

Two signs of noise: the load average before the benchmark adds its own, and a calibration loop, the same small piece of
work over and over, whose slowest tenth should not be much slower than its fastest run.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import attrs

from minik8s.clock import RealClock

LOAD_PER_CORE: Final = 0.6
SPREAD: Final = 0.30
LOOPS, WORK = 40, 20_000
PARTS: Final = ("minik8s", "anyio", "httpx", "orjson", "uvicorn", "httptools")
ALIKE: Final = ("cpu", "cores", "memory_gib", "system", "python")
"""What two machines must have in common for their figures to be compared."""


@attrs.frozen
class Noise:
    """How busy the machine was. `spread` is how much slower the slowest tenth of the loops was than the fastest."""

    load: float
    spread: float
    fastest: float
    cores: int

    def problem(self, *, load: bool = True) -> str:
        """Why no figure of this moment is to be trusted; "" if it is."""
        if load and self.load > LOAD_PER_CORE * self.cores:
            return (
                f"the load average is {self.load:.2f} on {self.cores} cores "
                f"(more than {LOAD_PER_CORE:g} a core before the benchmark has begun)"
            )
        if self.spread > SPREAD:
            return (
                f"the same loop takes up to {self.spread:.0%} longer than at its fastest (more than {SPREAD:.0%}): "
                "something else uses this CPU, or its clock changes"
            )
        return ""


def measure_noise() -> Noise:
    """Takes some tens of milliseconds of CPU."""
    clock, times = RealClock(), []
    for _ in range(LOOPS):
        began = clock.monotonic()
        _work()
        times.append(clock.monotonic() - began)
    times.sort()
    return Noise(load_average(), times[LOOPS * 9 // 10] / times[0] - 1, times[0], os.cpu_count() or 1)


def _work() -> int:
    total = 0
    for number in range(WORK):
        total += number & 7
    return total


def load_average() -> float:
    """Of the last minute; 0 where the system has none."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def machine_facts() -> dict[str, Any]:
    """What a report says of the machine; nothing in it identifies its owner."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in PARTS if (found := _version(name))},
    }


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """In what two machines differ that matters: `cores: 2 and 8`."""
    return [f"{key}: {one.get(key)} and {other.get(key)}" for key in ALIKE if one.get(key) != other.get(key)]


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "cpu model"):
                return value.strip()
    except (OSError, UnicodeDecodeError):
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError):
        return 0.0


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
