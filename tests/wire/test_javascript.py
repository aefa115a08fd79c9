"""@kubernetes/client-node, installed from npm as its users do: `client_node.mjs` says what they do with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from minik8s.blocking import BlockingCluster

PACKAGE = "@kubernetes/client-node@1.4.0"
SCRIPT = Path(__file__).with_name("client_node.mjs")
SECONDS = 60
"""How long a scenario may take; a safety net."""


@pytest.fixture(scope="module")
def node_project(request: pytest.FixtureRequest) -> Path:
    """A folder in which node finds the client; it is kept for later runs. Without node or npm's registry there is none,
    which only CI (MINIK8S_REQUIRE_NODE) does not forgive."""
    cache = request.config.cache
    assert cache is not None
    folder: Path = cache.mkdir("client-node")
    if why := _install(folder):
        if os.environ.get("MINIK8S_REQUIRE_NODE"):
            pytest.fail(f"MINIK8S_REQUIRE_NODE is set, but {why}")
        pytest.skip(why)
    shutil.copy(SCRIPT, folder)
    return folder


def _install(folder: Path) -> str:
    """Installs the client; answers why that is not possible."""
    if not (shutil.which("node") and shutil.which("npm")):
        return "there is no node and npm on PATH"
    if (folder / "installed").exists() and (folder / "installed").read_text() == PACKAGE:
        return ""
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        return f"npm cannot install {PACKAGE}: {done.stderr.strip()}"
    (folder / "installed").write_text(PACKAGE)
    return ""


@pytest.mark.parametrize("scenario", ["objects", "apply", "generic", "informer", "workloads"])
def test_scenario(node_project: Path, wire_cluster: BlockingCluster, namespace: str, scenario: str) -> None:
    """Objects and patches, server-side apply, the untyped client, an informer, and workloads with watch and logs."""
    env = {**os.environ, "KUBECONFIG": str(wire_cluster.kubeconfig)}
    command = ["node", SCRIPT.name, scenario, namespace]
    done = subprocess.run(
        command, cwd=node_project, env=env, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
