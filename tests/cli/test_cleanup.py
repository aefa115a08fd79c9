"""However the hosting process ends, nothing stays behind: no process, port, context or temporary file."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are observed in /proc")

STUBBORN = """\
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  containers:
  - name: main
    image: busybox
    command: [sh, -c, 'trap "" TERM INT HUP; setsid sleep 1234 & while :; do sleep 1234; done']
"""

Identity = tuple[int, str]


def stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat after the command; [] for what is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] == "Z" else fields


def descendants(pid: int) -> set[Identity]:
    """Every process below `pid`, with the time it started, so that a reused number is somebody else."""
    found = {int(entry.name): stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdecimal()}
    known = {pid}
    while more := {p for p, fields in found.items() if fields and int(fields[1]) in known} - known:
        known |= more
    return {(p, found[p][19]) for p in known - {pid}}


def alive(identities: set[Identity]) -> list[Identity]:
    return [(pid, begun) for pid, begun in identities if (fields := stat(pid)) and fields[19] == begun]


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def answers(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname, parts.port)) == 0


@pytest.fixture
def up(start: Callable[..., Any], tmp_path: Path) -> Any:
    """A cluster whose pod ignores every polite signal and has a process in a session of its own."""
    (tmp_path / "pod.yaml").write_text(STUBBORN)
    return start("up", "--nodes", "2", "-f", "pod.yaml")


def sleepers(pid: int) -> set[Identity]:
    return {found for found in descendants(pid) if "1234" in command_line(found[0])}


MOMENTS: dict[str, Callable[[Any], Any]] = {
    "files": lambda program: list(program.temporary.iterdir()),
    "fork server": lambda program: descendants(program.process.pid),
    "kubeconfig": lambda program: (program.home / ".kube" / "config").exists(),
    "container": lambda program: len(sleepers(program.process.pid)) >= 2,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupt_at_any_moment(up: Any, moment: str, eventually: Callable[..., Any]) -> None:
    """Ctrl-C while it starts or runs, even several times, ends every process, port, context and file."""
    eventually(lambda: MOMENTS[moment](up), moment)
    seen = descendants(up.process.pid)
    config = up.home / ".kube" / "config"
    contexts = yaml.safe_load(config.read_text())["clusters"] if config.exists() else []
    for _ in range(3):
        up.send(signal.SIGINT)
    code, _, err = up.finish()
    assert (code, err) == (0, "")
    assert alive(seen) == []
    assert list(up.temporary.iterdir()) == []
    assert not any(answers(entry["cluster"]["server"]) for entry in contexts)
    assert not config.exists() or yaml.safe_load(config.read_text())["contexts"] == []


def test_kill_leaves_no_container(up: Any, eventually: Callable[..., Any]) -> None:
    """SIGKILL of the hosting process ends every container, even one that hides in a session of its own."""
    eventually(lambda: len(sleepers(up.process.pid)) >= 2, "the container runs")
    seen = descendants(up.process.pid)
    up.send(signal.SIGKILL)
    up.finish()
    eventually(lambda: not alive(seen), "every process has ended")


def test_interrupt_of_a_run(start: Callable[..., Any], eventually: Callable[..., Any]) -> None:
    """Ctrl-C before the command runs ends the start; nothing runs and nothing stays."""
    program = start("run", "--nodes", "2", "--", "echo", "ran")
    eventually(lambda: list(program.temporary.iterdir()), "the start has begun")
    program.send(signal.SIGINT)
    code, out, err = program.finish()
    assert (code, out, err) == (130, "", "")
    assert list(program.temporary.iterdir()) == []
