"""Running pytest in pytest, with the plugin loaded however it is installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

PLUGIN = "minik8s.testing.plugin"


@pytest.fixture
def run_pytest(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs the test files that were made, in a process of its own."""
    installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    load = () if installed else ("-p", PLUGIN)
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(*load, *args)

    return run
