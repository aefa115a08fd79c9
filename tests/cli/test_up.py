"""`minik8s up` as a real process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine}\n"
OTHER = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "prod", "cluster": {"server": "https://prod.example.org"}}],
    "users": [{"name": "me", "user": {"token": "secret"}}],
    "contexts": [{"name": "prod", "context": {"cluster": "prod", "user": "me"}}],
    "current-context": "prod",
}
UP = ("up", "--runtime", "simulated")
READY = "Ctrl-C stops"


def contexts(path: Path) -> tuple[str, list[str]]:
    config = yaml.safe_load(path.read_text())
    return config["current-context"], [entry["name"] for entry in config["contexts"]]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_keeps_running_and_stops_cleanly(start: Callable[..., Any], tmp_path: Path, signum: signal.Signals) -> None:
    """It adds a context beside others, and takes it out again when a signal stops it; that is exit code 0."""
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(yaml.safe_dump(OTHER))
    program = start(*UP, "--nodes", "2", "--kubeconfig", str(kubeconfig))
    assert "2 nodes, API server at https://127.0.0.1:" in program.line("minik8s is up")
    program.line(READY)
    assert contexts(kubeconfig) == ("minik8s", ["prod", "minik8s"])
    code, out, err = start("get", "nodes", "-o", "name", "--kubeconfig", str(kubeconfig)).finish()
    assert (code, out, err) == (0, "node/node-1\nnode/node-2\n", "")
    program.send(signum)
    assert program.finish() == (0, "", "")
    assert yaml.safe_load(kubeconfig.read_text()) == OTHER
    assert list(program.temporary.iterdir()) == []


def test_default_kubeconfig(start: Callable[..., Any]) -> None:
    """Without --kubeconfig the context is in ~/.kube/config, where `minik8s get` finds it; DNS says where it is."""
    program = start(*UP, "--dns-port", "0")
    assert ", cluster DNS at 127.0.0.1:" in program.line("minik8s is up")
    program.line(READY)
    assert contexts(program.home / ".kube" / "config") == ("minik8s", ["minik8s"])
    assert start("get", "ns", "default", "--no-headers").finish()[1].startswith("default   Active")


def test_two_at_once(start: Callable[..., Any], tmp_path: Path) -> None:
    """A second cluster leaves the first one's context alone; what a killed one left behind is replaced."""
    kubeconfig = tmp_path / "config"
    one = start(*UP, "--kubeconfig", str(kubeconfig))
    one.line(READY)
    second = start(*UP, "--kubeconfig", str(kubeconfig))
    second.line(READY)
    assert contexts(kubeconfig) == ("minik8s-2", ["minik8s", "minik8s-2"])
    second.send(signal.SIGTERM)
    second.finish()
    assert contexts(kubeconfig) == ("minik8s", ["minik8s"])
    one.send(signal.SIGKILL)
    one.finish()
    third = start(*UP, "--kubeconfig", str(kubeconfig))
    third.line(READY)
    assert contexts(kubeconfig) == ("minik8s", ["minik8s"])


def test_manifests(start: Callable[..., Any], tmp_path: Path) -> None:
    """-f applies manifests before it says that it is up; a shell's *.yaml works."""
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(MANIFEST.replace("mine", name[0]))
    program = start(*UP, "-f", "a.yaml", "b.yaml")
    program.line("configmap/a applied")
    program.line("configmap/b applied")
    program.line(READY)
    assert start("get", "cm", "a", "b", "-o", "name").finish()[1] == "configmap/a\nconfigmap/b\n"


SHOP = """\
apiVersion: v1
kind: Pod
metadata: {name: shop}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: shop, image: "shop:v3", args: [open]}
"""


def test_images_are_commands_of_this_machine(start: Callable[..., Any], tmp_path: Path) -> None:
    """An image's command runs as a real process with the container's args, and `logs -f` follows what it says."""
    script = tmp_path / "shop.sh"
    script.write_text(
        "#!/bin/sh\necho we are $1\nwhile [ ! -e closed ]; do sleep 0.05; done\necho closed\nsleep 1000\n"
    )
    script.chmod(0o755)
    (tmp_path / "app.yaml").write_text(SHOP)
    program = start("up", "--image", "shop=./shop.sh", "-f", "app.yaml")
    program.line(READY)
    following = start("logs", "-f", "shop")
    following.line("we are open")
    (tmp_path / "closed").touch()
    following.line("closed")
    following.send(signal.SIGINT)
    assert following.finish()[0] == 130


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "m.yaml: "),
        ("apiVersion: v1\nkind: Frob\nmetadata: {name: x}\n", 'no matches for kind "Frob"'),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n", "(Invalid)"),
    ],
)
def test_bad_manifest(start: Callable[..., Any], tmp_path: Path, text: str, words: str) -> None:
    """A manifest that cannot be applied stops it: one line, exit code 1, no context left behind."""
    (tmp_path / "m.yaml").write_text(text)
    kubeconfig = tmp_path / "config"
    code, out, err = start(*UP, "-f", "m.yaml", "--kubeconfig", str(kubeconfig)).finish()
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err
    assert not kubeconfig.exists() or contexts(kubeconfig) == ("", [])


def test_what_cannot_be_written_or_bound(start: Callable[..., Any], tmp_path: Path, port_in_use: int) -> None:
    """A kubeconfig that cannot be written, or is none, and a port in use are one line and exit code 1."""
    (tmp_path / "file").write_text("just text")
    attempts = {
        ("--kubeconfig", "file/config"): "file: ",
        ("--kubeconfig", "file"): "file: not a kubeconfig",
        ("--port", str(port_in_use)): "Address already in use",
    }
    for options, words in attempts.items():
        program = start(*UP, *options)
        code, out, err = program.finish()
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert words in err
        assert list(program.temporary.iterdir()) == []
    assert (tmp_path / "file").read_text() == "just text"


def test_usage(start: Callable[..., Any], tmp_path: Path) -> None:
    """Files that no -f announces, and images without a command, are usage errors."""
    assert start(*UP, "stray.yaml").finish()[0] == 2
    assert start(*UP, "--image", "shop").finish()[0] == 2
    assert os.listdir(tmp_path / "home") == []  # noqa: PTH208
