"""Running pytest in pytest, with the plugin loaded however it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

# what a session in this process imports is forgotten at its end, and some of it cannot be imported twice
import minik8s.apiserver.pki
import minik8s.apiserver.server
import minik8s.testing.fixtures  # noqa: F401

PLUGIN = "minik8s.testing.plugin"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def run_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Runs the test files that were made, in a process of its own, on this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    load = () if installed else ("-p", PLUGIN)

    def run(*args: str, asyncio: str = "", ini: str = "", inprocess: bool = True) -> pytest.RunResult:
        """`asyncio` is the mode of pytest-asyncio, which is switched off otherwise."""
        asyncio_ini = f"asyncio_mode = {asyncio}\nasyncio_default_fixture_loop_scope = function\n" if asyncio else ""
        pytester.makeini(f"[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n{asyncio_ini}{ini}\n")
        without = () if asyncio else ("-p", "no:asyncio")
        run = pytester.runpytest_inprocess if inprocess else pytester.runpytest_subprocess
        return run(*load, *without, *args)

    return run
