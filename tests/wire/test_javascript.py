"""@kubernetes/client-node, installed from npm as its users do: `client_node.mjs` says what they do with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from minik8s.blocking import BlockingCluster

PACKAGE = "@kubernetes/client-node@1.4.0"
SCRIPT = Path(__file__).with_name("client_node.mjs")
SECONDS = 60
"""How long a scenario may take; a safety net."""


@pytest.fixture
def node_project(npm_package: Callable[[str], Path]) -> Path:
    """A folder in which node finds the client."""
    folder = npm_package(PACKAGE)
    shutil.copy(SCRIPT, folder)
    return folder


@pytest.mark.parametrize("scenario", ["objects", "apply", "generic", "informer", "workloads", "custom", "exec"])
def test_scenario(node_project: Path, wire_cluster: BlockingCluster, namespace: str, scenario: str) -> None:
    """Objects and patches, server-side apply, the untyped client, an informer, workloads, custom kinds, exec."""
    env = {**os.environ, "KUBECONFIG": str(wire_cluster.kubeconfig)}
    command = ["node", SCRIPT.name, scenario, namespace]
    done = subprocess.run(
        command, cwd=node_project, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
