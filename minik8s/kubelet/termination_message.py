"""A container's last words: its termination log, or the end of its output.

Limits are those of upstream's pkg/kubelet/kuberuntime (4096 bytes; 80 lines or 2048 bytes of the log; 12 KiB over all
containers of a pod).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from minik8s.kubelet.runtime.strangers import read_regular

MAX_MESSAGE = 4096
MAX_PER_POD = 12 * 1024
MAX_LOG_LINES = 80
MAX_LOG_BYTES = 2048


def message_limit(containers: int) -> int:
    """Bytes for each container's message when a pod has so many."""
    return min(MAX_MESSAGE, MAX_PER_POD // max(1, containers))


def read_message(path: Path, limit: int) -> str:
    """The head of the termination log; "" when there is none, or something else in its place."""
    try:
        return read_regular(path, limit).decode(errors="replace")
    except OSError:
        return ""


async def log_tail(log: AsyncIterator[bytes]) -> str:
    """The last bytes of a log."""
    tail = b""
    async for chunk in log:
        tail = (tail + chunk)[-MAX_LOG_BYTES:]
    return tail.decode(errors="replace")
