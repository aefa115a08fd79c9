"""Running pytest in pytest, with the plugin loaded however it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PLUGIN = "minik8s.testing.plugin"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def run_pytest(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Callable[..., pytest.RunResult]:
    """Runs the test files that were made, in a process of its own, on this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    load = () if installed else ("-p", PLUGIN)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(*load, *args)

    return run
