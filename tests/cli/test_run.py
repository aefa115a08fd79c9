"""`minik8s run -- COMMAND` as a real process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIST_NODES = "import sys; from minik8s.cli import main; main(['get', 'nodes', '-o', 'name'])"
WAITS = """\
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))
print("ready", flush=True)
signal.pause()
"""
COUNTS = """\
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
print("ready", flush=True)
count = 0
while signal.sigtimedwait({signal.SIGINT}, 0.3 if count else 30):
    count += 1
print("interrupted", count, flush=True)
sys.exit(4)
"""
IN_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "minik8s", *sys.argv[1:]])
"""
SIMULATED = ("run", "--runtime", "simulated", "--nodes", "2")


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_exit_code_is_the_commands(start: Callable[..., Any], script: str, code: int) -> None:
    """The command's exit code is passed on; one that a signal ended is 128 and the signal's number."""
    assert start(*SIMULATED, "--", "sh", "-c", script).finish() == (code, "", "")


def test_command_that_cannot_run(start: Callable[..., Any], tmp_path: Path) -> None:
    """127 for a command that does not exist, 126 for one that may not be run; one line says so."""
    (plain := tmp_path / "plain").write_text("not a program")
    code, _, err = start(*SIMULATED, "--", "no-such-command").finish()
    assert (code, err) == (127, "Error: cannot run no-such-command: No such file or directory\n")
    code, _, err = start(*SIMULATED, "--", str(plain)).finish()
    assert (code, err) == (126, f"Error: cannot run {plain}: Permission denied\n")


def test_kubeconfig_and_streams(start: Callable[..., Any], tmp_path: Path) -> None:
    """The command finds the cluster by KUBECONFIG, and its stdin, stdout and stderr are ours; options are its own."""
    program = start(*SIMULATED, sys.executable, "-c", LIST_NODES)
    assert program.finish() == (0, "node/node-1\nnode/node-2\n", "")
    assert list(program.temporary.iterdir()) == []
    program = start(*SIMULATED, "--", "sh", "-c", "cat; echo $0 >&2", "--nodes", stdin=subprocess.PIPE)
    assert program.finish(input="through\n") == (0, "through\n", "--nodes\n")


def test_signals_go_to_the_command(start: Callable[..., Any]) -> None:
    """A signal is forwarded, and the command's way to end is ours."""
    program = start(*SIMULATED, "--", sys.executable, "-c", WAITS)
    program.line("ready")
    program.send(signal.SIGTERM)
    assert program.finish() == (9, "", "")


def test_interrupt_reaches_the_command_without_a_terminal(start: Callable[..., Any]) -> None:
    """SIGINT sent to us alone is forwarded too."""
    program = start(*SIMULATED, "--", "sh", "-c", "trap 'exit 5' INT; echo ready; while :; do sleep 0.05; done")
    program.line("ready")
    program.send(signal.SIGINT)
    assert program.finish()[0] == 5


def test_taken_port(start: Callable[..., Any], port_in_use: int) -> None:
    """A port that is taken is one line, not a traceback; the command does not run."""
    code, out, err = start("run", "--port", str(port_in_use), "--", "echo", "ran").finish()
    assert (code, out) == (1, "")
    assert err == f"Error: cannot listen on 127.0.0.1:{port_in_use}: Address already in use\n"


def test_ctrl_c_in_a_terminal_comes_once(tmp_path: Path) -> None:
    """In a terminal the command has Ctrl-C from the terminal itself, once, and its exit code is passed on."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb+", buffering=0) as terminal:
        with os.fdopen(theirs, "rb+", buffering=0) as end:
            process = subprocess.Popen(
                [sys.executable, "-c", IN_TERMINAL, *SIMULATED, "--", sys.executable, "-c", COUNTS],
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
                stdin=end,
                stdout=end,
                stderr=end,
                start_new_session=True,
            )
        shown = b""
        while b"ready" not in shown:
            shown += terminal.read(100)
        terminal.write(b"\x03")
        while b"interrupted" not in shown or not shown.endswith(b"\n"):
            shown += terminal.read(100)
        assert process.wait(timeout=30) == 4
    assert b"interrupted 1" in shown
