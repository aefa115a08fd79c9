"""Measured processes: every figure that could be disturbed by its own observer is taken in a process by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

_TICKS = os.sysconf("SC_CLK_TCK")


def answer_of(module: str, *args: object) -> Any:
    """Runs `python -m module` to its end and decodes the JSON that it prints."""
    return json.loads(subprocess.run(_command(module, *args), check=True, stdout=subprocess.PIPE).stdout)


@attrs.frozen
class Helper:
    """A running `python -m module`: it prints a line when it is ready, and ends when its standard input does."""

    process: subprocess.Popen[str]
    ready: str

    def cpu(self) -> float:
        """Seconds of CPU it has used so far, in steps of 10 ms (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def finish(self) -> str:
        """Ends it and returns what it still had to say."""
        return self.process.communicate()[0].strip()


@contextmanager
def helper(module: str, *args: object) -> Iterator[Helper]:
    """Starts a helper, waits until it is ready, and ends it with the context."""
    pipe = subprocess.PIPE
    with subprocess.Popen(_command(module, *args), stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield Helper(process, process.stdout.readline().strip())
        finally:
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()


def _command(module: str, *args: object) -> list[str]:
    return [sys.executable, "-m", module, *map(str, args)]
