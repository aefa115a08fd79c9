"""The scenarios that come with the package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from minik8s.bench.parsing import load_scenario
from minik8s.bench.reading import Problem, ScenarioError
from minik8s.bench.scenario import Scenario

FOLDER: Final = Path(__file__).with_name("scenarios")
ORDER: Final = ("density", "rollout", "churn", "namespace-deletion", "watch-fanout", "api-mix", "day")


def builtin_scenarios() -> Iterator[Scenario]:
    """All of them, with their own parameters."""
    for name in ORDER:
        yield load_scenario(FOLDER / f"{name}.yaml")


def find_scenario(name: str) -> tuple[Path, str]:
    """(file, how to call it) of a built-in scenario's name or a path. Raises ScenarioError."""
    if name in ORDER:
        return FOLDER / f"{name}.yaml", f"{name}.yaml"
    path = Path(name)
    if path.is_file():
        return path, name
    known = ", ".join(ORDER)
    raise ScenarioError([Problem(name, f"no such file, and no scenario that comes with minik8s ({known})")])
