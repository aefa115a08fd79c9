"""Which event loop a process of ours runs on.

uvloop, when it is installed, takes an eighth of the CPU off a small request by HTTP. It is asked for only where nothing
needs more of the loop than sockets and timers: virtual time and `settle` stand inside of asyncio's own loop, and real
processes are waited for by descriptors of which libuv does not know.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from minik8s.config import ClusterConfig


def loop_options(config: ClusterConfig) -> dict[str, Any]:
    """anyio's backend options for a process that runs this cluster and nothing else."""
    plain = config.runtime == "simulated" and config.clock == "real"
    return {"use_uvloop": True} if plain and find_spec("uvloop") is not None else {}
