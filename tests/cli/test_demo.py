"""`minik8s demo`, whole and as a real process, and what it does when a step does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from rich.console import Console

from minik8s.cli import demo


def test_every_step_holds(start: Callable[..., Any]) -> None:
    """On a fresh home it runs through, says so step by step in plain text, and exits with 0."""
    program = start("demo")
    code, out, err = program.finish()
    assert (code, err) == (0, ""), out
    assert out.count("  holds\n") == len(demo.STEPS) + 1
    assert "; 0 failed" in out
    assert "\x1b" not in out
    assert list(program.temporary.iterdir()) == []
    assert list(program.home.iterdir()) == []


@pytest.mark.parametrize("failure", [demo.StepFailed("the sky is green"), ConnectionError("the sky is green")])
def test_a_step_that_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failure: Exception
) -> None:
    """The tour ends at it with exit code 1, and says which and why."""

    async def broken(_: demo.Tour) -> None:
        """The sky is blue"""
        raise failure

    monkeypatch.setattr(demo, "STEPS", (demo.Tour.nodes, broken, demo.Tour.deploy))
    assert anyio.run(demo.run_tour, Console()) == 1
    out = capsys.readouterr().out
    assert "2/4 The sky is blue" in out
    assert "does not hold: the sky is green" in out
    assert "3/4" not in out
