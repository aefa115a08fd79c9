"""Which event loop a process of ours runs on."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from minik8s import loops
from minik8s.config import ClusterConfig


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(
    ("options", "suits"),
    [
        ({"runtime": "simulated"}, True),
        ({"runtime": "simulated", "clock": "virtual"}, False),
        ({"runtime": "subprocess"}, False),
    ],
)
def test_where_uvloop_is_used(installed: bool, options: Any, suits: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where it is installed, and neither time nor processes need asyncio's own loop."""
    monkeypatch.setattr(loops, "find_spec", lambda name: find_spec("json") if installed else None)
    assert loops.loop_options(ClusterConfig(**options)) == ({"use_uvloop": True} if installed and suits else {})
