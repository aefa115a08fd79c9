"""What README.md promises: its Python runs as it stands, its commands exist."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Coroutine
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import anyio
import click
import pytest

from minik8s.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PLUGIN = "minik8s.testing.plugin"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: minik8s/testserver}
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands(name: str) -> list[str]:
    """Every line of a shell block that begins with `name`, without its comment."""
    lines = [shlex.split(line, comments=True) for block in blocks("sh") for line in block.splitlines()]
    return [shlex.join(line) for line in lines if line and line[0] == name]


def test_benefit_first() -> None:
    """A title, one paragraph that says what it is good for, and five lines of Python."""
    title, benefit, code, *_ = re.split(r"\n\n(?=\S)", README)
    assert title == "# minik8s"
    assert benefit.startswith("**A Kubernetes you can import.**")
    assert code.startswith("```python\n")
    assert len(blocks("python")[0].splitlines()) == 5


def test_first_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The five lines run as they stand where `await` needs no function, as in `python -m asyncio`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deployment.yaml").write_text(DEPLOYMENT)
    code = compile(blocks("python")[0], "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    scope: dict[str, Any] = {}

    async def run() -> None:
        coroutine = eval(code, scope)
        assert inspect.iscoroutine(coroutine)
        started: Coroutine[Any, Any, None] = coroutine
        await started

    anyio.run(run)
    assert not scope["cluster"].directory.exists()


def test_tests_run(tmp_path: Path) -> None:
    """The example tests pass, each once."""
    examples = blocks("python")[1:]
    for number, example in enumerate(examples):
        (tmp_path / f"test_example_{number}.py").write_text(example)
    installed = any(point.value == PLUGIN for point in entry_points(group="pytest11"))
    load = [] if installed else ["-p", PLUGIN]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:asyncio",
        "-W",
        "error",
        "--rootdir",
        str(tmp_path),
        *load,
        str(tmp_path),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    tests = sum(len(re.findall(r"^(?:async )?def test_", example, re.MULTILINE)) for example in examples)
    assert tests >= 4
    assert f"{tests} passed" in result.stdout


def test_fresh_machine_commands() -> None:
    """Two single lines make the virtual environment too: one runs the demo, one all tests with what they need."""
    demo, tests = (block.splitlines() for block in blocks("sh")[:2])
    assert (len(demo), len(tests)) == (1, 1)
    for line in (demo[0], tests[0]):
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert all(shlex.split(part) for part in line.split(" && "))
    assert demo[0].endswith(" && .venv/bin/minik8s demo")
    assert tests[0].endswith(" && .venv/bin/python -m pytest -n auto")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(re.findall(r"\[(\w+)\]", tests[0])) <= set(project["optional-dependencies"])
    assert project["scripts"]["minik8s"] == "minik8s.cli:main"
    assert project["entry-points"]["pytest11"]["minik8s"] == PLUGIN


def test_python_version() -> None:
    """The Python version it names is the one that pip asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in README


@pytest.mark.parametrize("line", commands("minik8s"))
def test_commands_exist(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command with every option it is shown with is understood."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    _, name, *arguments = shlex.split(line)
    group = click.Context(main)
    command = main.get_command(group, name)  # type: ignore[attr-defined]
    assert command is not None
    command.make_context(name, arguments, parent=group)


def test_every_command_is_shown() -> None:
    """No command is left out."""
    named = {line.split()[1] for line in commands("minik8s")} | {"demo"}
    assert named == set(main.list_commands(click.Context(main)))  # type: ignore[attr-defined]


def test_every_command_has_help() -> None:
    """--help of each command is there, and so is a description of every option."""
    group = click.Context(main)
    for name in main.list_commands(group):  # type: ignore[attr-defined]
        command = main.get_command(group, name)  # type: ignore[attr-defined]
        assert command.help, name
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert all(option.help for option in options), (name, [o.name for o in options if not o.help])
