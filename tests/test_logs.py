"""Loggers are silent and unimported until they are needed."""

from __future__ import annotations

import subprocess
import sys

import structlog

from minik8s.logs import get_logger


def child(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_a_cluster_leaves_the_log_library_alone() -> None:
    """structlog is not among what `Cluster` imports, nor is it by a debug line that nobody asked for."""
    code = (
        "import sys; from minik8s import Cluster; from minik8s.logs import get_logger; "
        "get_logger('x').debug('quiet'); print('structlog' in sys.modules)"
    )
    assert child(code) == "False\n"


def test_a_warning_is_written() -> None:
    """A warning reaches structlog's default output."""
    assert "loud" in child("from minik8s.logs import get_logger; get_logger('x').warning('loud')")


def test_a_configured_program_sees_debug_lines() -> None:
    """Who configures structlog gets every line."""
    try:
        with structlog.testing.capture_logs() as lines:
            structlog.configure()
            get_logger("x").debug("asked for", number=2)
    finally:
        structlog.reset_defaults()  # after capture_logs, which leaves it configured
    assert lines == [{"event": "asked for", "number": 2, "log_level": "debug"}]
