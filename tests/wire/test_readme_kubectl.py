"""The kubectl commands that README.md shows, run as they stand."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SANDBOX = re.search(r"^## A sandbox.*?^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
assert SANDBOX is not None
LINES = [shlex.split(line, comments=True) for line in SANDBOX[1].splitlines()]


def test_sandbox(kubectl: Any) -> None:
    """Its Deployment becomes available behind its Service."""
    for line in (line for line in LINES if line[0] == "kubectl"):
        kubectl(*line[1:])
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert kubectl.json("get", "deployment", "web")["status"]["availableReplicas"] == 3
    assert kubectl.json("get", "service", "web")["spec"]["ports"][0]["port"] == 8080


def test_run(kubectl: Any, tmp_path: Path) -> None:
    """A cluster for one command: kubectl in it sees its node."""
    (line,) = (line for line in LINES if line[:2] == ["minik8s", "run"])
    arguments = [str(kubectl.binary) if word == "kubectl" else word for word in line[1:]]
    result = subprocess.run(
        [sys.executable, "-m", "minik8s", *arguments],
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stdout.split()[5:7]) == (0, ["node-1", "Ready"]), result.stderr
