"""The directory of a benchmark: its plan, a file for every finished run, and the report.

A benchmark that was cut short goes on from here: finished runs are kept, the one that was under way begins anew,
because its cluster is gone. Files are written beside their place and renamed, so that none is ever half there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from minik8s.bench.report import SCHEMA, dumps

PLAN, REPORT, PAGE = "plan.json", "report.json", "report.html"
_RUN: Final = "run-{:03}.json"


class DirectoryError(ValueError):
    """The directory is not what is needed; the message says what to do."""


class RunDirectory:
    """Where a benchmark is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, plan: Mapping[str, Any]) -> RunDirectory:
        """A new one. Raises DirectoryError where there is something already, and OSError."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            hint = f"; --resume {path} goes on with it" if (path / PLAN).exists() else ""
            raise DirectoryError(f"{path} is not empty{hint}")
        path.mkdir(parents=True, exist_ok=True)
        directory = cls(path)
        directory._write(PLAN, dumps({"schema": SCHEMA, **plan}))
        return directory

    @classmethod
    def open(cls, path: Path) -> tuple[RunDirectory, dict[str, Any]]:
        """One that is there, with its plan. Raises DirectoryError."""
        try:
            plan = orjson.loads((path / PLAN).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            raise DirectoryError(f"{path} is no directory of a benchmark: it has no {PLAN} that can be read") from None
        if not isinstance(plan, dict) or plan.get("schema") != SCHEMA:
            raise DirectoryError(f"{path / PLAN} is not of the schema {SCHEMA}")
        return cls(path), plan

    def finished(self, wanted: int) -> dict[int, dict[str, Any]]:
        """The runs that are there, by their numbers from 1. Raises DirectoryError for one that cannot be read."""
        found = {}
        for number in range(1, wanted + 1):
            file = self.path / _RUN.format(number)
            if file.exists():
                try:
                    found[number] = orjson.loads(file.read_bytes())
                    assert found[number]["own"]["run"] == number
                except (OSError, orjson.JSONDecodeError, KeyError, TypeError, AssertionError):
                    raise DirectoryError(f"{file} is damaged; without it, that run is done again") from None
        return found

    def keep(self, number: int, run: Mapping[str, Any]) -> None:
        """Writes a finished run."""
        self._write(_RUN.format(number), dumps(run))

    def write_report(self, report: Mapping[str, Any], page: str) -> None:
        """Writes the report, as JSON and as a page."""
        self._write(REPORT, dumps(report))
        self._write(PAGE, page.encode())

    def _write(self, name: str, data: bytes) -> None:
        temporary = self.path / f".{name}.{os.getpid()}"
        try:
            temporary.write_bytes(data)
            temporary.replace(self.path / name)
        finally:
            temporary.unlink(missing_ok=True)
