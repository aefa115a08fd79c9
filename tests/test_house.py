"""The rules of the house as checks that fail: lint, types, layers, who may ask for the time, files of readable size."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "minik8s"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CLOCK_ONLY = {("time", name) for name in ("time", "monotonic", "sleep", "perf_counter", "time_ns", "monotonic_ns")} | {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("asyncio", "sleep"),
    ("anyio", "sleep"),
}
ASYNCIO_HOMES = (
    "clock.py",
    "apiserver/server.py",
    "proxy/",
    "kubelet/runtime/",
    "virtualtime.py",
    "testing/hosting.py",  # a task without a group, in loops of other frameworks
)
CLOCKS = ("clock.py", "virtualtime.py")
STANDALONE = ("testing/server.py", "testing/agnhost/", "kubelet/runtime/spawner/")
"""Programs of their own, run as separate processes: no cluster's clock reaches them, and output that a process writes
bears the time at which it wrote it."""
LARGEST_FILE = 400


def run(*command: str) -> None:
    """Runs a tool in the checkout and fails with its output."""
    result = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{' '.join(command)}:\n{result.stdout}{result.stderr}"


def test_lint() -> None:
    """ruff finds nothing to say."""
    run("ruff", "check", ".")


def test_format() -> None:
    """Every file is formatted."""
    run("ruff", "format", "--check", ".")


def test_types() -> None:
    """mypy, strict, finds no error."""
    run("mypy")


def test_layers() -> None:
    """No import goes upward or sideways through the layers."""
    command = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    result = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_keep_the_rules(path: Path) -> None:
    """A file opens with a docstring, is of a readable size, and takes time and tasks only where it may."""
    relative = str(path.relative_to(PACKAGE))
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{relative} does not say what it is for"
    assert text.count("\n") <= LARGEST_FILE, f"{relative} has more than {LARGEST_FILE} lines"
    if relative.startswith(STANDALONE):
        return
    if relative not in CLOCKS:
        used = {_dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not used & CLOCK_ONLY, f"{relative} asks for the time itself: {used & CLOCK_ONLY}"
    if not relative.startswith(ASYNCIO_HOMES):
        assert "asyncio" not in _imports(tree), f"{relative} imports asyncio; only those that hold file descriptors may"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_are_of_a_readable_size(path: Path) -> None:
    """A file of tests says what they are about, and is about one thing."""
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is for"
    assert text.count("\n") <= LARGEST_FILE, f"{path.name} has more than {LARGEST_FILE} lines"


def _dotted(node: ast.Attribute) -> tuple[str, str]:
    return (node.value.id if isinstance(node.value, ast.Name) else "", node.attr)


def _imports(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names
